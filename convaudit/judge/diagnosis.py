"""What is wrong with an output, in words: where its wrong elements are, and of which common fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge.execution import Execution
from convaudit.judge.problem import Problem
from convaudit.shapes import Pair

NAMED = 8
"""How many channels or groups are named one by one."""


class Footprint:
    """The images and positions of some elements of an output, added up part by part."""

    def __init__(self, execution: Execution, shape: Sequence[int]) -> None:
        """Start for an output (N, channels, *spatial) of the execution."""
        self._execution = execution
        images, _, *spatial = shape
        self._spatial = spatial
        self.images = np.zeros(images, bool)
        self._first, self._last = list(spatial), [-1] * len(spatial)
        self._inside = False  # whether an element sees no padding

    def add(self, elements: Array, place: Sequence[slice]) -> None:
        """Add the elements in a mask (n, channels, positions) of the part at this place of the whole."""
        self.images[place[0]] |= elements.any(axis=(1, 2))
        touched = elements.any(axis=(0, 1)).reshape([axis.stop - axis.start for axis in place[2:]])
        if not touched.any():
            return
        for axis, part in enumerate(place[2:]):
            along = np.flatnonzero(touched.any(axis=_others(axis, touched.ndim)))
            self._first[axis] = min(self._first[axis], part.start + int(along[0]))
            self._last[axis] = max(self._last[axis], part.start + int(along[-1]))
        self._inside = self._inside or bool((touched & ~_borders(place[2:], self._execution)).any())

    @property
    def positions(self) -> str:
        """Borders, or the range that holds the elements if that is less than half."""
        if not self._execution.transposed and not self._inside:
            return "borders"
        ranges = list(zip(self._first, self._last, strict=True))
        if 2 * math.prod(last - first + 1 for first, last in ranges) > math.prod(self._spatial):
            return ""
        return "positions " + " x ".join(
            f"{first}-{last}" if first < last else f"{first}" for first, last in ranges
        )


def describe(wrong_channels: Array, wrong_elements: Footprint, execution: Execution) -> str:
    """Say where the wrong elements of an output are.

    Args:
        wrong_channels: Mask (channels,).
        wrong_elements: At least one element.
        execution: Whose output it is.

    Returns:
        Output channels or groups, batch items and positions, each left out if it is all of them; "everywhere"
        if nothing is left.
    """
    parts = [_channels(wrong_channels, execution.groups)]
    if not wrong_elements.images.all():
        parts.append(_names("batch item", np.flatnonzero(wrong_elements.images)))
    parts.append(wrong_elements.positions)
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


def _borders(place: Sequence[slice], execution: Execution) -> Array:
    """Mask of the output positions at this place whose kernel reaches into the padding."""
    borders = np.zeros([part.stop - part.start for part in place], bool)
    sizes = execution.x.shape[1:-1] if execution.layout == "channels_last" else execution.x.shape[2:]
    for axis, (size, part) in enumerate(zip(sizes, place, strict=True)):
        extent = execution.dilation[axis] * (execution.weight.shape[2 + axis] - 1)
        first = np.arange(part.start, part.stop) * execution.stride[axis] - execution.padding[axis][0]
        touching = (first < 0) | (first + extent >= size)
        borders |= touching.reshape(-1, *(1 for _ in place[axis + 1 :]))
    return borders


def _others(axis: int, rank: int) -> tuple[int, ...]:
    return tuple(other for other in range(rank) if other != axis)


def diagnose(problem: Problem, agrees: Callable[[Problem], bool]) -> str | None:
    """Find a common fault under which the output would be right.

    Args:
        problem: Whose output is wrong.
        agrees: Whether the output agrees with the reference of a changed problem.

    Returns:
        The first such fault, as in "the result without the bias"; ``None`` if there is none.
    """
    for words, changed in _candidates(problem):
        if changed.shape == problem.shape and agrees(changed):
            return words
    return None


def _candidates(problem: Problem) -> Iterator[tuple[str, Problem]]:
    execution, weight = problem.execution, problem.execution.weight

    def but(**changes: Any) -> Problem:
        return replace(problem, execution=replace(execution, **changes))

    rank = weight.ndim - 2
    if execution.bias is not None:
        yield "without the bias", but(bias=None)
    if execution.residual is not None:
        yield "without the residual", but(residual=None)
    if execution.quantization is not None and np.any(execution.quantization.x_zero_point):
        unshifted = replace(execution.quantization, x_zero_point=0)
        yield "without the input's zero point", but(quantization=unshifted)
    if max(weight.shape[2:]) > 1:
        spatial = tuple(range(2, weight.ndim))
        yield "of the flipped kernel", but(weight=np.flip(weight, spatial))
        if len(set(weight.shape[2:])) == 1 and rank > 1:
            order = (0, 1, *reversed(spatial))
            yield "of the transposed kernel", but(weight=weight.transpose(order))
    if 1 < execution.groups < execution.in_channels:
        yield "of input channels assigned to the groups in turn", replace(problem, dealt=True)
    yield from _moved(problem)


def _moved(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """Faults of position: what a wrong padding, stride phase or dilation reads."""
    execution = problem.execution
    for words, step in (("earlier", 1), ("later", -1)):
        yield from _padded(
            f"of the input one position {words}",
            problem,
            [(before + step, after - step) for before, after in execution.padding],
        )
    swapped = [(after, before) for before, after in execution.padding]
    if swapped != list(execution.padding):
        yield from _padded("with the padding on the other side", problem, swapped)
    if set(execution.dilation) != {1}:
        sides = [
            (dilation - 1) * (kernel - 1) // 2
            for dilation, kernel in zip(execution.dilation, execution.weight.shape[2:], strict=True)
        ]
        padding = [
            (before - side, after - side)
            for (before, after), side in zip(execution.padding, sides, strict=True)
        ]
        yield from _padded("without the dilation", problem, padding, dilation=(1,) * len(sides))


def _padded(
    words: str, problem: Problem, padding: list[Pair], **changes: Any
) -> Iterator[tuple[str, Problem]]:
    if min(min(pair) for pair in padding) >= 0:
        execution = replace(problem.execution, padding=tuple(padding), **changes)
        yield words, replace(problem, execution=execution)
