"""Ops that give the same elements in other places: reshapes, transpositions, repetitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.frontends.onnx.channels.compressed import any_along, check_size, reshaped, unbroadcast
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, all_of, first
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown

_Fact = NDArray[Any]


def _moving(there: Callable[[Site, _Fact], _Fact], back: Callable[[Site, Mask], Mask]) -> Transfer:
    """A row of what one function does to the elements, and what another one does to bring them back."""

    def forward(site: Site) -> Results:
        known = site.known()
        if known is None:
            return [None]
        mask = np.broadcast_to(known.mask, known.values.shape)
        return [KnownElements(there(site, mask), there(site, known.values))]

    def backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
        settings = [all_of(site, index) for index in range(1, len(site.inputs))]
        return [back(site, first(wanted)), *settings]

    return Transfer(forward, backward)


def _reshape(site: Site, array: _Fact) -> _Fact:
    moved = reshaped(array, site.ranked(), site.output_shape())
    if moved is None:
        raise Unknown
    return moved


def _unreshape(site: Site, mask: Mask) -> Mask:
    moved = reshaped(mask, site.output_shape(), site.ranked())
    if moved is None:
        raise Unknown
    return moved


def _axes(site: Site) -> list[int] | None:
    return site.integers("axes", 1, 13)


def _unsqueezed(site: Site) -> tuple[int, ...]:
    axes = _axes(site)
    if axes is None:
        raise Unknown
    return tuple(normalized_all(axes, len(site.ranked()) + len(axes)))


def _squeezed(site: Site) -> tuple[int, ...]:
    axes, shape = _axes(site), site.ranked()
    if axes is not None:
        return tuple(normalized_all(axes, len(shape)))
    if None in shape:
        raise Unknown
    return tuple(axis for axis, size in enumerate(shape) if size == 1)


def _order(site: Site) -> list[int]:
    rank = len(site.ranked())
    order = site.attributes.integers("perm")
    order = list(range(rank))[::-1] if order is None else order
    if sorted(order) != list(range(rank)):
        raise Unknown
    return order


def _flatten(site: Site, array: _Fact) -> _Fact:
    shape = site.ranked()
    axis = site.attributes.integer("axis", 1)
    axis = axis if axis == len(shape) else normalized(axis, len(shape))
    sides = []
    for sizes, side in ((shape[:axis], array.shape[:axis]), (shape[axis:], array.shape[axis:])):
        whole = all(size == 1 for size in side)
        if not whole and not all(isinstance(size, int) for size in sizes):
            raise Unknown
        sides.append([1] * len(sizes) if whole else [int(size) for size in sizes])  # type: ignore[arg-type]
    check_size(*sides[0], *sides[1])
    spread = np.broadcast_to(array, (*sides[0], *sides[1]))
    return spread.reshape([int(np.prod(side, dtype=np.int64)) for side in sides])


def _expand(site: Site, array: _Fact) -> _Fact:
    return array  # facts broadcast by themselves


def _repeats(site: Site) -> list[tuple[int, int] | None]:
    """Of each axis of a Tile its size and how often it is repeated; None: not known."""
    repeats: list[tuple[int, int] | None] = []
    for size, result in zip(site.ranked(), site.output_shape(), strict=True):
        known = isinstance(size, int) and isinstance(result, int) and size > 0
        repeats.append((int(size), int(result) // int(size)) if known else None)  # type: ignore[arg-type]
    return repeats


def _tile(site: Site, array: _Fact) -> _Fact:
    for axis, repeat in enumerate(_repeats(site)):
        if array.shape[axis] > 1:
            if repeat is None:
                raise Unknown
            check_size(array.size, repeat[1])
            array = np.concatenate([array] * repeat[1], axis)
    return array


def _untile(site: Site, mask: Mask) -> Mask:
    for axis, repeat in enumerate(_repeats(site)):
        if mask.shape[axis] == 1:
            continue
        if repeat is None:
            mask = any_along(mask, [axis])
        else:
            size, times = repeat
            parts = mask.reshape((*mask.shape[:axis], times, size, *mask.shape[axis + 1 :]))
            mask = np.asarray(parts.any(axis=axis))
    return mask


def _spread_over_space(site: Site) -> tuple[int, bool, int]:
    """Block size, whether the block's position comes first, and the channels of the deeper tensor."""
    block = site.attributes.size("blocksize", 1, 1)
    deep = site.ranked() if site.op == "DepthToSpace" else site.output_shape()
    channels = deep[1]
    if not isinstance(channels, int) or channels % block**2:
        raise Unknown
    check_size(channels)
    first_block = site.op == "SpaceToDepth" or site.attributes.string("mode", "DCR") == "DCR"
    return block, first_block, channels


def _by_position(site: Site, deep: _Fact) -> _Fact:
    """Channels of the deeper tensor, (batch, deep, 1, 1), as (batch, positions, shallow, 1, 1)."""
    block, first_block, channels = _spread_over_space(site)
    batch = deep.shape[0]
    whole = np.broadcast_to(deep, (batch, channels, *deep.shape[2:]))
    if first_block:
        return whole.reshape(batch, block**2, -1, 1, 1)
    return np.swapaxes(whole.reshape(batch, -1, block**2, 1, 1), 1, 2)


def _to_space(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    _need_uniform(known.values)
    mask, values = (_by_position(site, array) for array in np.broadcast_arrays(known.mask, known.values))
    same = mask.all(axis=1) & (values == values[:, :1]).all(axis=1)
    return [KnownElements(same, values[:, 0])]


def _from_space(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    block, first_block, channels = _spread_over_space(site)
    mask = any_along(first(wanted), range(2, 4))
    shallow = np.broadcast_to(mask, (mask.shape[0], channels // block**2, 1, 1))
    return [np.tile(shallow, (1, block**2, 1, 1)) if first_block else np.repeat(shallow, block**2, 1)]


def _to_depth(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    block, _, _ = _spread_over_space(site)
    _need_uniform(known.values)
    mask, values = np.broadcast_arrays(known.mask, known.values)
    if mask.shape[1] == 1:
        return [known]
    return [KnownElements(np.tile(mask, (1, block**2, 1, 1)), np.tile(values, (1, block**2, 1, 1)))]


def _from_depth(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask = any_along(first(wanted), range(2, 4))
    return [any_along(_by_position(site, mask), [1])[:, 0]]


def _need_uniform(values: Sequence[Any] | _Fact) -> None:
    if any(size > 1 for size in np.shape(values)[2:]):
        raise Unknown


_SQUEEZE = _moving(
    lambda site, array: np.squeeze(array, _squeezed(site)),
    lambda site, mask: np.expand_dims(mask, _squeezed(site)),
)
_RESHAPE = _moving(_reshape, _unreshape)

MOVING_OPS = {
    "Reshape": _RESHAPE,
    "Flatten": _moving(_flatten, _unreshape),
    "Squeeze": _SQUEEZE,
    "Unsqueeze": _moving(
        lambda site, array: np.expand_dims(array, _unsqueezed(site)),
        lambda site, mask: np.squeeze(mask, _unsqueezed(site)),
    ),
    "Transpose": _moving(
        lambda site, array: np.transpose(array, _order(site)),
        lambda site, mask: np.transpose(mask, np.argsort(_order(site))),
    ),
    "Expand": _moving(_expand, lambda site, mask: unbroadcast(mask, site.shape())),
    "Tile": _moving(_tile, _untile),
    "DepthToSpace": Transfer(_to_space, _from_space),
    "SpaceToDepth": Transfer(_to_depth, _from_depth),
}
