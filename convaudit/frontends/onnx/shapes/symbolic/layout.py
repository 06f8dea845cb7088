"""Shapes of ops that cut, join, reorder or repeat a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from onnx import TensorProto

from convaudit.arguments import LARGEST_TENSOR
from convaudit.formulas import (
    Count,
    ceil_divide,
    floor_divide,
    is_nonnegative,
    maximum,
    minimum,
    multiply,
    quotient,
)
from convaudit.frontends.onnx.shapes.misinferred import LARGEST
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, fixed, normalized, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.loading import attribute_tensor
from convaudit.frontends.onnx.shapes.symbolic.reals import Symbolic
from convaudit.frontends.onnx.shapes.symbolic.tensors import (
    INTEGERS,
    Tensor,
    Unknown,
    agreed,
    broadcast,
    elements,
    is_at_least,
    times,
)
from convaudit.records import Shape

_MOST_AXES = 64
_MOST_PARTS = 4096

Sizes: TypeAlias = "list[Count | None]"


# --- reshaping -------------------------------------------------------------------------------------------


def reshaped_sizes(call: Call) -> Sizes:
    """Sizes of a Reshape's result."""
    if call.opset < 5:
        given = call.attributes.integers("shape")
        target: Sizes = list(given) if given is not None else []
    else:
        target = call.counts(1)
    if len(target) > _MOST_AXES:
        raise Unknown
    source = call.tensor(0).shape
    copies = not call.attributes.integer("allowzero", 0)
    sizes: Sizes = []
    for axis, size in enumerate(target):
        if size == 0 and copies:
            sizes.append(source[axis] if source is not None and axis < len(source) else None)
        elif size is None or isinstance(size, int) or call.is_nonnegative(size):
            sizes.append(size)
        else:
            sizes.append(None)  # at some sizes it would be -1
    if -1 in target:
        sizes[target.index(-1)] = _rest(source, target, sizes, copies) if None not in target else None
    return sizes


def _rest(source: Shape | None, target: Sizes, sizes: Sizes, copies: bool) -> Count | None:
    """The size that -1 stands for: what the others leave of all elements."""
    if source is None:
        return None
    # a size that is copied cancels, even if it is unknown
    copied = {axis for axis, size in enumerate(target) if size == 0 and copies}
    known = [size for axis, size in enumerate(sizes) if axis not in copied and target[axis] != -1]
    try:
        whole = elements(size for axis, size in enumerate(source) if axis not in copied)
        return divided(whole, elements(known))
    except Unknown:
        return None


def divided(whole: Count, part: Count) -> Count | None:
    """``whole / part``, of which the op itself demands that it leaves no rest."""
    if part == 0:
        return None
    exact = quotient(whole, part)
    if exact is not None:
        return exact
    if isinstance(part, int):
        return whole // part if part > 0 else None
    if len(part.terms) > 1:
        return None
    # dimensions cancel first; then the number divides, at those sizes at which the op runs
    coefficient = part.terms[0][1]
    dimensions = quotient(part, coefficient)
    reduced = quotient(whole, dimensions) if dimensions is not None else None
    return None if reduced is None or coefficient < 1 else reduced // coefficient


def reshape(call: Call) -> Sequence[Tensor]:
    """Reshape."""
    return [Tensor(call.dtype(), tuple(reshaped_sizes(call)))]


