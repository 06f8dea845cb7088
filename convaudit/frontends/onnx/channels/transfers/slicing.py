"""Split, Slice, Gather and Pad: parts of a tensor along its axes, and what is laid around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.frontends.onnx.channels.compressed import MOST_OF_A_FACT, any_along, check_size, everywhere
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, all_of, first
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown


def split_parts(site: Site) -> tuple[int, list[range]]:
    """The axis of a Split and which indices each result has; Unknown is raised where they are not known."""
    axis = normalized(site.attributes.integer("axis", 0), len(site.ranked()))
    parts, start = [], 0
    for index in range(len(site.outputs)):
        size = site.output_shape(index)[axis]
        if not isinstance(size, int):
            raise Unknown
        parts.append(range(start, start + size))
        start += size
    if start != site.ranked()[axis]:
        raise Unknown
    return axis, parts


def _split(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None] * len(site.outputs)
    mask, values = np.broadcast_arrays(known.mask, known.values)
    axis = normalized(site.attributes.integer("axis", 0), values.ndim)
    if values.shape[axis] == 1:
        return [KnownElements(mask, values)] * len(site.outputs)
    _, parts = split_parts(site)
    return [KnownElements(mask.take(part, axis), values.take(part, axis)) for part in parts]


def _unsplit(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    axis, parts = split_parts(site)
    sizes: list[int] = [len(part) for part in parts]
    rank = len(site.ranked())
    masks = [everywhere((None,) * rank, value=False) if mask is None else mask for mask in wanted]
    others = np.broadcast_shapes(*(_at_one(mask.shape, axis) for mask in masks))
    if int(np.prod(others, dtype=object)) * sum(sizes) > MOST_OF_A_FACT:
        raise Unknown
    joined = [
        np.broadcast_to(mask, (*others[:axis], size, *others[axis + 1 :]))
        for mask, size in zip(masks, sizes, strict=True)
    ]
    return [np.concatenate(joined, axis), all_of(site, 1)]


def _at_one(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


def slices(site: Site) -> dict[int, tuple[int, int, int]]:
    """By axis of a Slice: start, end and step, as they stand in the node; Unknown where they are computed."""
    starts, ends = site.integers("starts", 1, 10), site.integers("ends", 2, 10)
    if starts is None or ends is None:
        raise Unknown
    axes = site.integers("axes", 3, 10)
    steps = site.integers("steps", 4, 10) or [1] * len(starts)
    chosen = normalized_all(list(range(len(starts))) if axes is None else axes, len(site.ranked()))
    return {
        axis: (start, end, step) for axis, start, end, step in zip(chosen, starts, ends, steps, strict=True)
    }


def chosen_indices(size: int, start: int, end: int, step: int) -> range:
    """The indices that a Slice takes of an axis, by ONNX's clamping."""
    if not step:
        raise Unknown
    start, end = (value + size if value < 0 else value for value in (start, end))
    if step > 0:
        return range(min(max(start, 0), size), min(max(end, 0), size), step)
    return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)


