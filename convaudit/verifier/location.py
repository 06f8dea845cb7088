"""Where the wrong elements of an output sit, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.verifier.execution import Execution

Array: TypeAlias = NDArray[Any]

NAMED = 8
"""How many channels or groups are named one by one."""


def describe(wrong_channels: Array, wrong_elements: Array, execution: Execution) -> str:
    """Output channels or groups, batch items and positions; "everywhere" if it is all of them.

    wrong_channels  (channels,) mask
    wrong_elements  (N, channels, *spatial) mask
    """
    parts = [_channels(wrong_channels, execution.groups)]
    images = np.any(wrong_elements, axis=tuple(range(1, wrong_elements.ndim)))
    if not images.all():
        parts.append(_names("batch item", np.flatnonzero(images)))
    parts.append(_positions(np.any(wrong_elements, axis=(0, 1)), execution))
    return "; ".join(part for part in parts if part) or "everywhere"


def _channels(wrong: Array, groups: int) -> str:
    if wrong.all():
        return ""
    by_group = wrong.reshape(groups, -1)
    whole = by_group.all(axis=1)
    if by_group.shape[1] > 1 and bool((whole == by_group.any(axis=1)).all()):
        return _names("group", np.flatnonzero(whole))
    return _names("output channel", np.flatnonzero(wrong), of=len(wrong))


def _names(what: str, indices: Sequence[int] | Array, of: int | None = None) -> str:
    named = ", ".join(str(index) for index in indices[:NAMED])
    if len(indices) == 1:
        return f"{what} {named}"
    if len(indices) <= NAMED:
        return f"{what}s {named}"
    total = "" if of is None else f" of {of}"
    return f"{len(indices)}{total} {what}s ({named}, ...)"


def _positions(wrong: Array, execution: Execution) -> str:
    """Of the spatial mask ``wrong``: borders, or the range that holds it if that is less than half."""
    if not execution.transposed and not (wrong & ~_borders(wrong.shape, execution)).any():
        return "borders"
    ranges = [np.flatnonzero(wrong.any(axis=_others(axis, wrong.ndim))) for axis in range(wrong.ndim)]
    if 2 * math.prod(int(r[-1] - r[0]) + 1 for r in ranges) > wrong.size:
        return ""
    return "positions " + " x ".join(f"{r[0]}-{r[-1]}" if r[0] < r[-1] else f"{r[0]}" for r in ranges)


def _borders(shape: tuple[int, ...], execution: Execution) -> Array:
    """Mask of the output positions whose kernel reaches into the padding."""
    borders = np.zeros(shape, bool)
    sizes = execution.x.shape[1:-1] if execution.layout == "channels_last" else execution.x.shape[2:]
    for axis, (size, out) in enumerate(zip(sizes, shape, strict=True)):
        extent = execution.dilation[axis] * (execution.weight.shape[2 + axis] - 1)
        first = np.arange(out) * execution.stride[axis] - execution.padding[axis][0]
        touching = (first < 0) | (first + extent >= size)
        borders |= touching.reshape(-1, *(1 for _ in shape[axis + 1 :]))
    return borders


def _others(axis: int, rank: int) -> tuple[int, ...]:
    return tuple(other for other in range(rank) if other != axis)