def flattened_sizes(call: Call) -> Sizes:
    """Two sizes: of the axes before ``axis``, and of those from it on."""
    shape = call.shape()
    axis = call.attributes.integer("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise Unknown
    axis += len(shape) if axis < 0 else 0
    return [_elements_or_none(shape[:axis]), _elements_or_none(shape[axis:])]


def _elements_or_none(shape: Shape) -> Count | None:
    try:
        return elements(shape)
    except Unknown:
        return None


def flatten(call: Call) -> Sequence[Tensor]:
    """Flatten."""
    return [Tensor(call.dtype(), tuple(flattened_sizes(call)))]


def squeezed_sizes(call: Call) -> Sizes:
    """Sizes without those of the axes that are taken out."""
    shape = call.shape()
    axes = call.fixed_integers("axes", 1, 13)
    if axes is None:
        if not all(size is not None and (size == 1 or is_at_least(size, 2)) for size in shape):
            raise Unknown
        return [size for size in shape if size != 1]
    taken = normalized_all(axes, len(shape))
    return [size for axis, size in enumerate(shape) if axis not in taken]


def squeeze(call: Call) -> Sequence[Tensor]:
    """Squeeze."""
    return [Tensor(call.dtype(), tuple(squeezed_sizes(call)))]


def unsqueezed_sizes(call: Call) -> Sizes:
    """Sizes with ones at the axes that are put in."""
    shape = list(call.shape())
    axes = call.fixed_integers("axes", 1, 13)
    if axes is None:
        raise Unknown
    rank = len(shape) + len(axes)
    if rank > _MOST_AXES:
        raise Unknown
    added = set(normalized_all(axes, rank))
    rest = iter(shape)
    return [1 if axis in added else next(rest) for axis in range(rank)]


def unsqueeze(call: Call) -> Sequence[Tensor]:
    """Unsqueeze."""
    return [Tensor(call.dtype(), tuple(unsqueezed_sizes(call)))]


def transpose(call: Call) -> Sequence[Tensor]:
    """Transpose."""
    shape = call.shape()
    order = call.attributes.integers("perm")
    axes = normalized_all(order, len(shape)) if order is not None else list(reversed(range(len(shape))))
    if sorted(axes) != list(range(len(shape))):
        raise Unknown
    return [Tensor(call.dtype(), tuple([shape[axis] for axis in axes]))]


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
        if not isinstance(rank, int) or rank > _MOST_AXES:
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


# --- gathering -------------------------------------------------------------------------------------------


def gather(call: Call) -> Sequence[Tensor]:
    """Gather: the indices' shape takes the place of the axis."""
    shape, indices = call.shape(), call.shape(1)
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    return [Tensor(call.dtype(), (*shape[:axis], *indices, *shape[axis + 1 :]))]


def like_second(call: Call) -> Sequence[Tensor]:
    """GatherElements: the result has the indices' shape."""
    return [Tensor(call.dtype(), call.shape(1))]


def gather_nd(call: Call) -> Sequence[Tensor]:
    """GatherND: the last axis of the indices holds places."""
    shape, indices = call.shape(), call.shape(1)
    batch = call.attributes.integer("batch_dims", 0)
    if not indices or not 0 <= batch < min(len(shape), len(indices)):
        raise Unknown
    depth = fixed(indices[-1])
    if not 1 <= depth <= len(shape) - batch:
        raise Unknown
    return [Tensor(call.dtype(), (*indices[:-1], *shape[batch + depth :]))]


def one_hot(call: Call) -> Sequence[Tensor]:
    """OneHot: an axis as long as the depth is put in."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", -1), len(shape) + 1)
    try:
        depth = call.value(1).item()
    except Unknown:
        depth = None
    if depth is not None and call.dtype(1) not in INTEGERS:
        depth = None if isinstance(depth, Symbolic) else int(depth)
    return [Tensor(call.dtype(2), (*shape[:axis], depth, *shape[axis:]))]


def top_k(call: Call) -> Sequence[Tensor]:
    """TopK: the axis becomes k long."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", -1), len(shape))
    size: Count | None
    try:
        size = call.attributes.integer("k", 0) if call.opset < 10 else call.value(1).item()
    except Unknown:
        size = None
    result = (*shape[:axis], size, *shape[axis + 1 :])
    return [Tensor(call.dtype(), result), Tensor(TensorProto.INT64, result)]


def non_zero(call: Call) -> Sequence[Tensor]:
    """NonZero: how many there are depends on data."""
    return [Tensor(TensorProto.INT64, (len(call.shape()), None))]


def compress(call: Call) -> Sequence[Tensor]:
    """Compress: how many are kept depends on data."""
    if "axis" not in call.attributes:
        return [Tensor(call.dtype(), (None,))]
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    return [Tensor(call.dtype(), (*shape[:axis], None, *shape[axis + 1 :]))]


# --- reducing --------------------------------------------------------------------------------------------

AXES_AS_OPERAND = {"ReduceSum": 13}


def reduced_axes(call: Call, rank: int) -> list[int]:
    """Axes that a reduction takes together, from the front."""
    since = AXES_AS_OPERAND.get(call.node.op_type, 18)
    axes = call.fixed_integers("axes", 1, since)
    if not axes:
        return [] if call.attributes.integer("noop_with_empty_axes", 0) else list(range(rank))
    return normalized_all(axes, rank)


def reduce_(call: Call) -> Sequence[Tensor]:
    """ReduceSum and its like."""
    shape = call.shape()
    keep = bool(call.attributes.integer("keepdims", 1))
    try:
        axes = reduced_axes(call, len(shape))
    except Unknown:
        if not keep:
            raise
        return [Tensor(call.dtype(), (None,) * len(shape))]
    return [Tensor(call.dtype(), without_axes(shape, axes, keep))]


def without_axes(shape: Shape, axes: Sequence[int], keep: bool) -> Shape:
    """A shape with axes taken out, or made 1 if they are kept."""
    return tuple([1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes])


def arg_reduce(call: Call) -> Sequence[Tensor]:
    """ArgMax and ArgMin."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    keep = bool(call.attributes.integer("keepdims", 1))
    return [Tensor(TensorProto.INT64, without_axes(shape, [axis], keep))]


# --- blocks ----------------------------------------------------------------------------------------------


def depth_to_space(call: Call) -> Sequence[Tensor]:
    """DepthToSpace: channels become a block of pixels."""
    block, (batch, channels, *pixels) = _blocks(call)
    shape = batch, floor_divide(channels, block**2), *(multiply(size, block) for size in pixels)
    return [Tensor(call.dtype(), shape)]


def space_to_depth(call: Call) -> Sequence[Tensor]:
    """SpaceToDepth: a block of pixels becomes channels."""
    block, (batch, channels, *pixels) = _blocks(call)
    shape = batch, multiply(channels, block**2), *(floor_divide(size, block) for size in pixels)
    return [Tensor(call.dtype(), shape)]


def _blocks(call: Call) -> tuple[int, Shape]:
    """Size of a block, and the shape (batch, channels, height, width)."""
    shape, block = call.shape(), call.attributes.integer("blocksize", 0)
    if len(shape) != 4 or block < 1:
        raise Unknown
    return block, shape


def col2im(call: Call) -> Sequence[Tensor]:
    """Col2Im: columns back to an image of a given shape."""
    batch, rows, _ = call.shape()
    image = tuple(call.counts(1))
    block = elements(call.counts(2))
    return [Tensor(call.dtype(), (batch, None if rows is None else divided(rows, block), *image))]
