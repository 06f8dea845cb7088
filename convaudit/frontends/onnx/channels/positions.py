"""Which positions of its operands a node reads, told which ones of its results are read: one table of ops.

``Positions`` has for each axis of a tensor a mask of its indices, or None for all of them; () stands for
everything. What is read is a subset of the product of the masks, so a position outside of it is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convaudit.frontends.onnx.channels.facts import Mask
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.elementwise import ELEMENTWISE_OPS
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.records import ConvLayer, Shape
from convaudit.shapes import same_padding

Positions = tuple[Mask | None, ...]
EVERYTHING: Positions = ()
_LONGEST = 2**20  # of an axis that is written out
_MOST_TAPS = 2**12

Reading = Callable[[Site, Sequence[Positions | None]], Sequence[Positions | None]]
"""What of each operand is read, told what is of each result; None: nothing."""


def read_by_both(one: Positions, other: Positions) -> Positions:
    """What reads both."""
    if len(one) != len(other):
        return EVERYTHING
    return tuple(
        None if mask is None or more is None or len(mask) != len(more) else _plain(mask | more)
        for mask, more in zip(one, other, strict=True)
    )


def _plain(mask: Mask) -> Mask | None:
    return None if mask.all() else mask


def _length(shape: Shape | None, axis: int) -> int:
    size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    if not isinstance(size, int) or not 0 < size <= _LONGEST:
        raise Unknown
    return size


def _first(site: Site, wanted: Sequence[Positions | None]) -> Positions:
    """What is read of the first result, with a mask for each of its axes."""
    found = wanted[0] if wanted else None
    rank = len(site.output_shape())
    if any(one is not None for one in wanted[1:]) or found is None or found == EVERYTHING:
        return (None,) * rank
    return found


def _whole(mask: Mask | None, size: int) -> Mask:
    return np.ones(size, np.bool_) if mask is None else mask


def _elementwise(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    read, after = _first(site, wanted), site.output_shape()
    if "axis" in site.attributes:
        raise Unknown  # before opset 7 it said which axes an operand is spread along
    found: list[Positions | None] = []
    for index, key in enumerate(site.inputs):
        shape = None if key is None else site.shape(index)
        if shape is None or len(shape) > len(after):
            found.append(EVERYTHING)
            continue
        late = len(after) - len(shape)
        same = [size == after[late + axis] for axis, size in enumerate(shape)]
        found.append(tuple(read[late + axis] if one else None for axis, one in enumerate(same)))
    return found


def _of_data(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    """Of the first operand the same, of the others everything."""
    return [_first(site, wanted), *[EVERYTHING] * (len(site.inputs) - 1)]


def _convolution(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    layer, read = site.layer, _first(site, wanted)
    if layer is None or layer.deformable or None in (layer.stride, layer.padding, layer.dilation):
        raise Unknown
    before, after = site.ranked(), site.output_shape()
    first = 1 if layer.layout == "channels_last" else 2
    found: list[Mask | None] = [None] * len(before)
    for axis, window in enumerate(_windows(layer)):
        place = first + axis
        mask = _whole(read[place], _length(after, place))
        through = _through_transposed if layer.transposed else _through
        found[place] = _plain(through(mask, _length(before, place), *window))
    others: list[Positions | None] = [EVERYTHING] * (len(site.inputs) - 1)
    return [tuple(found), *others]


def _windows(layer: ConvLayer) -> list[tuple[int, int, int, int]]:
    """Kernel size, stride, dilation and padding before the first position, of each axis."""
    values = (layer.kernel_size or (), layer.stride or (), layer.dilation or (), layer.padding or ())
    return [(kernel, step, spread, pads[0]) for kernel, step, spread, pads in zip(*values, strict=True)]


def _pooling(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    attributes, read = site.attributes, _first(site, wanted)
    before, after = site.ranked(), site.output_shape()
    rank = len(before) - 2
    kernel = attributes.sizes("kernel_shape", rank, default=1, minimum=1)
    strides = attributes.sizes("strides", rank, default=1, minimum=1)
    dilations = attributes.sizes("dilations", rank, default=1, minimum=1)
    pads = list(attributes.sizes("pads", 2 * rank, default=0, minimum=0))
    auto = attributes.string("auto_pad", "NOTSET")
    found: list[Mask | None] = [None, None]
    for axis in range(rank):
        size, start = _length(before, axis + 2), pads[axis]
        if auto.startswith("SAME"):
            upper = auto == "SAME_UPPER"
            start = same_padding(size, kernel[axis], strides[axis], dilations[axis], upper=upper)[0]
        mask = _whole(read[axis + 2], _length(after, axis + 2))
        found.append(_plain(_through(mask, size, kernel[axis], strides[axis], dilations[axis], start)))
    return [tuple(found)]


def _through(mask: Mask, size: int, kernel: int, stride: int, dilation: int, before: int) -> Mask:
    """Positions of an axis that windows read, of those outputs that are read."""
    if kernel > _MOST_TAPS:
        raise Unknown
    found = np.zeros(size, np.bool_)
    starts = np.flatnonzero(mask) * stride - before
    for tap in range(kernel):
        places = starts + tap * dilation
        found[places[(places >= 0) & (places < size)]] = True
    return found


def _through_transposed(mask: Mask, size: int, kernel: int, stride: int, dilation: int, before: int) -> Mask:
    if kernel > _MOST_TAPS:
        raise Unknown
    found = np.zeros(size, np.bool_)
    starts = np.arange(size) * stride - before
    for tap in range(kernel):
        places = starts + tap * dilation
        inside = (places >= 0) & (places < len(mask))
        found[inside] |= mask[places[inside]]
    return found


def _concat(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    read = _first(site, wanted)
    axis = site.attributes.integer("axis", 1) % len(read)
    whole, start, found = read[axis], 0, list[Positions | None]()
    for index in range(len(site.inputs)):
        masks = list(read)
        if whole is not None:
            size = _length(site.shape(index), axis)
            masks[axis] = _plain(whole[start : start + size])
            start += size
        found.append(tuple(masks))
    return found


def _split(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    """Along the axis that is split everything, along the others what either part is read of."""
    rank = len(site.ranked())
    axis = site.attributes.integer("axis", 0) % rank
    read: Positions | None = None
    for one in wanted:
        if one is not None:
            masks = one or (None,) * rank
            read = masks if read is None else read_by_both(read, masks)
    masks = read or (None,) * rank
    return [tuple(None if index == axis else mask for index, mask in enumerate(masks)), EVERYTHING]


def _transpose(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    read = _first(site, wanted)
    order = site.attributes.integers("perm") or list(range(len(read)))[::-1]
    found: list[Mask | None] = [None] * len(read)
    for place, axis in enumerate(order):
        found[axis] = read[place]
    return [tuple(found)]


def _slice(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    read, before = _first(site, wanted), site.ranked()
    since = 10
    starts, ends = site.integers("starts", 1, since), site.integers("ends", 2, since)
    if starts is None or ends is None:
        raise Unknown
    axes = site.integers("axes", 3, since) or list(range(len(starts)))
    steps = (site.integers("steps", 4, since) if site.opset >= since else None) or [1] * len(starts)
    found = list(read)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = _length(before, axis)
        chosen = np.arange(size)[start:end:step]
        mask = np.zeros(size, np.bool_)
        mask[chosen[_whole(read[axis], len(chosen))]] = True
        found[axis] = _plain(mask)
    return [tuple(found), *[EVERYTHING] * (len(site.inputs) - 1)]


def _pad(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    read, before = _first(site, wanted), site.ranked()
    pads = site.integers("pads", 1, 11)
    if pads is None or len(pads) != 2 * len(read) or site.has(3):
        raise Unknown
    if site.attributes.string("mode", "constant") != "constant":
        raise Unknown
    found: list[Mask | None] = []
    for axis, mask in enumerate(read):
        start, end = pads[axis], pads[axis + len(read)]
        if mask is None and start >= 0 and end >= 0:
            found.append(None)
            continue
        size, after = _length(before, axis), _length(site.output_shape(), axis)
        places = np.arange(size) + start
        inside = (places >= 0) & (places < after)
        kept = np.zeros(size, np.bool_)
        kept[inside] = _whole(mask, after)[places[inside]]
        found.append(_plain(kept))
    return [tuple(found), *[EVERYTHING] * (len(site.inputs) - 1)]


READINGS: dict[str, Reading] = {
    **dict.fromkeys(ELEMENTWISE_OPS, _elementwise),
    **dict.fromkeys(("BatchNormalization", "DequantizeLinear", "Dropout", "QuantizeLinear"), _of_data),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _pooling),
    "Concat": _concat,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
"""By op type; a convolution is told by its record, and any other op reads everything."""


def reads(site: Site, wanted: Sequence[Positions | None]) -> Sequence[Positions | None]:
    """What of each operand a node reads.

    Raises:
        Unknown: It cannot be told.
    """
    if site.layer is not None:
        return _convolution(site, wanted)
    reading = READINGS.get(site.op)
    if reading is None:
        raise Unknown
    return reading(site, wanted)
