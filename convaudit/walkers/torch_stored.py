"""What a module stores, and which tensors of a forward are computed from that alone.

A weight-normalised, pruned or parametrised convolution is given a tensor that nobody stored. Following its
origin through the forward says which stored parameters it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils.weak import WeakIdKeyDictionary

from convaudit.walkers.torch_modules import clean_path


@dataclass(frozen=True, slots=True)
class Parameter:
    """What the weight or bias of a convolution is stored as."""

    name: str | None = None  # None: it is not computed from stored tensors alone
    elements: int | None = None  # stored
    notes: tuple[str, ...] = ()


class Stored:
    """The tensors of a module by identity, and the origins of those computed from them."""

    def __init__(self, tensors: Iterable[tuple[str, Tensor]], parameters: Iterable[str]) -> None:
        self._names: dict[int, str] = {}
        self._tensors: dict[str, Tensor] = {}  # also keeps them alive, so that an id stays theirs
        for name, tensor in tensors:
            if self._names.setdefault(id(tensor), name) == name:  # a tied tensor goes by its first name
                self._tensors[name] = tensor
        self._parameters = [name for name in parameters if name in self._tensors]
        self._origins = WeakIdKeyDictionary()

    @classmethod
    def of(cls, module: nn.Module) -> Stored:
        """Parameters, buffers, plain tensor attributes, and the constants of frozen TorchScript."""
        parameters = [(clean_path(name), tensor) for name, tensor in module.named_parameters()]
        buffers = [(clean_path(name), tensor) for name, tensor in module.named_buffers()]
        constants = list(_constants(module))
        learned = [name for name, tensor in constants if tensor.is_floating_point() and tensor.dim()]
        statistics = ("running_mean", "running_var")
        return cls(
            [*parameters, *buffers, *constants, *_attributes(module)],
            [name for name, _ in parameters] + [name for name in learned if not name.endswith(statistics)],
        )

    def name(self, tensor: Tensor) -> str | None:
        """The name under which ``tensor`` is stored; None if it is not."""
        return self._names.get(id(tensor))

    def tensors(self) -> Iterable[Tensor]:
        """All of them, tied ones once."""
        return self._tensors.values()

    def parameter_names(self) -> Iterable[str]:
        """Names of the parameters, tied ones once."""
        return self._parameters

    def parameter_elements(self) -> int:
        """Elements of all parameters, tied ones once."""
        return sum(self._tensors[name].numel() for name in self._parameters)

    def follow(self, inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> None:
        """Note that an operator computed ``outputs`` from ``inputs``."""
        origins: frozenset[str] | None = frozenset()
        for tensor in inputs:
            origin = self._origin(tensor)
            if origin is None or origins is None:
                origins = None
                break
            origins |= origin
        for tensor in outputs:
            if origins is not None:
                self._origins[tensor] = origins
            else:
                self._origins.pop(tensor, None)  # written in place

    def parameter(self, tensor: Tensor) -> Parameter:
        """What a convolution's weight or bias is stored as."""
        name = self.name(tensor)
        if name is not None:
            return Parameter(name, tensor.numel())
        origin = self._origin(tensor)
        if not origin:
            return Parameter()
        names = sorted(origin.intersection(self._parameters)) or sorted(origin)
        elements = sum(self._tensors[name].numel() for name in names)
        notes = tuple(self._pruned(name) for name in sorted(origin) if name.endswith("_mask"))
        if len(origin) > 1 or elements != tensor.numel():
            sources = ", ".join(f"{name} ({self._tensors[name].numel()})" for name in sorted(origin))
            notes = (*notes, f"{tensor.numel()} effective elements are computed from the stored {sources}")
        return Parameter(", ".join(names), elements, notes)

    def _pruned(self, name: str) -> str:
        mask = self._tensors[name]
        with unset_fake_temporarily():  # a stored tensor has its values even while the forward has none
            kept = "?" if mask.is_meta else int(mask.count_nonzero())
        return f"pruned: {name} keeps {kept} of {mask.numel()}; the work is that of all"

    def _origin(self, tensor: Tensor) -> frozenset[str] | None:
        name = self.name(tensor)
        origin: frozenset[str] | None = self._origins.get(tensor)
        return origin if name is None else frozenset([name])


def _constants(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors in the code of TorchScript modules: freezing puts all parameters there."""
    for path, submodule in module.named_modules():
        if not isinstance(submodule, torch.jit.ScriptModule) or not hasattr(submodule, "forward"):
            continue
        graph: Any = submodule.graph  # the nodes are only valid as long as it is
        for node in graph.findAllNodes("prim::Constant"):
            if isinstance(node.output().type(), torch.TensorType):
                name = node.output().debugName().removeprefix("self.")
                yield clean_path(f"{path}.{name}".removeprefix(".")), node.output().toIValue()


def _attributes(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, submodule in module.named_modules():
        for name, value in vars(submodule).items():
            if isinstance(value, Tensor):
                yield clean_path(f"{path}.{name}".removeprefix(".")), value
