"""Taps of a kernel that do nothing: zero ones along its border, and those that only ever meet padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convaudit.records import ConvLayer
from convaudit.shapes import Pair, conv_output_size

Crop = tuple[Pair, ...]
"""Of each spatial axis the first tap that stays, and the first one behind those that do."""


def hull(used: NDArray[np.bool_]) -> Crop:
    """The smallest box around the taps that are used, of which there is at least one."""
    pairs = []
    for axis in range(used.ndim):
        places = np.flatnonzero(used.any(axis=tuple(other for other in range(used.ndim) if other != axis)))
        pairs.append((int(places[0]), int(places[-1]) + 1))
    return tuple(pairs)


def outside(kernel: Sequence[int], crop: Crop) -> tuple[int, ...]:
    """Positions in the flattened kernel that a crop takes away, ascending."""
    mask = np.ones(tuple(kernel), bool)
    mask[tuple(slice(*pair) for pair in crop)] = False
    return tuple(np.flatnonzero(mask).tolist())


def met_taps(layer: ConvLayer) -> NDArray[np.bool_] | None:
    """Which taps, shaped as the kernel, ever meet a value and not only padding.

    Along an axis of unknown size all do. None: nothing at all is known, or there are no values.

    Along one axis tap ``t`` joins the coarse position ``o`` with the fine one ``o*stride + t*dilation -
    before``: of a convolution the output's with the input's, of a transposed one the other way round.
    """
    shapes = (layer.input_shape, layer.output_shape)
    if layer.deformable or layer.layout == "reordered" or layer.shapes_from or None in shapes:
        return None
    if not (layer.kernel_size and layer.stride and layer.dilation and layer.padding):
        return None
    places = slice(1, -1) if layer.layout == "channels_last" else slice(2, None)
    coarse, fine = (shape[places] for shape in reversed(shapes) if shape is not None)
    if layer.transposed:
        coarse, fine = fine, coarse
    met = np.ones(layer.kernel_size, bool)
    rank = len(layer.kernel_size)
    if len(coarse) != rank or len(fine) != rank:
        return None
    for axis, (count, size) in enumerate(zip(coarse, fine, strict=True)):
        if not isinstance(count, int) or not isinstance(size, int):
            continue
        if count < 1 or size < 1:
            return None
        taps = np.arange(layer.kernel_size[axis], dtype=np.int64)
        offsets = taps * layer.dilation[axis] - layer.padding[axis][0]
        stride = layer.stride[axis]
        first = np.maximum(-(offsets // stride), 0)  # the first position that is not before the values
        alive = (first < count) & (first * stride + offsets < size)
        met &= alive.reshape([-1 if other == axis else 1 for other in range(rank)])
    return met


def cropped_padding(layer: ConvLayer, crop: Crop) -> tuple[Pair, ...] | None:
    """The padding with which a cropped kernel computes the same at the same places.

    A tap less at the start is ``dilation`` less padding before, and one less at the end as much after. None:
    that would be less than none, or the padding is unknown.
    """
    if layer.padding is None or layer.dilation is None or layer.kernel_size is None or layer.deformable:
        return None
    pairs = []
    for axis, (first, end) in enumerate(crop):
        before, after = layer.padding[axis]
        before -= first * layer.dilation[axis]
        after -= (layer.kernel_size[axis] - end) * layer.dilation[axis]
        if after < 0 <= before and _ends_alike(layer, axis, end - first, before):
            after = 0
        if before < 0 or after < 0:
            return None
        pairs.append((before, after))
    return tuple(pairs)


def _ends_alike(layer: ConvLayer, axis: int, kernel: int, before: int) -> bool:
    """Whether the stride leaves out at the end what a shorter kernel without padding there would reach."""
    if layer.transposed or layer.layout == "reordered" or layer.stride is None or layer.dilation is None:
        return False
    place = axis + (1 if layer.layout == "channels_last" else 2)
    if layer.input_shape is None or layer.output_shape is None:
        return False
    size, wanted = layer.input_shape[place], layer.output_shape[place]
    if not isinstance(size, int) or not isinstance(wanted, int) or size + before < kernel:
        return False
    return conv_output_size(size, kernel, layer.stride[axis], layer.dilation[axis], before, 0) == wanted
