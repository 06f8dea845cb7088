"""Groups that a layer hides: blocks of channels that no kernel joins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Indices = NDArray[np.intp]
_Mask = NDArray[np.bool_]
_TRIES = 30_000
"""Components that are placed for one layer, over all attempts, at most."""
_FEW = 8
"""Edges for each channel, on average, that are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentGroups:
    """In these orders of its channels a layer's weight is block-diagonal."""

    groups: int  # all of them, those that it has already included
    outputs: _Indices  # the output channel that stands at each place
    inputs: _Indices

    @property
    def in_order(self) -> bool:
        """Whether the channels stand so already."""
        return all(bool((order[:-1] < order[1:]).all()) for order in (self.outputs, self.inputs))

    def blocks(self) -> Iterator[tuple[_Indices, _Indices]]:
        """Output and input channels of each group."""
        yield from zip(
            self.outputs.reshape(self.groups, -1), self.inputs.reshape(self.groups, -1), strict=True
        )


@dataclass(frozen=True, slots=True)
class Components:
    """Connected components of the bipartite graph that non-zero kernels are the edges of, group by group."""

    outputs: _Indices  # (groups, out/groups): the number of the component; -1: no edge
    inputs: _Indices  # (groups, in/groups)
    counts: _Indices  # (groups,)

    def sizes(self) -> tuple[_Indices, _Indices]:
        """Outputs and inputs of each, (groups, most components of a group)."""
        return _sizes(self.outputs, int(self.counts.max())), _sizes(self.inputs, int(self.counts.max()))


def latent_groups(nonzero: _Mask) -> LatentGroups | None:
    """The most groups of equal size that hold all kernels that are not zero; None: no more than there are.

    Channels without any kernel fill the blocks up. There are at least two components in every group.

    Args:
        nonzero: (groups, out/groups, in/groups): which kernels are not all zero.
    """
    groups, outs, ins = nonzero.shape
    if min(nonzero.shape) < 1 or min(outs, ins) < 2 or _is_joined(nonzero):
        return None
    found = components(nonzero)
    if found is None:
        return None
    heights, widths = found.sizes()
    tries = _TRIES
    for parts in range(int(found.counts.min()), 1, -1):
        high, wide = outs // parts, ins // parts
        if outs % parts or ins % parts or heights.max() > high or widths.max() > wide:
            continue
        orders = _as_they_stand(nonzero, parts)
        if orders is None and (heights == high).all() and (widths == wide).all():
            orders = found.outputs.argsort(axis=1, kind="stable"), found.inputs.argsort(axis=1, kind="stable")
        if orders is None and (tries := tries - int(found.counts.sum())) >= 0:
            orders = _packed(found, (heights, widths), parts)
        if orders is not None:
            first = np.arange(groups)[:, None]
            return LatentGroups(
                groups=groups * parts,
                outputs=(orders[0] + first * outs).ravel(),
                inputs=(orders[1] + first * ins).ravel(),
            )
    return None


def _is_joined(nonzero: _Mask) -> bool:
    """Whether in some group one filter reads all inputs that any reads: then there is but one component."""
    read = nonzero.any(axis=1).sum(axis=1)
    return bool((nonzero.sum(axis=2).max(axis=1) == read).any())


def components(nonzero: _Mask) -> Components | None:
    """Connected components; None: a group has fewer than two.

    Few edges are followed all at once, many by breadth-first search, which looks at each row and column once:
    either takes about as long as reading ``nonzero``.
    """
    groups, outs, ins = nonzero.shape
    if np.count_nonzero(nonzero) <= _FEW * groups * (outs + ins):
        return _by_edges(nonzero)
    return _by_search(nonzero)


def _by_edges(nonzero: _Mask) -> Components | None:
    """Each edge gives both ends the smaller label, and each label becomes its label's, until none changes."""
    groups, outs, ins = nonzero.shape
    group, rows, columns = np.nonzero(nonzero)
    width = outs + ins
    one, other = group * width + rows, group * width + outs + columns
    labels = np.arange(groups * width)
    while True:
        least = np.minimum(labels[one], labels[other])
        before = labels.copy()
        for ends in (labels[one], labels[other], one, other):
            np.minimum.at(labels, ends, least)
        while (labels != (shorter := labels[labels])).any():
            labels = shorter
        if (labels == before).all():
            break
    ends = np.zeros(groups * width, bool)
    ends[one] = ends[other] = True
    roots = ends & (labels == np.arange(groups * width))
    numbers = np.cumsum(roots.reshape(groups, width), axis=1) - 1
    counts = numbers[:, -1] + 1
    if counts.min() < 2:
        return None
    found = np.where(ends, numbers.ravel()[labels], -1).reshape(groups, width)
    return Components(found[:, :outs], found[:, outs:], counts)


