"""Filters that are the same, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.engine.operands import Array

_SAMPLES = 16


def duplicate_filters(
    kernels: Array, beside: Sequence[Array], live: NDArray[np.bool_]
) -> tuple[tuple[int, ...], ...]:
    """Classes of output channels whose weights, biases and scales are bit-identical, within one group.

    Args:
        kernels: (groups, out/groups, in/groups, *kernel)
        beside: What else belongs to a filter, each (out,): its bias, its scale.
        live: (groups, out/groups): which filters to look at.

    Returns:
        Each class ascending, so that its first channel is the one to keep; ordered by it.
    """
    width = kernels.shape[1]
    if width < 2 or not live.any() or not kernels[0, 0].size:
        return ()
    if _differ_at_once(kernels, live):
        return ()
    places = np.flatnonzero(live)
    keys = _sampled(kernels, places, beside)
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    classes: dict[tuple[int, bytes], list[int]] = {}
    for place in places[counts[inverse] > 1].tolist():
        group, index = divmod(place, width)
        digest = hashlib.blake2b(kernels[group, index].tobytes(), digest_size=16)
        for row in beside:
            digest.update(row[place].tobytes())
        classes.setdefault((group, digest.digest()), []).append(place)
    found = (_same(kernels, beside, members) for members in classes.values() if len(members) > 1)
    return tuple(sorted(members for members in found if len(members) > 1))


def _differ_at_once(kernels: Array, live: NDArray[np.bool_]) -> bool:
    """Whether the first weights of all filters differ, as they do in nearly every layer."""
    first: Any = (..., *(0,) * (kernels.ndim - 2))
    firsts = kernels[first][live]
    size, stored = firsts.itemsize, firsts.tobytes()
    return len({stored[start : start + size] for start in range(0, len(stored), size)}) == len(firsts)


def _sampled(kernels: Array, places: NDArray[np.intp], beside: Sequence[Array]) -> Array:
    """A few bytes of each filter, with its group, bias and scale: what differs there is not the same."""
    width, *inner = kernels.shape[1:]
    count = int(np.prod(inner))
    picked = np.unique(np.linspace(0, count - 1, num=min(_SAMPLES, count)).astype(np.intp))
    group, index = np.divmod(places, width)
    where = np.unravel_index(picked, inner)
    samples = kernels[(group[:, None], index[:, None], *(axis[None, :] for axis in where))]
    parts = [_bytes(samples), _bytes(group[:, None].astype(np.int64))]
    parts += [_bytes(row[places][:, None]) for row in beside]
    rows = np.ascontiguousarray(np.concatenate(parts, axis=1))
    return rows.view(np.dtype((np.void, rows.shape[1]))).ravel()


def _bytes(rows: Array) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)


def _same(kernels: Array, beside: Sequence[Array], members: list[int]) -> tuple[int, ...]:
    """Those that are what the first one is, compared and not only hashed."""
    width = kernels.shape[1]

    def content(place: int) -> list[bytes]:
        return [kernels[divmod(place, width)].tobytes(), *(row[place].tobytes() for row in beside)]

    first = content(members[0])
    return tuple(place for place in members if place == members[0] or content(place) == first)
