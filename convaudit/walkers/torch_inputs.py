"""What to call a module with: the user's tensors as they are, or random ones of the shapes given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from convaudit.errors import UsageError
from convaudit.records import TensorInfo


@dataclass(frozen=True, slots=True)
class RandomTensor:
    """Stands for an input of which only the shape is given."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def draw(self, generator: torch.Generator) -> Tensor:
        """Standard normal values; of an integer type zeros and ones, which every embedding can look up."""
        if self.dtype.is_floating_point or self.dtype.is_complex:
            values = torch.randn(self.shape, dtype=self.dtype, generator=generator)
        else:
            values = torch.randint(0, 2, self.shape, dtype=self.dtype, generator=generator)
        return values.to(self.device)

    def empty(self) -> Tensor:
        """A tensor without values, under a mode that allocates none."""
        return torch.empty(self.shape, dtype=self.dtype, device=self.device)


def from_array(array: Any) -> Tensor:
    """A NumPy array as a tensor; of the types that NumPy borrows from ml_dtypes, as float32."""
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "V" else array)


class Values:
    """Gives each input its value: the user's array, else the user's tensor, else a random one.

    arrays  NumPy arrays, one for each input in order
    """

    def __init__(self, seed: int = 0, arrays: Sequence[Any] | None = None) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._arrays = None if arrays is None else iter(arrays)

    def __call__(self, leaf: Tensor | RandomTensor) -> Tensor:
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
        args, kwargs = tree_map(
            lambda leaf: tensor(leaf) if isinstance(leaf, Tensor | RandomTensor) else leaf,
            (self.args, self.kwargs),
        )
        return args, kwargs

    def infos(self, module: nn.Module) -> tuple[TensorInfo, ...]:
        """Name, shape and type of every tensor, named after the forward's parameters."""
        names = _parameter_names(module)
        positional = ((names[i] if i < len(names) else f"input{i}", arg) for i, arg in enumerate(self.args))
        return tuple(
            TensorInfo(name=name, shape=tuple(leaf.shape), dtype=str(leaf.dtype).removeprefix("torch."))
            for top, value in [*positional, *self.kwargs.items()]
            for name, leaf in _leaves(top, value)
        )

    def as_text(self) -> str:
        """The shapes, for a message: ``x 1x3x224x224``."""
        leaves = [leaf for value in (*self.args, *self.kwargs.values()) for _, leaf in _leaves("", value)]
        return ", ".join("x".join(map(str, leaf.shape)) or "a scalar" for leaf in leaves) or "no tensor"


def make_inputs(module: nn.Module, input_shape: Any = None, inputs: Any = None) -> Inputs:
    """Arguments for ``module`` from what the user gave.

    input_shape  one shape ``(1, 3, 224, 224)``, a sequence of shapes for several arguments, or a mapping of
                 the forward's parameter names to shapes
    inputs       a tensor, a tuple or list of positional arguments, or a mapping of keyword arguments; each
                 may be any nest of tensors or NumPy arrays, and keeps its dtype and device

    Raises  UsageError if both or neither are given, or a shape is none.
    """
    if (input_shape is None) == (inputs is None):
        raise UsageError(
            f"{type(module).__name__}: a torch module does not say what it takes; give either "
            "input_shape=(1, 3, 224, 224), on the command line -i 1x3x224x224, or inputs=(tensor, ...)"
        )
    if input_shape is not None:
        inputs = _random_inputs(module, input_shape)
    inputs = tree_map(lambda leaf: from_array(leaf) if isinstance(leaf, np.ndarray) else leaf, inputs)
    if isinstance(inputs, Mapping):
        return Inputs((), dict(inputs)) if _takes_keywords(module, inputs) else Inputs((dict(inputs),), {})
    return Inputs(tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,), {})


def _random_inputs(module: nn.Module, shapes: Any) -> Any:
    tensors = (*module.parameters(), *module.buffers())
    stored = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    dtype = stored[0].dtype if stored else torch.get_default_dtype()
    device = stored[0].device if stored else torch.device("cpu")

    def random(shape: Any) -> RandomTensor:
        if not isinstance(shape, Sequence) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise UsageError(
                f"input_shape must be non-negative integers such as (1, 3, 224, 224), got {shape!r}"
            )
        return RandomTensor(tuple(shape), dtype, device)

    if isinstance(shapes, Mapping) and set(shapes) == {""}:  # the command line's only input
        return random(shapes[""])
    if isinstance(shapes, Mapping):
        if not _takes_keywords(module, shapes):
            takes = ", ".join(_parameter_names(module)) or "no names"
            raise UsageError(f"{type(module).__name__}: its forward takes {takes}, not {', '.join(shapes)}")
        return {name: random(shape) for name, shape in shapes.items()}
    if isinstance(shapes, Sequence) and shapes and all(isinstance(shape, Sequence) for shape in shapes):
        return tuple(random(shape) for shape in shapes)
    return random(shapes)


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


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Tensor | RandomTensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(f"{name}[{index}]", item)
