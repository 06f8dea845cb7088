"""Common faults of a convolution, each as another problem, of which a wrong output may be the solution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from convaudit.shapes import Pair
from convaudit.verifier.reference import Problem, Solution, solution_of


def diagnose(
    problem: Problem, shape: tuple[int, ...], agrees: Callable[[Problem, Solution], bool]
) -> str | None:
    """The first fault under which the output of this shape agrees with the solution, in words."""
    for words, changed in _candidates(problem):
        solution = solution_of(changed)
        if solution.exact.shape == shape and agrees(changed, solution):
            return words
    return None


def _candidates(problem: Problem) -> Iterator[tuple[str, Problem]]:
    execution, weight = problem.execution, problem.weight
    rank = weight.ndim - 2
    if problem.bias is not None:
        yield "without the bias", replace(problem, bias=None)
    if problem.residual is not None:
        yield "without the residual", replace(problem, residual=None)
    if execution.quantization is not None and np.any(execution.quantization.x_zero_point):
        shift = np.asarray(execution.quantization.x_zero_point, np.float64)
        yield "without the input's zero point", replace(problem, x=problem.x + shift)
    if max(weight.shape[2:]) > 1:
        spatial = tuple(range(2, weight.ndim))
        yield "of the flipped kernel", replace(problem, weight=np.flip(weight, spatial))
        if len(set(weight.shape[2:])) == 1 and rank > 1:
            order = (0, 1, *reversed(spatial))
            yield "of the transposed kernel", replace(problem, weight=weight.transpose(order))
    if 1 < execution.groups < problem.x.shape[1]:
        by_group = problem.x.reshape(len(problem.x), execution.groups, -1, *problem.x.shape[2:])
        shuffled = by_group.swapaxes(1, 2).reshape(problem.x.shape)
        yield "of input channels dealt out to the groups in turn", replace(problem, x=shuffled)
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
            for dilation, kernel in zip(execution.dilation, problem.weight.shape[2:], strict=True)
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
