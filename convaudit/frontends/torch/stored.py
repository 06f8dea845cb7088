"""What a module stores, and which tensors of a forward are computed from that alone.

A weight-normalised, pruned or parametrised convolution is given a tensor that nobody stored. Following its
origin through the forward says which stored parameters it stands for.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakIdKeyDictionary

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import dtype_name
from convaudit.frontends.torch.modules import clean_path
from convaudit.records import TensorInfo, Trainable


@dataclass(frozen=True, slots=True)
class Parameter:
    """What the weight or bias of a convolution is stored as."""

    name: str | None = None  # None: it is not computed from stored tensors alone
    stored: tuple[TensorInfo, ...] = ()
    elements: int = 0  # stored
    computed: bool = False  # from what is stored, rather than stored as it is
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that a model holds."""

    name: str
    tensor: Tensor
    parameter: bool  # and not a buffer, a constant or a statistic
    trainable: bool = False  # whether it has a gradient (requires_grad)
    packed: bool = False  # inside a packed object: operators are given that, never the tensor
    constant: bool = False  # in the code of TorchScript


class Stored:
    """The tensors of a model by identity, and the origins of those computed from them."""

    def __init__(self, found: Iterable[StoredTensor]) -> None:
        self._names: dict[int, str] = {}
        self._by_storage: dict[int, list[str]] = {}
        self._found: dict[str, StoredTensor] = {}  # keeps the tensors alive too, so that an id stays theirs
        for item in found:
            if self._names.setdefault(id(item.tensor), item.name) == item.name:
                self._found[item.name] = item  # a tied tensor goes by its first name
                for storage in storages(item.tensor):
                    self._by_storage.setdefault(private.storage_key(storage), []).append(item.name)
        self._origins = WeakIdKeyDictionary()

    @classmethod
    def of(cls, module: nn.Module) -> Stored:
        """All tensors of a module, in whatever way it holds them."""
        return cls(_found(module))

    def name(self, tensor: Tensor) -> str | None:
        """The name under which ``tensor``, or another view of all of it, is stored; None if it is not."""
        name = self._names.get(id(tensor))
        if name is not None:
            return name
        same = (name for name in self._sharing(tensor) if _same_view(self._found[name].tensor, tensor))
        return next(same, None)

    def is_parameter(self, name: str) -> bool:
        """Whether what is stored by that name is a parameter, not a buffer, a constant or a statistic."""
        return self._found[name].parameter

    def _sharing(self, tensor: Tensor) -> list[str]:
        """Names of what is stored in the same memory: ``weight.data`` is another tensor."""
        return [
            name
            for storage in storages(tensor)
            for name in self._by_storage.get(private.storage_key(storage), [])
        ]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, tied ones once."""
        return {name: item.tensor for name, item in self._found.items()}

    def parameter_elements(self, weights: Container[str]) -> int:
        """Elements of all parameters, tied ones once, and of ``weights``: a fixed kernel may be a buffer."""
        found = self._found.items()
        return sum(item.tensor.numel() for name, item in found if item.parameter or name in weights)

    def trainable_elements(self, weights: Container[str]) -> Trainable:
        """Elements that training changes: of all parameters, and of those in ``weights``, tied ones once."""
        sizes = {name: item.tensor.numel() for name, item in self._found.items() if item.trainable}
        return Trainable(
            model=sum(sizes.values()), layers=sum(size for name, size in sizes.items() if name in weights)
        )

    def fixed_kernels(self, weights: Container[str]) -> Iterator[str]:
        """One line if some of ``weights`` are not parameters of the module, though they count as such."""
        fixed = {
            name: item.tensor.numel()
            for name, item in self._found.items()
            if name in weights and not item.parameter
        }
        if fixed:
            yield (
                f"fixed kernels count as parameters: {in_short(list(fixed))}; they are buffers or constants, "
                f"and what the module calls its parameters has {sum(fixed.values())} elements fewer"
            )

    def has_frozen_parameters(self) -> bool:
        """Whether the code of TorchScript holds some."""
        return any(item.constant and item.parameter for item in self._found.values())

    def idle(self, used: Container[str]) -> list[str]:
        """Modules none of whose own parameters is in ``used``; of the model itself these parameters.

        Packed ones are not seen in use, and what a class of tensors of its own (torchao's) hands out is not
        seen to be part of it: nothing is said of these.
        """
        owners: dict[str, bool] = {}
        for name, item in self._found.items():
            if item.parameter and not item.packed:
                owner = name.rpartition(".")[0] or name
                ran = name in used or type(item.tensor) not in _PLAIN
                owners[owner] = owners.get(owner, False) or ran
        return [owner for owner, ran in owners.items() if not ran]

    def follow(self, inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> None:
        """Note that an operator computed ``outputs`` from ``inputs``."""
        origins: frozenset[str] | None = frozenset()
        for tensor in inputs:
            origin = self.origin(tensor)
            if origin is None or origins is None:
                origins = None
                break
            origins |= origin
        for tensor in outputs:
            self._origins[tensor] = origins

    def origin(self, tensor: Tensor) -> frozenset[str] | None:
        """Names of the stored tensors from which alone ``tensor`` is computed; None if it is not."""
        name = self.name(tensor)
        if name is not None:
            return frozenset([name])
        origin: frozenset[str] | None = self._origins.get(tensor)
        return origin if origin is not None else frozenset(self._sharing(tensor)) or None

    def was_computed(self, tensor: Tensor) -> bool:
        """Whether an operator of this forward returned it."""
        return tensor in self._origins

    def unpacked(self, tensor: Tensor) -> Parameter:
        """What a weight or bias out of a packed object is stored as: the tensor of the same contents."""
        for name, item in self._found.items():
            if item.packed and item.tensor.shape == tensor.shape and torch.equal(item.tensor, tensor):
                return Parameter(name, (self._info(name),), tensor.numel())
        private.check_packed_parameters()
        return Parameter()

    def parameter(self, tensor: Tensor) -> Parameter:
        """What a convolution's weight or bias is stored as."""
        name = self.name(tensor)
        if name is not None:
            return Parameter(name, (self._info(name),), tensor.numel())
        origin = self.origin(tensor)
        if not origin:
            return Parameter()
        names = sorted(name for name in origin if self._found[name].parameter) or sorted(origin)
        elements = sum(self._found[name].tensor.numel() for name in names)
        notes = tuple(self._pruned(name) for name in sorted(origin) if name.endswith("_mask"))
        if len(origin) > 1 or elements != tensor.numel():
            sizes = {name: self._found[name].tensor.numel() for name in sorted(origin)}
            sources = ", ".join(f"{name} ({size})" for name, size in sizes.items() if size > 1)
            notes = (*notes, f"{tensor.numel()} effective elements are computed from the stored {sources}")
        return Parameter(", ".join(names), tuple(map(self._info, names)), elements, True, notes)

    def _info(self, name: str) -> TensorInfo:
        tensor = self._found[name].tensor
        return TensorInfo(name=name, shape=tuple(tensor.shape), dtype=dtype_name(tensor))

    def _pruned(self, name: str) -> str:
        mask = self._found[name].tensor
        with private.with_values():  # a stored tensor has its values even while the forward has none
            kept = "?" if mask.is_meta or private.is_fake(mask) else int(mask.count_nonzero())
        return f"pruned: {name} keeps {kept} of {mask.numel()}; the work is that of all"


_PLAIN = (Tensor, nn.Parameter)
"""Tensors that operators are given as they are stored."""


def in_short(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def storages(tensor: Any) -> list[Any]:
    """The tensor's storage, if it has one that is memory: none without values, none if sparse."""
    if not isinstance(tensor, Tensor) or private.is_fake(tensor) or is_lazy(tensor):
        return []
    if tensor.layout is not torch.strided or tensor.is_meta:
        return []
    return [tensor.untyped_storage()]


def _same_view(first: Tensor, second: Tensor) -> bool:
    return (
        first.shape == second.shape
        and first.stride() == second.stride()
        and first.storage_offset() == second.storage_offset()
        and first.dtype == second.dtype
    )


def _found(module: nn.Module) -> Iterator[StoredTensor]:
    for name, parameter in module.named_parameters():
        yield StoredTensor(clean_path(name), parameter, parameter=True, trainable=parameter.requires_grad)
    for name, buffer in module.named_buffers():
        # oneDNN's modules hold their weights as buffers
        yield StoredTensor(clean_path(name), buffer, parameter=buffer.is_mkldnn)
    for path, submodule in module.named_modules():
        prefix = f"{clean_path(path)}." if path else ""
        if isinstance(submodule, torch.jit.ScriptModule):
            yield from _constants(prefix, submodule)
        for name, value in vars(submodule).items():
            if isinstance(value, Tensor):
                yield StoredTensor(f"{prefix}{name}", value, parameter=False)
        yield from _packed(prefix, private.packed_parameters(submodule))


def _constants(prefix: str, module: torch.jit.ScriptModule) -> Iterator[StoredTensor]:
    """Tensors in the code of a TorchScript module: freezing puts all its parameters there."""
    forward = next((method for method in private.script_methods(module) if method.name == "forward"), None)
    if forward is None:  # as tracing leaves out what was not called
        return
    graph: Any = forward.graph  # the nodes are only valid as long as it is
    for node in [*graph.findAllNodes("prim::Constant"), *graph.findAllNodes("prim::ConstantMKLDNNTensor")]:
        if isinstance(node.output().type(), torch.TensorType) and node.output().uses():
            name = node.output().debugName().removeprefix("self.").removesuffix("_mkldnn")
            tensor = node.t("value")
            statistic = name.endswith(("running_mean", "running_var"))
            learned = tensor.is_floating_point() and tensor.dim() > 0 and not statistic
            yield StoredTensor(prefix + name, tensor, parameter=learned, constant=True)


def _packed(prefix: str, packed: Any) -> Iterator[StoredTensor]:
    """Weight and bias in the packed object of a quantised module."""
    if isinstance(packed, torch.ScriptObject) and hasattr(packed, "unpack"):
        owner = prefix.removesuffix("_packed_params.")  # a quantised Linear has a module for it
        for leaf, tensor in zip(("weight", "bias"), packed.unpack(), strict=False):
            if tensor is not None:
                yield StoredTensor(f"{owner}{leaf}", tensor, parameter=True, packed=True)
