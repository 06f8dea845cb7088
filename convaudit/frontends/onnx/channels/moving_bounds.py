"""Bounds of what ops give that move, choose, average or scale elements by axes, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.compressed import reshaped
from convaudit.frontends.onnx.channels.intervals import (
    UNBOUNDED,
    ZERO,
    Interval,
    interval,
    negative_of,
    product_of,
    quotient_of,
    sum_of,
)
from convaudit.frontends.onnx.loader.tensors import dtype_name, is_floating
from convaudit.records import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One node, and what is known of its tensors.

    Attributes:
        attributes: Of the node.
        operands: Bounds of its operands; None where one is absent.
        shapes: Shapes of its operands; None where not even the rank is known.
        given: Shapes of its results.
    """

    attributes: Attributes
    operands: Sequence[Interval | None]
    shapes: Sequence[Shape | None]
    given: Sequence[Shape | None]

    def operand(self, index: int, absent: Interval = UNBOUNDED) -> Interval:
        """Bounds of an operand."""
        found = self.operands[index] if index < len(self.operands) else None
        return absent if found is None else found

    def size(self, shape: Shape | None, axis: int) -> int | None:
        """Size of an axis; None if unknown."""
        size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
        return size if isinstance(size, int) else None

    def laid(self, values: Interval, shape: Shape | None, axis: int) -> Interval:
        """A vector of intervals laid along an axis of a tensor; their hull where its rank is unknown."""
        if shape is None or values.low.size == 1 or not -len(shape) <= axis < len(shape):
            return values.hull
        sizes = [1] * len(shape)
        sizes[axis] = -1
        return Interval(values.low.reshape(sizes), values.high.reshape(sizes))

    def by_channel(self) -> Interval:
        """Bounds of the first operand by channel; their hull where the op changes how many there are."""
        x, channels = self.operand(0), self.size(self.shapes[0], 1)
        if channels is None or channels != self.size(self.given[0], 1):
            return x.hull
        return self.laid(x.along(1, channels), self.given[0], 1)


Movement = Callable[[Moved], Iterator[Interval]]


def _hull(moved: Moved) -> Iterator[Interval]:
    for _ in moved.given:
        yield moved.operand(0).hull


def _reshaped(moved: Moved) -> Iterator[Interval]:
    x, before, after = moved.operand(0), moved.shapes[0], moved.given[0]
    if before is None or after is None or x.low.ndim != len(before) or x.high.ndim != len(before):
        yield x.hull
        return
    low, high = reshaped(x.low, before, after), reshaped(x.high, before, after)
    yield x.hull if low is None or high is None else Interval(low, high)


def _concat(moved: Moved) -> Iterator[Interval]:
    axis = moved.attributes.integer("axis", 1)
    sizes = [moved.size(shape, axis) for shape in moved.shapes]
    parts = [one for one in moved.operands if one is not None]
    if None in sizes or len(parts) != len(sizes):
        hull = parts[0].hull
        for part in parts:
            hull = hull.joined(part.hull)
        yield hull
        return
    lines = [part.along(axis, size or 0) for part, size in zip(parts, sizes, strict=True)]
    whole = Interval(np.concatenate([one.low for one in lines]), np.concatenate([one.high for one in lines]))
    yield moved.laid(whole, moved.shapes[0], axis)


def _split(moved: Moved) -> Iterator[Interval]:
    axis, x = moved.attributes.integer("axis", 0), moved.operand(0)
    whole, sizes = moved.size(moved.shapes[0], axis), [moved.size(shape, axis) for shape in moved.given]
    known = [size for size in sizes if size is not None]
    if whole is None or len(known) != len(sizes) or sum(known) != whole:
        yield from _hull(moved)
        return
    line, start = x.along(axis, whole), 0
    for size, shape in zip(known, moved.given, strict=True):
        part = Interval(line.low[start : start + size], line.high[start : start + size])
        yield moved.laid(part, shape, axis) if size else UNBOUNDED
        start += size


def _transpose(moved: Moved) -> Iterator[Interval]:
    order, x = moved.attributes.integers("perm"), moved.operand(0)
    rank = len(moved.shapes[0] or ())
    if x.low.ndim == x.high.ndim == rank and rank:
        yield Interval(np.transpose(x.low, order), np.transpose(x.high, order))
    else:
        yield x.hull


