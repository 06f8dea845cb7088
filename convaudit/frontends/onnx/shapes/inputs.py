"""The model's inputs: their open dimensions named, and fixed where the user asks.

Shape inference works on a copy of the model that declares nothing but its inputs: what a file claims about
its inner tensors may be stale, and names that mean nothing there must not be mistaken for formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

import numpy as np
from onnx import GraphProto, ModelProto, TensorShapeProto, ValueInfoProto

from convaudit.arguments import LARGEST_TENSOR, GivenInput
from convaudit.errors import ShapeError, UsageError
from convaudit.formulas import Count, Formula, parse, symbol, term_count
from convaudit.frontends.onnx.loader.tensors import dtype_name
from convaudit.records import Shape, TensorInfo
from convaudit.shapes import as_text

_MOST_TERMS = 64  # of the product of an input's sizes
_ANONYMOUS = ("", "?", "None", "-1")  # what exporters write for "some size", not for one and the same size


Feeds: TypeAlias = Mapping[str, np.ndarray]
"""Arrays to run a model on, by input name."""


@dataclass(frozen=True)
class Inputs:
    """What the model is fed, and the meaning of the names of its open dimensions."""

    model: ModelProto  # a copy that declares them: what shape inference works on
    tensors: tuple[TensorInfo, ...]
    symbols: Mapping[str, Count]  # of the names that they have during inference
    names: Mapping[str, Count]  # of those that they have in the file


def fix_inputs(model: ModelProto, given: Mapping[str, GivenInput], sizes: Mapping[str, int]) -> Inputs:
    """Fix the inputs' shapes: integers where known, else names that no one else uses.

    Args:
        model: A model, which is not changed.
        given: Shapes and values by input name (key "": the only input).
        sizes: Dimensions by name.

    Raises:
        UsageError: A name, rank, size, type or value does not fit; with the list of the model's inputs.
        ShapeError: An input would be larger than any memory.
    """
    values = list(real_inputs(model.graph))
    declared = {value.name: _declared_shape(value) for value in values}
    dtypes = {value.name: _dtype(value) for value in values}
    listing = "the model's inputs are " + (
        ", ".join(f"{name} ({as_text(shape)})" for name, shape in declared.items()) or "none"
    )
    known = {name for shape in declared.values() for name in _symbols(shape)}
    for name in sizes:
        if name not in known:
            raise UsageError(f"no dimension is called {name!r}; {listing}")
    bound: dict[str, Count] = dict(sizes)
    wanted = _by_input(given, declared, dtypes, listing)
    shapes = {name: one.shape for name, one in wanted.items() if one.shape is not None}
    for name, shape in shapes.items():
        declared[name] = _bind(name, declared[name], shape, bound, listing)
    fixed = {name: _substitute(shape, bound) for name, shape in declared.items()}
    _check_given(fixed, shapes, listing)
    _check_sizes(fixed, listing)

    symbols: dict[str, Count] = {}
    fixed_model = ModelProto()
    fixed_model.CopyFrom(model)
    for value in real_inputs(fixed_model.graph):
        write_shape(value, fixed[value.name], symbols)
    tensors = tuple(
        TensorInfo(
            name=value.name,
            shape=fixed[value.name],
            dtype=dtypes[value.name],
            value=wanted[value.name].value if value.name in wanted else None,
        )
        for value in values
    )
    still_open = {name: symbol(name) for shape in fixed.values() for name in _symbols(shape)}
    return Inputs(fixed_model, tensors, symbols, {**bound, **still_open})


def real_inputs(graph: GraphProto) -> Iterator[ValueInfoProto]:
    """Inputs that a caller feeds; before IR version 4 initializers are declared as inputs too."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {tensor.values.name for tensor in graph.sparse_initializer}
    return (value for value in graph.input if value.name not in stored)


def _declared_shape(value: ValueInfoProto) -> Shape | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    sizes: list[Count] = []
    terms = 1
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        size = _declared_size(value.name, axis, dim)
        if terms * term_count(size) > _MOST_TERMS:
            size = symbol(dim.dim_param)  # whatever is counted multiplies the sizes
        terms *= term_count(size)
        sizes.append(size)
    return tuple(sizes)


