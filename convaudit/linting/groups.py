"""Groups that a layer hides: blocks of channels that no kernel joins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Indices = NDArray[np.intp]
_Mask = NDArray[np.bool_]
_TRIES = 200_000
"""Placements of a component that are tried for one layer, at most."""


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

    outputs: NDArray[np.intp]  # (groups, out/groups): the number of the component; -1: no edge
    inputs: NDArray[np.intp]  # (groups, in/groups)
    counts: NDArray[np.intp]  # (groups,)


def latent_groups(nonzero: _Mask) -> LatentGroups | None:
    """The most groups of equal size that hold all kernels that are not zero; None: no more than there are.

    Channels without any kernel fill the blocks up. There are at least two components in every group.

    Args:
        nonzero: (groups, out/groups, in/groups): which kernels are not all zero.
    """
    groups, outs, ins = nonzero.shape
    if min(nonzero.shape) < 1 or min(outs, ins) < 2:
        return None
    found = components(nonzero)
    if found is None:
        return None
    most, tries = int(found.counts.min()), _TRIES
    for parts in range(most, 1, -1):
        if outs % parts or ins % parts:
            continue
        if _is_block_diagonal(nonzero, parts):
            return LatentGroups(
                groups=groups * parts, outputs=np.arange(groups * outs), inputs=np.arange(groups * ins)
            )
        tries -= int(found.counts.sum())
        if tries < 0:
            return None
        orders = [_packed(found.outputs[at], found.inputs[at], parts) for at in range(groups)]
        whole = [order for order in orders if order is not None]
        if len(whole) == groups:
            return LatentGroups(
                groups=groups * parts,
                outputs=np.concatenate([order[0] + at * outs for at, order in enumerate(whole)]),
                inputs=np.concatenate([order[1] + at * ins for at, order in enumerate(whole)]),
            )
    return None


def components(nonzero: _Mask) -> Components | None:
    """Connected components, by breadth-first search in all groups at once; None: a group has fewer than two.

    Each row and column is looked at once, so the time is that of reading ``nonzero`` twice.
    """
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
    joined: _Mask, labels: NDArray[np.intp], at: _Indices, rows: _Indices, numbers: _Indices
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


def _is_block_diagonal(nonzero: _Mask, parts: int) -> bool:
    """Whether all kernels lie in ``parts`` equal blocks as the channels stand."""
    groups, outs, ins = nonzero.shape
    blocks = nonzero.reshape(groups, parts, outs // parts, parts, ins // parts).any(axis=(2, 4))
    return not (blocks & ~np.eye(parts, dtype=bool)).any()


def _packed(outputs: _Indices, inputs: _Indices, parts: int) -> tuple[_Indices, _Indices] | None:
    """Orders of one group's channels that put each component into one of ``parts`` equal blocks.

    The largest first, each into the first block that has room; None: one finds none.
    """
    count = int(outputs.max()) + 1
    heights, widths = (np.bincount(labels[labels >= 0], minlength=count) for labels in (outputs, inputs))
    high, wide = len(outputs) // parts, len(inputs) // parts
    if int(heights.max()) > high or int(widths.max()) > wide:
        return None
    room = np.tile(np.array([[high], [wide]]), (1, parts))
    block = np.empty(count, np.intp)
    size = np.maximum(heights * wide, widths * high)
    for component in np.argsort(-size, kind="stable"):
        free = (room[0] >= heights[component]) & (room[1] >= widths[component])
        place = int(free.argmax())
        if not free[place]:
            return None
        room[:, place] -= (heights[component], widths[component])
        block[component] = place
    return _ordered(outputs, block, room[0]), _ordered(inputs, block, room[1])


def _ordered(labels: _Indices, block: _Indices, room: _Indices) -> _Indices:
    """Channels by block, each block's ascending, those without a component where there is room."""
    places = np.where(labels >= 0, block[labels], -1)
    places[labels < 0] = np.repeat(np.arange(len(room)), room)
    return np.argsort(places, kind="stable")