def _slice(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    mask, values = np.broadcast_arrays(known.mask, known.values)
    if any(size > 1 for size in mask.shape):
        for axis, (start, end, step) in slices(site).items():
            if mask.shape[axis] > 1:
                chosen = chosen_indices(mask.shape[axis], start, end, step)
                mask, values = mask.take(chosen, axis), values.take(chosen, axis)
    return [KnownElements(mask, values)]


def _unslice(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask, shape = first(wanted), site.ranked()
    settings = [all_of(site, index) for index in range(1, len(site.inputs))]
    try:
        found = slices(site)
    except Unknown:
        # which axes it cuts is not known either, but where sizes are the same before and after ...
        return [everywhere(shape), *settings]
    for axis, (start, end, step) in found.items():
        size = shape[axis]
        if not isinstance(size, int):
            mask = any_along(mask, [axis])
            continue
        chosen = chosen_indices(size, start, end, step)
        if len(chosen) == size and step == 1:
            continue
        if len(chosen) > MOST_OF_A_FACT:
            mask = any_along(mask, [axis])
            continue
        mask = _scattered(mask, axis, np.asarray(chosen, np.intp), size)
    return [mask, *settings]


def _scattered(mask: Mask, axis: int, indices: NDArray[np.intp], size: int) -> Mask:
    """A mask of what was taken along an axis as one of what it was taken from."""
    others = _at_one(mask.shape, axis)
    if int(np.prod(others, dtype=object)) * size > MOST_OF_A_FACT:
        return any_along(mask, [axis])
    whole = np.zeros((*mask.shape[:axis], size, *mask.shape[axis + 1 :]), np.bool_)
    moved = np.moveaxis(whole, axis, 0)
    part = np.moveaxis(
        np.broadcast_to(mask, (*mask.shape[:axis], len(indices), *mask.shape[axis + 1 :])), axis, 0
    )
    np.logical_or.at(moved, indices, part)
    return whole


def gathered(site: Site) -> tuple[int, NDArray[np.intp]]:
    """The axis of a Gather and its indices, none negative; Unknown is raised where they are computed."""
    shape = site.ranked()
    axis = normalized(site.attributes.integer("axis", 0), len(shape))
    indices, size = site.constant(1), shape[axis]
    if not isinstance(size, int) or not indices.size:
        raise Unknown
    indices = indices.astype(np.intp)
    indices = np.where(indices < 0, indices + size, indices)
    if indices.min() < 0 or indices.max() >= size:
        raise Unknown
    return axis, indices


def _gather(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    mask, values = np.broadcast_arrays(known.mask, known.values)
    axis = normalized(site.attributes.integer("axis", 0), mask.ndim)
    if mask.shape[axis] > 1:
        _, indices = gathered(site)
        return [KnownElements(mask.take(indices, axis), values.take(indices, axis))]
    shape = (*mask.shape[:axis], *(1,) * len(site.ranked(1)), *mask.shape[axis + 1 :])
    return [KnownElements(mask.reshape(shape), values.reshape(shape))]


def _ungather(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask, rank = first(wanted), len(site.ranked(1))
    axis = normalized(site.attributes.integer("axis", 0), len(site.ranked()))
    taken = range(axis, axis + rank)
    others = (*mask.shape[:axis], 1, *mask.shape[axis + rank :])
    try:
        axis, indices = gathered(site)
    except Unknown:
        return [any_along(mask, taken).reshape(others), all_of(site, 1)]
    sizes = (*mask.shape[:axis], *indices.shape, *mask.shape[axis + rank :])
    if int(np.prod(sizes, dtype=object)) > MOST_OF_A_FACT:
        raise Unknown
    flat = np.broadcast_to(mask, sizes).reshape(
        (*mask.shape[:axis], indices.size, *mask.shape[axis + rank :])
    )
    size = site.ranked()[axis]
    assert isinstance(size, int)
    return [_scattered(flat, axis, indices.ravel(), size), all_of(site, 1)]


def padding_of(site: Site) -> dict[int, tuple[int, int]]:
    """By axis: what a Pad adds before and after; Unknown is raised where it is computed."""
    rank = len(site.ranked())
    pads = site.integers("pads", 1, 11) or site.attributes.integers("paddings")
    if pads is None:
        raise Unknown
    axes = site.integers("axes", 3, 18) if site.opset >= 18 else None
    chosen = list(range(rank)) if axes is None else normalized_all(axes, rank)
    if len(pads) != 2 * len(chosen):
        raise Unknown
    before, after = pads[: len(chosen)], pads[len(chosen) :]
    return {axis: (low, high) for axis, low, high in zip(chosen, before, after, strict=True) if low or high}


def _pad_value(site: Site, dtype: np.dtype[Any]) -> NDArray[Any]:
    if site.opset >= 11:
        return site.constant(2).reshape(()).astype(dtype) if site.has(2) else np.zeros((), dtype)
    return np.asarray(site.attributes.real("value", 0), dtype)


_CHANNELS = 1


def _pad(site: Site) -> Results:
    known, pads = site.known(), padding_of(site)
    mode = site.attributes.string("mode", "constant")
    cut = all(number <= 0 for pair in pads.values() for number in pair)
    rank = len(site.ranked())
    if known is None and (mode != "constant" or _CHANNELS not in pads or cut):
        return [None]
    key = site.inputs[0]
    dtype = known.values.dtype if known is not None else site.tensors.element_dtype(key)
    if dtype is None:
        raise Unknown
    nothing = KnownElements(np.zeros((1,) * rank, np.bool_), np.zeros((1,) * rank, dtype))
    mask, values = np.broadcast_arrays((known or nothing).mask, (known or nothing).values)
    number = _pad_value(site, dtype) if mode == "constant" and not cut else np.zeros((), dtype)
    for axis, (before, after) in sorted(pads.items(), key=lambda item: item[0] == _CHANNELS):
        along_channels = axis == _CHANNELS and (mode == "constant")
        if not along_channels and mask.shape[axis] == 1:
            if mode == "constant" and max(before, after) > 0:
                mask = mask & (values == number)
            continue
        size = site.ranked()[axis]
        if (
            mode != "constant"
            or not isinstance(size, int)
            or (size + abs(before) + abs(after)) * mask.size > MOST_OF_A_FACT
        ):
            raise Unknown
        pair = (before, after)
        mask, values = _padded(mask, axis, size, pair, True), _padded(values, axis, size, pair, number)
    return [KnownElements(mask, values)]


def _padded(array: NDArray[Any], axis: int, size: int, pads: tuple[int, int], number: Any) -> NDArray[Any]:
    before, after = pads
    array = np.broadcast_to(array, (*array.shape[:axis], size, *array.shape[axis + 1 :]))
    array = array.take(range(max(-before, 0), size - max(-after, 0)), axis)
    widths = [(0, 0)] * array.ndim
    widths[axis] = (max(before, 0), max(after, 0))
    return np.pad(array, widths, constant_values=number)


def _unpad(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask, pads = first(wanted), padding_of(site)
    constant = site.attributes.string("mode", "constant") == "constant"
    for axis, (before, after) in pads.items():
        size = site.ranked()[axis]
        if mask.shape[axis] == 1 and (axis != _CHANNELS or min(before, after) >= 0):
            continue
        if not constant or not isinstance(size, int):
            mask = any_along(mask, [axis])
            continue
        check_size(mask.size, abs(before) + size + abs(after))
        whole = np.broadcast_to(mask, (*mask.shape[:axis], before + size + after, *mask.shape[axis + 1 :]))
        lowest, highest = max(-before, 0), size - max(-after, 0)
        inner = whole.take(range(max(before, 0), max(before, 0) + highest - lowest), axis)
        mask = _padded(inner, axis, highest - lowest, (lowest, size - highest), False)
    return [mask, *(all_of(site, index) for index in range(1, len(site.inputs)))]


SLICING_OPS = {
    "Split": Transfer(_split, _unsplit),
    "Slice": Transfer(_slice, _unslice),
    "Gather": Transfer(_gather, _ungather),
    "Pad": Transfer(_pad, _unpad),
}
