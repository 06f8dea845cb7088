"""Common faults of a convolution, each as another problem, of which a wrong output may be the solution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from convaudit.judge.problem import Problem
from convaudit.shapes import Pair


def diagnose(problem: Problem, agrees: Callable[[Problem], bool]) -> str | None:
    """The first fault under which the output agrees with the solution, in words."""
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
        yield "of input channels dealt out to the groups in turn", replace(problem, dealt=True)
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
