"""What to call a module with: the user's tensors as they are, or random ones of the shapes given."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convaudit.arguments import Given, GivenInput, Number, checked_input, given_inputs, whole
from convaudit.errors import UsageError, did_you_mean
from convaudit.formulas import Count
from convaudit.frontends.torch._private import tree_map
from convaudit.named_sizes import names_in, replaced
from convaudit.records import TensorInfo


@dataclass(frozen=True, slots=True)
class RandomTensor:
    """Stands for an input of which only the shape is given, or one value for all of its elements."""

    shape: tuple[Count, ...]  # formulas of names only in a forward with open sizes
    dtype: torch.dtype
    device: torch.device
    value: Number | None = None

    def draw(self, generator: torch.Generator) -> Tensor:
        """Standard normal values; of an integer type zeros and ones, which every embedding can look up."""
        if self.value is not None:
            return torch.full(self._numbers, self.value, dtype=self.dtype, device=self.device)
        if self.dtype.is_floating_point or self.dtype.is_complex:
            values = torch.randn(self._numbers, dtype=self.dtype, generator=generator)
        else:
            values = torch.randint(0, 2, self._numbers, dtype=self.dtype, generator=generator)
        return values.to(self.device)

    def empty(self, sizes: Sequence[Any] | None = None) -> Tensor:
        """A tensor without values, under a mode that allocates none; of ``sizes`` in place of its own."""
        shape = self._numbers if sizes is None else sizes
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    @property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(whole(size, "a size") for size in self.shape)


def from_array(array: Any) -> Tensor:
    """A NumPy array as a tensor; of the types that NumPy borrows from ml_dtypes, as float32."""
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "V" else array)


def _from_numpy(leaf: Any) -> Any:
    """NumPy's arrays as tensors, its numbers as Python's; anything else as it is."""
    if isinstance(leaf, np.ndarray):
        return from_array(leaf)
    return leaf.item() if isinstance(leaf, np.generic) else leaf


class Values:
    """Gives each input its value: the user's array, else the user's tensor, else a random one.

    Args:
        seed: Draws the random ones.
        arrays: NumPy arrays, one for each input in order.
    """

    def __init__(self, seed: int = 0, arrays: Sequence[Any] | None = None) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._arrays = None if arrays is None else iter(arrays)

    def __call__(self, leaf: Tensor | RandomTensor) -> Tensor:
        """The value of one input."""
        if self._arrays is not None:
            return from_array(next(self._arrays)).to(leaf.device, leaf.dtype)
        if isinstance(leaf, RandomTensor):
            return leaf.draw(self._generator)
        return leaf.detach().clone()  # a forward may write to its input


@dataclass(frozen=True, slots=True)
class Inputs:
    """Positional and keyword arguments, in which a ``RandomTensor`` stands for a tensor."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def realise(self, tensor: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with ``tensor`` applied to every tensor of the nest."""

        def realised(leaf: Any) -> Any:
            if isinstance(leaf, Tensor | RandomTensor):
                return tensor(leaf)
            inside = {id(found): tensor(found) for _, found in _leaves("", leaf)}
            return copy.deepcopy(leaf, inside) if inside else leaf

        args, kwargs = tree_map(realised, (self.args, self.kwargs))
        return args, kwargs

    def infos(self, module: nn.Module) -> tuple[TensorInfo, ...]:
        """Name, shape and type of every tensor, named after the forward's parameters."""
        names = _parameter_names(module)
        positional = ((names[i] if i < len(names) else f"input{i}", arg) for i, arg in enumerate(self.args))
        return tuple(
            TensorInfo(
                name=name,
                shape=tuple(leaf.shape),
                dtype=str(leaf.dtype).removeprefix("torch."),
                value=leaf.value if isinstance(leaf, RandomTensor) else None,
            )
            for top, value in [*positional, *self.kwargs.items()]
            for name, leaf in _leaves(top, value)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the user gave to sizes, in order."""
        leaves = [leaf for value in (*self.args, *self.kwargs.values()) for _, leaf in _leaves("", value)]
        return names_in(size for leaf in leaves if isinstance(leaf, RandomTensor) for size in leaf.shape)

    def fixed(self, sizes: Mapping[str, int]) -> Inputs:
        """The same with named sizes replaced."""

        def fixed(leaf: Any) -> Any:
            return (
                replace(leaf, shape=replaced(leaf.shape, sizes)) if isinstance(leaf, RandomTensor) else leaf
            )

        args, kwargs = tree_map(fixed, (self.args, self.kwargs))
        return Inputs(args, kwargs)

    def named_shapes(self) -> list[tuple[Count, ...]]:
        """The shapes, with those names."""
        leaves = [leaf for value in (*self.args, *self.kwargs.values()) for _, leaf in _leaves("", value)]
        return [leaf.shape for leaf in leaves if isinstance(leaf, RandomTensor)]

    def as_text(self) -> str:
        """The shapes, for a message: ``x 1x3x224x224``."""
        leaves = [leaf for value in (*self.args, *self.kwargs.values()) for _, leaf in _leaves("", value)]
        return ", ".join("x".join(map(str, leaf.shape)) or "a scalar" for leaf in leaves) or "no tensor"


def make_inputs(module: nn.Module, input_shape: Any = None, inputs: Any = None) -> Inputs:
    """Arguments for ``module`` from what the user gave.

    Args:
        module: Whose forward they are for.
        input_shape: What ``given_inputs`` reads: shapes and values of the arguments, in order or by name; a
            value without an element type is passed as a Python number.
        inputs: A tensor, a tuple or list of positional arguments, or a mapping of keyword arguments; each may
            be any nest of tensors or NumPy arrays, and keeps its dtype and device.

    Raises:
        UsageError: Both or neither are given, or a shape is not one.
    """
    if (input_shape is None) == (inputs is None):
        raise UsageError(
            f"{type(module).__name__}: a torch module does not say what it takes; give either "
            "input_shape=(1, 3, 224, 224), on the command line -i 1x3x224x224, or inputs=(tensor, ...)"
        )
    given = given_inputs(input_shape)
    if given is not None:
        inputs = _random_inputs(module, given)
    inputs = tree_map(_from_numpy, inputs)
    if isinstance(inputs, Mapping):
        return Inputs((), dict(inputs)) if _takes_keywords(module, inputs) else Inputs((dict(inputs),), {})
    return Inputs(tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,), {})


def named_sizes(given: Given | None) -> tuple[str, ...]:
    """The names of sizes in what ``given_inputs`` read, in order."""
    inputs = given.values() if isinstance(given, Mapping) else given or ()
    return names_in(size for one in inputs for size in one.open_shape or ())


def fixed_sizes(given: Given | None, sizes: Mapping[str, int], who: str) -> Given | None:
    """The same inputs with named sizes fixed; one without a name left is of numbers alone.

    Args:
        given: What ``given_inputs`` read.
        sizes: By name.
        who: The module, for a message.

    Raises:
        UsageError: A size has no such name, or no memory holds such a tensor.
    """
    if not sizes:
        return given
    inputs = list(given.values() if isinstance(given, Mapping) else given or ())
    names = named_sizes(given)
    for name in sizes:
        if name not in names:
            called = f"they are called {', '.join(names)}" if names else "none has a name"
            raise UsageError(
                f"{who}: no size of its inputs is called {name!r}{did_you_mean(name, names)}; {called}, as "
                "you give them: -i batch,3,H,W"
            )

    def fixed(one: GivenInput) -> GivenInput:
        if one.open_shape is None:
            return one
        shape = replaced(one.open_shape, sizes)
        known = tuple(size for size in shape if isinstance(size, int))
        if len(known) < len(shape):
            return replace(one, open_shape=shape)
        return checked_input(replace(one, shape=known, open_shape=None), str(one))

    if isinstance(given, Mapping):
        return {name: fixed(one) for name, one in given.items()}
    return tuple(map(fixed, inputs))


def _random_inputs(module: nn.Module, given: Given) -> Any:
    tensors = (*module.parameters(), *module.buffers())
    stored = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    dtype = stored[0].dtype if stored else torch.get_default_dtype()
    device = stored[0].device if stored else torch.device("cpu")

    def argument(one: GivenInput, name: str = "") -> RandomTensor | Number:
        one = one.resolved(None, name)
        if one.value is not None and one.dtype is None:
            return one.value
        if one.dtype == "str":
            raise UsageError(f"{one}: torch has no tensors of texts")
        kind = getattr(torch, one.dtype) if one.dtype else dtype
        value = one.checked(one.dtype, f"{name or 'the input'}") if one.dtype else None
        return RandomTensor(one.open_shape or one.shape or (), kind, device, value)

    if isinstance(given, tuple):
        return argument(given[0]) if len(given) == 1 else tuple(map(argument, given))
    if set(given) == {""}:  # the command line's only input
        return argument(given[""])
    if not _takes_keywords(module, given):
        takes = ", ".join(_parameter_names(module)) or "no names"
        raise UsageError(
            f"{type(module).__name__}: its forward takes {takes}, not {', '.join(map(repr, given))}"
        )
    return {name: argument(one, name) for name, one in given.items()}


def _parameter_names(module: nn.Module) -> list[str]:
    if isinstance(module, torch.jit.ScriptModule):
        schema: Any = getattr(module.forward, "schema", None)
        return [argument.name for argument in schema.arguments[1:]] if schema is not None else []
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _takes_keywords(module: nn.Module, inputs: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(module.forward).bind(**inputs)
    except (TypeError, ValueError):
        return False
    return True


def _leaves(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The tensors of a nest; inside of objects only so deep, since they may refer to each other."""
    if isinstance(value, Tensor | RandomTensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}[{key!r}]", item, depth)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(f"{name}[{index}]", item, depth)
    elif depth < 4 and not isinstance(value, type | nn.Module | FunctionType | ModuleType):
        for key, item in getattr(value, "__dict__", {}).items():
            yield from _leaves(f"{name}.{key}", item, depth + 1)
