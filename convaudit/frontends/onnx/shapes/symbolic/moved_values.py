"""Values of small tensors whose elements are moved, joined, repeated or summed up: their shapes, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from convaudit.formulas import Count, maximum, minimum
from convaudit.frontends.onnx.shapes.symbolic.calls import (
    Call,
    Operation,
    attribute_tensor,
    elements_of,
    fixed,
    normalized,
    normalized_all,
    zero,
)
from convaudit.frontends.onnx.shapes.symbolic.cutting import range_length, slice_arguments
from convaudit.frontends.onnx.shapes.symbolic.gathering import reduced_axes
from convaudit.frontends.onnx.shapes.symbolic.reshaping import (
    flattened_sizes,
    reshaped_sizes,
    squeezed_sizes,
    unsqueezed_sizes,
)
from convaudit.frontends.onnx.shapes.symbolic.tensors import (
    INTEGERS,
    MOST_ELEMENTS,
    Unknown,
    array,
    elements,
    mapped,
    times,
)


def _shape(call: Call) -> np.ndarray:
    sizes = call.shape()
    rank = len(sizes)
    start, end = call.attributes.integer("start", 0), call.attributes.integer("end", rank)
    if call.opset < 15:
        start, end = 0, rank
    return array(list(sizes[slice(*slice(start, end).indices(rank))]))


def _size(call: Call) -> np.ndarray:
    return array([elements(call.shape())], ())


def _concat(call: Call) -> np.ndarray:
    parts = [call.tensor(index) for index in range(len(call.operands))]
    if any(part.value is None and (part.shape is None or len(part.shape) != 1) for part in parts):
        raise Unknown
    axis = call.attributes.integer("axis", 1 if call.opset < 4 else 0)
    values = []
    for part in parts:
        if part.value is not None:
            values.append(part.value)
        else:
            (length,) = part.shape or ()
            if not isinstance(length, int) or length > MOST_ELEMENTS:
                raise Unknown
            values.append(array([None] * length))
    return np.concatenate(values, axis=axis)


def _gather(call: Call) -> np.ndarray:
    value = call.value(0)
    axis = normalized(call.attributes.integer("axis", 0), value.ndim)
    indices = mapped(fixed, call.value(1))
    if None in indices.ravel().tolist():
        raise Unknown
    size = value.shape[axis]
    positions = indices.astype(np.int64)
    if ((positions < -size) | (positions >= size)).any():
        raise Unknown
    return np.take(value, positions, axis=axis)


def _sliced(call: Call) -> np.ndarray:
    value = call.value(0)
    index: list[slice] = [slice(None)] * value.ndim
    for axis, (start, end, step) in slice_arguments(call, value.ndim).items():
        size = value.shape[axis]
        first, last = _position(start, size), _position(end, size)
        low, high = (0, size) if fixed(step) > 0 else (-1, size - 1)
        first = min(max(first, 0), high)
        last = min(max(last, low), high if fixed(step) < 0 else size)
        index[axis] = slice(first, None if last < 0 else last, fixed(step))
    return value[tuple(index)]


def _position(index: Count | None, size: int) -> int:
    number = fixed(index)
    return number + size if number < 0 else number


def _to_known_shape(sizes: Callable[[Call], Sequence[Count | None]]) -> Operation:
    def operation(call: Call) -> np.ndarray:
        return call.value(0).reshape([fixed(size) for size in sizes(call)])

    return operation


def _transposed(call: Call) -> np.ndarray:
    value = call.value(0)
    order = call.attributes.integers("perm")
    return np.transpose(value, normalized_all(order, value.ndim) if order is not None else None)


def _expanded(call: Call) -> np.ndarray:
    target = [fixed(size) for size in call.counts(1)]
    shape = np.broadcast_shapes(call.value(0).shape, tuple(target))
    if np.prod(shape, dtype=object) > MOST_ELEMENTS:
        raise Unknown
    return np.broadcast_to(call.value(0), shape).copy()


def _tiled(call: Call) -> np.ndarray:
    repeats = [fixed(size) for size in call.counts(1)]
    value = call.value(0)
    if len(repeats) != value.ndim or value.size * np.prod([1, *repeats], dtype=object) > MOST_ELEMENTS:
        raise Unknown
    return np.tile(value, repeats)


def _constant_of_shape(call: Call) -> np.ndarray:
    shape = [fixed(size) for size in call.counts(0)]
    if np.prod([1, *shape], dtype=object) > MOST_ELEMENTS:
        raise Unknown
    tensor = attribute_tensor(call, "value")
    fill = zero() if tensor is None else elements_of(tensor)
    if fill is None or fill.size != 1:
        raise Unknown
    return array([fill.ravel()[0]] * int(np.prod([1, *shape])), shape)


def _range(call: Call) -> np.ndarray:
    length = fixed(range_length(call))
    if length > MOST_ELEMENTS or call.dtype() not in INTEGERS:
        raise Unknown
    start, step = call.value(0).item(), fixed(call.value(2).item())
    return array([None if start is None else start + index * step for index in range(length)])


def _reduced(function: Callable[[Count, Count], Count]) -> Operation:
    def operation(call: Call) -> np.ndarray:
        if call.dtype() not in INTEGERS:
            raise Unknown
        value = call.value(0)
        axes = reduced_axes(call, value.ndim)
        keep = bool(call.attributes.integer("keepdims", 1))
        kept = [axis for axis in range(value.ndim) if axis not in axes]
        front = np.transpose(value, [*kept, *axes])
        rows = front.reshape(*(value.shape[axis] for axis in kept), -1)
        if rows.shape[-1] == 0:
            raise Unknown
        flat = rows.reshape(-1, rows.shape[-1])
        results = [None if None in row.tolist() else reduce(function, row.tolist()) for row in flat]
        shape = [
            1 if axis in axes else size for axis, size in enumerate(value.shape) if keep or axis not in axes
        ]
        return array(results, shape)

    return operation


def _scatter_nd(call: Call) -> np.ndarray:
    value, updates = call.value(0).copy(), call.value(2)
    if call.attributes.string("reduction", "none") != "none":
        raise Unknown
    indices = mapped(fixed, call.value(1)).astype(np.int64)
    for place in np.ndindex(*indices.shape[:-1]):
        value[tuple(indices[place])] = updates[place]
    return value


def _unchanged(call: Call) -> np.ndarray:
    return call.value(0)


MOVING: dict[str, Operation] = {
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expanded,
    "Flatten": _to_known_shape(flattened_sizes),
    "Gather": _gather,
    "Identity": _unchanged,
    "Range": _range,
    "ReduceMax": _reduced(maximum),
    "ReduceMin": _reduced(minimum),
    "ReduceProd": _reduced(times),
    "ReduceSum": _reduced(lambda a, b: a + b),
    "Reshape": _to_known_shape(reshaped_sizes),
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Size": _size,
    "Slice": _sliced,
    "Squeeze": _to_known_shape(squeezed_sizes),
    "Tile": _tiled,
    "Transpose": _transposed,
    "Unsqueeze": _to_known_shape(unsqueezed_sizes),
}
"""By op type."""