def _by_search(nonzero: _Mask) -> Components | None:
    """Breadth-first search from one row after the other, in all groups at once."""
    turned = np.ascontiguousarray(nonzero.swapaxes(1, 2))
    groups, outs, ins = nonzero.shape
    outputs, inputs = np.full((groups, outs), -1, np.intp), np.full((groups, ins), -1, np.intp)
    counts = np.zeros(groups, np.intp)
    live = nonzero.any(axis=2)
    while True:
        pending = live & (outputs < 0)
        at = np.flatnonzero(pending.any(axis=1))
        if int(counts.max()) == 1 and len(at) < groups:
            return None
        if not len(at):
            return Components(outputs, inputs, counts) if counts.min() > 1 else None
        rows = pending[at].argmax(axis=1)
        outputs[at, rows] = counts[at]
        while len(at):
            at, columns = _reached(nonzero, inputs, at, rows, counts)
            at, rows = _reached(turned, outputs, at, columns, counts)
        counts += pending.any(axis=1)


def _reached(
    joined: _Mask, labels: _Indices, at: _Indices, rows: _Indices, numbers: _Indices
) -> tuple[_Indices, _Indices]:
    """Neighbours of some rows that have no number yet, by group, each with its group's number from now on."""
    if not len(at):
        return at, rows
    starts = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
    new = np.logical_or.reduceat(joined[at, rows], starts, axis=0)
    places = at[starts]
    new &= labels[places] < 0
    which, columns = np.nonzero(new)
    labels[places[which], columns] = numbers[places[which]]
    return places[which], columns


def _sizes(labels: _Indices, count: int) -> _Indices:
    """How many channels have each label, by group."""
    places = labels + np.arange(len(labels))[:, None] * count
    return np.bincount(places[labels >= 0], minlength=len(labels) * count).reshape(-1, count)


def _as_they_stand(nonzero: _Mask, parts: int) -> tuple[_Indices, _Indices] | None:
    """The channels' own order, if all kernels lie in ``parts`` equal blocks of it."""
    groups, outs, ins = nonzero.shape
    blocks = nonzero.reshape(groups, parts, outs // parts, parts, ins // parts).any(axis=(2, 4))
    if (blocks & ~np.eye(parts, dtype=bool)).any():
        return None
    return np.tile(np.arange(outs), (groups, 1)), np.tile(np.arange(ins), (groups, 1))


def _packed(
    found: Components, sizes: tuple[_Indices, _Indices], parts: int
) -> tuple[_Indices, _Indices] | None:
    """Orders of the channels that put each component of a group into one of ``parts`` equal blocks.

    The largest first, each into the first block that has room; None: one finds none.
    """
    high, wide = found.outputs.shape[1] // parts, found.inputs.shape[1] // parts
    orders: tuple[list[_Indices], list[_Indices]] = ([], [])
    for at, count in enumerate(found.counts.tolist()):
        heights, widths = (size[at, :count] for size in sizes)
        room = np.tile(np.array([[high], [wide]]), (1, parts))
        block = np.empty(count, np.intp)
        for component in np.argsort(-np.maximum(heights * wide, widths * high), kind="stable"):
            free = (room[0] >= heights[component]) & (room[1] >= widths[component])
            place = int(free.argmax())
            if not free[place]:
                return None
            room[:, place] -= (heights[component], widths[component])
            block[component] = place
        for labels, left, order in zip((found.outputs[at], found.inputs[at]), room, orders, strict=True):
            order.append(_ordered(labels, block, left))
    return np.stack(orders[0]), np.stack(orders[1])


def _ordered(labels: _Indices, block: _Indices, room: _Indices) -> _Indices:
    """Channels by block, each block's ascending, those without a component where there is room."""
    places = np.where(labels >= 0, block[labels], -1)
    places[labels < 0] = np.repeat(np.arange(len(room)), room)
    return np.argsort(places, kind="stable")
