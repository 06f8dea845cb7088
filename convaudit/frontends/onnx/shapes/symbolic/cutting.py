"""Shapes of ops that cut, join, fill or repeat a tensor: Slice, Split, Concat, Tile and their like."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from convaudit.arguments import LARGEST_TENSOR
from convaudit.formulas import Count, ceil_divide, is_nonnegative, maximum, minimum
from convaudit.frontends.onnx.shapes.misinferred import LARGEST
from convaudit.frontends.onnx.shapes.symbolic.calls import (
    Call,
    Rule,
    Sizes,
    attribute_tensor,
    fixed,
    normalized,
    normalized_all,
)
from convaudit.frontends.onnx.shapes.symbolic.reals import Symbolic
from convaudit.frontends.onnx.shapes.symbolic.tensors import (
    INTEGERS,
    MOST_AXES,
    Tensor,
    Unknown,
    agreed,
    broadcast,
    is_at_least,
    times,
)

_MOST_PARTS = 4096


# --- cutting ---------------------------------------------------------------------------------------------


def slice_arguments(call: Call, rank: int) -> dict[int, tuple[Count | None, Count | None, Count | None]]:
    """Start, end and step of each axis that a Slice cuts."""
    if call.opset < 10:
        starts: Sizes = list(call.attributes.integers("starts") or [])
        ends: Sizes = list(call.attributes.integers("ends") or [])
        axes = call.attributes.integers("axes")
        steps: Sizes = [1] * len(starts)
    else:
        starts, ends = call.counts(1), call.counts(2)
        axes = [fixed(axis) for axis in call.counts(3)] if call.has(3) else None
        steps = call.counts(4) if call.has(4) else [1] * len(starts)
    places = normalized_all(axes if axes is not None else range(len(starts)), rank)
    if not len(starts) == len(ends) == len(steps) == len(places):
        raise Unknown
    return dict(zip(places, zip(starts, ends, steps, strict=True), strict=True))


def slice_(call: Call) -> Sequence[Tensor]:
    """Slice."""
    shape = list(call.shape())
    try:
        arguments = slice_arguments(call, len(shape))
    except Unknown:
        if call.opset >= 10 and call.has(3):
            # which axes are cut may be known although the places are not
            for axis in normalized_all([fixed(axis) for axis in call.counts(3)], len(shape)):
                shape[axis] = None
            return [Tensor(call.dtype(), tuple(shape))]
        return [Tensor(call.dtype(), (None,) * len(shape))]
    for axis, (start, end, step) in arguments.items():
        size = shape[axis]
        known = size is not None and start is not None and end is not None and isinstance(step, int)
        shape[axis] = _sliced_size(call, size, start, end, step) if known else None  # type: ignore[arg-type]
    return [Tensor(call.dtype(), tuple(shape))]


def _sliced_size(call: Call, size: Count, start: Count, end: Count, step: int) -> Count | None:
    if step == 0 or (step < 0 and end in LARGEST):
        return None
    first, last = _place(call, start, size), _place(call, end, size)
    if first is None or last is None:
        return None
    if step > 0:
        return _span(call, _clamped(call, first, 0, size), _clamped(call, last, 0, size), step)
    first, last = _clamped(call, first, 0, size - 1), _clamped(call, last, -1, size - 1)
    span = _span(call, last, first, -step)
    return span if is_at_least(size, 1) else minimum(span, size)  # nothing is in an empty tensor


def _place(call: Call, index: Count, size: Count) -> Count | None:
    """An index counted from the front; None if its sign depends on the dimensions."""
    if call.is_nonnegative(index) or (isinstance(index, int) and index <= -LARGEST_TENSOR):
        return index
    return index + size if is_nonnegative(-index - 1) else None


def _clamped(call: Call, place: Count, low: Count, high: Count) -> Count:
    if isinstance(place, int) and place >= LARGEST_TENSOR and not isinstance(high, int):
        return high  # no tensor is longer
    if isinstance(place, int) and place <= -LARGEST_TENSOR:
        return low
    limited = place if call.is_nonnegative(high - place) else minimum(place, high)
    return limited if call.is_nonnegative(limited - low) else maximum(limited, low)


def _span(call: Call, low: Count, high: Count, step: int) -> Count:
    distance = high - low
    if call.is_nonnegative(distance):
        return ceil_divide(distance, step)
    return maximum(ceil_divide(distance, step), 0)


def split(call: Call) -> Sequence[Tensor]:
    """Split: into given sizes, or into equal parts of which the last may be shorter."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    outputs = len(call.node.output)
    if outputs > _MOST_PARTS:
        raise Unknown
    sizes = _split_sizes(call, shape[axis], outputs)
    return [Tensor(call.dtype(), (*shape[:axis], size, *shape[axis + 1 :])) for size in sizes]