def _chosen(moved: Moved) -> Iterator[Interval]:
    yield moved.by_channel()


def _averaged(moved: Moved) -> Iterator[Interval]:
    """Averages, with room for the rounding of sums of up to 2**23 terms of float32."""
    x = moved.by_channel()
    room = np.where(np.isfinite(x.magnitude), x.magnitude, 0.0)
    averages = Interval(x.low - room, x.high + room)
    yield averages.joined(ZERO) if moved.attributes.integer("count_include_pad", 0) else averages


def _resized(moved: Moved) -> Iterator[Interval]:
    attributes = moved.attributes
    mode = attributes.string("mode", "nearest")
    outside = attributes.string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    yield UNBOUNDED if mode == "cubic" or outside else moved.by_channel().widened


def _padded(moved: Moved) -> Iterator[Interval]:
    attributes = moved.attributes
    x = moved.operand(0).hull if _moves_channels(moved) else moved.by_channel()
    if attributes.string("mode", "constant") != "constant":
        yield x
    elif "value" in attributes:
        value = attributes.real("value", 0.0)
        yield x.joined(interval(value, value))
    else:
        yield x.joined(moved.operand(2, ZERO).hull)


def _moves_channels(moved: Moved) -> bool:
    """Whether a Pad may begin or end elsewhere along the axis of channels."""
    attribute = next((name for name in ("pads", "paddings") if name in moved.attributes), None)
    if attribute is not None:
        pads = np.array(moved.attributes.integers(attribute) or ())
    elif moved.operand(3, ZERO) is not ZERO or not moved.operand(1).bounded:
        return True  # only some axes are named, or the sizes are computed
    else:
        known = moved.operand(1)
        pads = np.where(known.low == known.high, known.low, 1)
    rank = len(moved.shapes[0] or ())
    return pads.size != 2 * rank or bool(pads[1] or pads[rank + 1])


def _cast(moved: Moved) -> Iterator[Interval]:
    to = dtype_name(moved.attributes.integer("to", 0))
    yield moved.operand(0).widened if is_floating(to) and "8" not in to and "4e" not in to else UNBOUNDED


def _dequantised(moved: Moved) -> Iterator[Interval]:
    axis, shape = moved.attributes.integer("axis", 1), moved.shapes[0]
    blocked = moved.attributes.integer("block_size", 0)
    scale, zero = (
        one.hull if blocked or one.low.ndim > 1 else moved.laid(one, shape, axis)
        for one in (moved.operand(1), moved.operand(2, ZERO))
    )
    yield product_of(sum_of(moved.operand(0), negative_of(zero)), scale)


def _normalised(moved: Moved) -> Iterator[Interval]:
    attributes, shape = moved.attributes, moved.shapes[0]
    if attributes.integer("training_mode", 0) or len(moved.given) > 1:
        return
    scale, shift, mean, variance = (moved.laid(moved.operand(index), shape, 1) for index in range(1, 5))
    epsilon = attributes.real("epsilon", 1e-5)
    lowest = np.sqrt(np.maximum(variance.low + epsilon, 0.0))
    deviation = Interval(lowest, np.sqrt(np.maximum(variance.high + epsilon, 0.0)))
    yield sum_of(
        product_of(sum_of(moved.operand(0), negative_of(mean)), quotient_of(scale, deviation)), shift
    )


MOVING_BOUNDS: dict[str, Movement] = {
    "AveragePool": _averaged,
    "BatchNormalization": _normalised,
    "Cast": _cast,
    "Concat": _concat,
    "DepthToSpace": _hull,
    "DequantizeLinear": _dequantised,
    "Expand": _hull,
    "Flatten": _reshaped,
    "Gather": _hull,
    "GlobalAveragePool": _averaged,
    "GlobalMaxPool": _chosen,
    "MaxPool": _chosen,
    "Pad": _padded,
    "Reshape": _reshaped,
    "Resize": _resized,
    "Slice": _hull,
    "SpaceToDepth": _hull,
    "Split": _split,
    "Squeeze": _reshaped,
    "Tile": _hull,
    "Transpose": _transpose,
    "Unsqueeze": _reshaped,
    "Upsample": _resized,
}
