"""Cutting a problem into parts: blocks of its output, and the input windows that they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from convaudit.engine.geometry import Geometry
from convaudit.shapes import Pair

WORTHWHILE = 0.7
"""What a halving must leave of a tile's memory to be preferred to the next axis: not only a halo."""


class BlockSize(NamedTuple):
    """Size of a block of the output: images, groups, filters of each group, positions per spatial axis."""

    images: int
    groups: int
    filters: int
    positions: tuple[int, ...]


def fitting(
    whole: BlockSize, size: Callable[[BlockSize], int], limit: int, *, by_group: bool = True
) -> BlockSize:
    """Halve a block axis by axis until it fits.

    Args:
        whole: The block to start from.
        size: Tells the bytes that judging a block takes.
        limit: Bytes that it may take.
        by_group: Whether groups may be separated.

    Returns:
        The largest block within the limit, or a single element if none is.
    """
    block, needed = whole, size(whole)
    while needed > limit and (halves := _halves(block, by_group)):
        sizes = [size(half) for half in halves]
        best = next((at for at, left in enumerate(sizes) if left <= WORTHWHILE * needed), None)
        best = sizes.index(min(sizes)) if best is None else best
        block, needed = halves[best], sizes[best]
    return block


def _halves(block: BlockSize, by_group: bool) -> list[BlockSize]:
    """The block with one axis halved: first the axes that cost nothing, then the others in memory's order."""
    halves = []
    if block.images > 1:
        halves.append(block._replace(images=_half(block.images)))
    if block.groups > 1 and by_group:
        halves.append(block._replace(groups=_half(block.groups)))
    for axis, count in enumerate(block.positions):
        if count > 1:
            cut = (*block.positions[:axis], _half(count), *block.positions[axis + 1 :])
            halves.append(block._replace(positions=cut))
    if block.filters > 1 and block.groups == 1:  # the filters of several groups do not lie side by side
        halves.append(block._replace(filters=_half(block.filters)))
    return halves


def _half(count: int) -> int:
    return -(-count // 2)


def ranges(size: int, step: int) -> Iterator[slice]:
    """Cut ``size`` into slices of ``step``."""
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


@dataclass(frozen=True, slots=True)
class InputWindow:
    """The input positions that some output positions of one axis need, as a convolution of their own."""

    inputs: slice
    padding: Pair
    own: int  # of the inputs: in each axis every input position belongs to one window, and may be in several


def windows(geometry: Geometry, block: Sequence[slice], *, transposed: bool) -> list[InputWindow]:
    """Find the input that a block of output positions needs.

    Args:
        geometry: Geometry of the whole convolution.
        block: Output positions, a slice per spatial axis.
        transposed: Whether the convolution is transposed.

    Returns:
        The window of each spatial axis.
    """
    if transposed:
        return [_scattering(geometry, axis, part) for axis, part in enumerate(block)]
    found = []
    for (first, end), size in zip(geometry.window(block), geometry.fine, strict=True):
        start = min(max(first, 0), size)
        stop = max(min(end, size), start)
        padding = (start - first, end - stop) if stop > start else (end - first, 0)
        found.append(InputWindow(slice(start, stop), padding, stop - start))
    return found


def _scattering(geometry: Geometry, axis: int, part: slice) -> InputWindow:
    """The inputs of a transposed convolution that reach these outputs, and how much of that to cut off."""
    stride, before = geometry.stride[axis], geometry.before[axis]
    size, out = geometry.coarse[axis], geometry.fine[axis]
    reach = geometry.dilation[axis] * (geometry.kernel[axis] - 1)

    def first_from(position: int) -> int:
        return min(max(-(-(position + before) // stride), 0), size)

    owned = slice(
        first_from(part.start) if part.start else 0, first_from(part.stop) if part.stop < out else size
    )
    start = first_from(part.start - reach) if part.start else 0
    start = min(start, size - 1)  # the engine needs at least one input, even one that reaches nothing
    stop = max(owned.stop, start + 1)
    cut = before + part.start - start * stride
    rest = (stop - start - 1) * stride + reach + 1 - cut - (part.stop - part.start)
    return InputWindow(slice(start, stop), (cut, rest), owned.stop - owned.start)


def longest_window(geometry: Geometry, positions: Sequence[int], *, transposed: bool) -> int:
    """The most elements that the windows of a block hold.

    Args:
        geometry: Geometry of the whole convolution.
        positions: Output positions of the block per spatial axis.
        transposed: Whether the convolution is transposed.

    Returns:
        Elements of one channel of one image.
    """
    block = [slice(0, count) for count in positions]
    if not transposed:
        reaches = [end - first for first, end in geometry.window(block)]
        return math.prod(map(min, reaches, geometry.fine))
    lengths = []
    for count, size, kernel, dilation, stride in zip(
        positions, geometry.coarse, geometry.kernel, geometry.dilation, geometry.stride, strict=True
    ):
        lengths.append(min(size, (count + dilation * (kernel - 1)) // stride + 2))
    return math.prod(lengths)