def _split_sizes(call: Call, size: Count | None, outputs: int) -> Sizes:
    unknown: Sizes = [None] * outputs
    if call.opset < 2 and call.has(1):
        return unknown
    try:
        given = call.integers("split", 1, 13)
    except Unknown:
        return unknown
    if given is not None:
        return given if len(given) == outputs else unknown
    if size is None or call.attributes.integer("num_outputs", outputs) != outputs:
        return unknown
    # the last part may be shorter; before opset 18 a size that does not divide is refused
    part = ceil_divide(size, outputs) if call.opset >= 18 else size // outputs
    last = size - part * (outputs - 1) if call.opset >= 18 else part
    return [*[part] * (outputs - 1), last]


def pad(call: Call) -> Sequence[Tensor]:
    """Pad; negative pads cut."""
    shape = call.shape()
    name = "paddings" if call.opset < 2 else "pads"
    try:
        pads = call.integers(name, 1, 11)
    except Unknown:
        return [Tensor(call.dtype(), (None,) * len(shape))]
    if pads is None:
        raise Unknown
    axes = list(range(len(shape)))
    if call.opset >= 18 and call.has(3):
        axes = normalized_all([fixed(axis) for axis in call.counts(3)], len(shape))
    if len(pads) != 2 * len(axes):
        raise Unknown
    sizes = list(shape)
    for index, axis in enumerate(axes):
        size, before, after = sizes[axis], pads[index], pads[index + len(axes)]
        known = size is not None and before is not None and after is not None
        sizes[axis] = size + before + after if known else None  # type: ignore[operator]
    return [Tensor(call.dtype(), tuple(sizes))]


def center_crop_pad(call: Call) -> Sequence[Tensor]:
    """CenterCropPad: the given axes get the given sizes."""
    shape = list(call.shape())
    axes = normalized_all(call.attributes.integers("axes") or range(len(shape)), len(shape))
    sizes = call.counts(1)
    if len(sizes) != len(axes):
        raise Unknown
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return [Tensor(call.dtype(), tuple(shape))]


# --- joining and repeating -------------------------------------------------------------------------------


def concat(call: Call) -> Sequence[Tensor]:
    """Concat: sizes along the axis are added, the others are equal."""
    shapes = [call.shape(index) for index in range(len(call.node.input))]
    axis = normalized(call.attributes.integer("axis", 1), len(shapes[0]))
    if len({len(shape) for shape in shapes}) != 1:
        raise Unknown
    sizes: Sizes = []
    for place, column in enumerate(zip(*shapes, strict=True)):
        known = [size for size in column if size is not None]
        if place != axis:
            sizes.append(agreed(column))
        else:
            sizes.append(sum(known) if len(known) == len(column) else None)
    return [Tensor(call.dtype(), tuple(sizes))]


def expand(call: Call) -> Sequence[Tensor]:
    """Expand: broadcast to a given shape, both ways."""
    target = tuple(call.counts(1))
    if any(
        size is not None and not isinstance(size, int) and not call.is_nonnegative(size) for size in target
    ):
        raise Unknown
    return [Tensor(call.dtype(), broadcast(call.shape(), target))]


def tile(call: Call) -> Sequence[Tensor]:
    """Tile; at opset 1 it repeats one axis."""
    shape = call.shape()
    if call.opset < 6:
        raise Unknown
    repeats = call.counts(1)
    if len(repeats) != len(shape):
        raise Unknown
    return [Tensor(call.dtype(), tuple(map(times, shape, repeats)))]


def constant_of_shape(call: Call) -> Sequence[Tensor]:
    """ConstantOfShape: its operand is its shape."""
    tensor = attribute_tensor(call, "value")
    dtype = TensorProto.FLOAT if tensor is None else tensor.data_type
    try:
        sizes = tuple(call.counts(0))
    except Unknown:
        (rank,) = call.shape()
        if not isinstance(rank, int) or rank > MOST_AXES:
            raise
        sizes = (None,) * rank
    return [Tensor(dtype, sizes)]


def range_length(call: Call) -> Count:
    """Number of elements of a Range."""
    start, limit, step = (call.value(index).item() for index in range(3))
    if start is None or limit is None or step is None or isinstance(step, Symbolic):
        raise Unknown
    if call.dtype() not in INTEGERS or not isinstance(step, int) or step == 0:
        raise Unknown
    distance = limit - start if step > 0 else start - limit
    length = ceil_divide(distance, abs(step))
    return length if call.is_nonnegative(distance) else maximum(length, 0)


def range_(call: Call) -> Sequence[Tensor]:
    """Range."""
    try:
        return [Tensor(call.dtype(), (range_length(call),))]
    except Unknown:
        return [Tensor(call.dtype(), (None,))]


CUTTING: dict[str, Rule] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "ConstantOfShape": constant_of_shape,
    "Expand": expand,
    "Pad": pad,
    "Range": range_,
    "Slice": slice_,
    "Split": split,
    "Tile": tile,
}
"""By op type, of ONNX's own domain."""