def _declared_size(name: str, axis: int, dim: TensorShapeProto.Dimension) -> Count:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return dim.dim_value
    if "[" in dim.dim_param:
        return symbol(dim.dim_param)  # only formulas that convaudit prints have names in brackets
    size = parse(dim.dim_param) if dim.dim_param not in _ANONYMOUS else -1
    return symbol(f"{name}_dim{axis}") if isinstance(size, int) and size < 0 else size


def _symbols(shape: Shape | None) -> Iterator[str]:
    for size in shape or ():
        if isinstance(size, Formula):
            yield from size.symbols


def _by_input(
    given: Mapping[str, GivenInput],
    declared: Mapping[str, Shape | None],
    dtypes: Mapping[str, str],
    listing: str,
) -> dict[str, GivenInput]:
    """What is said of each input, by its name, with its value in its type."""
    wanted: dict[str, GivenInput] = {}
    for name, one in given.items():
        if not name and len(declared) != 1:
            raise UsageError(f"a shape without an input's name needs a model with one input; {listing}")
        target = name or next(iter(declared))
        if target not in declared:
            raise UsageError(f"no input is called {target!r}; {listing}")
        if one.dtype not in (None, dtypes[target]):
            raise UsageError(f"input {target!r} is {dtypes[target]}, not {one.dtype}; {listing}")
        shape = declared[target]
        resolved = one.resolved(None if shape is None else len(shape), target)
        wanted[target] = replace(resolved, value=resolved.checked(dtypes[target], f"input {target!r}"))
    return wanted


def _bind(
    name: str, shape: Shape | None, given: Sequence[int], bound: dict[str, Count], listing: str
) -> Shape:
    """Note in ``bound`` what the given shape says about named dimensions; return the declared shape."""
    if shape is None:
        return tuple(given)
    if len(shape) != len(given):
        raise UsageError(
            f"input {name!r} has {len(shape)} dimensions, "
            f"but {as_text(tuple(given))} has {len(given)}; {listing}"
        )
    for size, value in zip(shape, given, strict=True):
        text = str(size)
        if isinstance(size, Formula) and size == symbol(text) and bound.setdefault(text, value) != value:
            raise UsageError(
                f"dimension {text!r} cannot be both {bound[text]} and {value} (input {name!r}); {listing}"
            )
    return shape


def _substitute(shape: Shape | None, bound: Mapping[str, Count]) -> Shape | None:
    if shape is None:
        return None
    return tuple([size.substitute(bound) if isinstance(size, Formula) else size for size in shape])


def _check_given(
    fixed: Mapping[str, Shape | None], wanted: Mapping[str, tuple[int, ...]], listing: str
) -> None:
    for name, given in wanted.items():
        shape = fixed[name]
        for axis, (size, value) in enumerate(zip(shape or (), given, strict=True)):
            if isinstance(size, int) and size != value:
                raise UsageError(
                    f"input {name!r}: dimension {axis} is fixed at {size} in the model, "
                    f"so {as_text(given)} does not fit; {listing}"
                )


def _check_sizes(fixed: Mapping[str, Shape | None], listing: str) -> None:
    for name, shape in fixed.items():
        sizes = [size for size in shape or () if isinstance(size, int)]
        if any(size < 0 for size in sizes):
            raise UsageError(f"input {name!r} cannot be {as_text(shape)}; {listing}")
        if prod(sizes) > LARGEST_TENSOR:
            raise ShapeError(f"input {name!r}: no memory holds a tensor of {as_text(shape)}")


def write_shape(value: ValueInfoProto, shape: Shape | None, symbols: dict[str, Count]) -> None:
    """Let ``value`` declare a shape, open sizes by a name that is noted with its meaning in ``symbols``."""
    if shape is None:
        return
    declared = value.type.tensor_type.shape
    declared.Clear()
    declared.SetInParent()  # no axes are a shape as well
    for size in shape:
        dim = declared.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        elif size is not None:
            dim.dim_param = _inference_name(size, symbols)


def _inference_name(size: Count, symbols: dict[str, Count]) -> str:
    """One plain identifier per distinct size; the model's own may read as arithmetic, or clash."""
    for name, meaning in symbols.items():
        if meaning == size:
            return name
    name = f"input_size_{len(symbols)}"
    symbols[name] = size
    return name


def _dtype(value: ValueInfoProto) -> str:
    kind = value.type.WhichOneof("value")
    return dtype_name(value.type.tensor_type.elem_type) if kind == "tensor_type" else str(kind or "unknown")
