"""Known formats and algorithms that make a kernel uniformly less accurate, each as a hypothesis to be tested.

An explanation is not a likeness in size: the convolution is solved under the hypothesis, and the output
must agree with that solution as an honest kernel's would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge.comparison import Trial, hold_against
from convaudit.judge.execution import Execution
from convaudit.judge.problem import Problem

SIGNIFICANDS = {"TF32": 11, "bfloat16": 8}
"""Bits of the significand, the implicit one included. float16 has TF32's, and differs in range only."""

WINOGRAD = 10.8
"""RMS error of Winograd's F(4x4, 3x3), the least accurate form in use, beside the direct sum's.

Of the transforms of Lavin & Gray 2016 (arXiv:1509.09308): output i of a tile sums, over j, ``A_ij`` times the
product of transformed filter and data, whose variances are the sums of squares of the rows of G and B^T. In
one dimension the mean over i of ``sum_j A_ij^2*|G_j|^2*|B_j|^2/3`` is the variance beside the direct sum's;
in two dimensions it is squared, so that its root is the number itself. F(2x2, 3x3) has 1.7.
"""

EXPLAINED = 64
"""How many times smaller the error's energy must get for a hypothesis that does not explain all of it.

A runtime may round ties elsewhere, or truncate: then a hypothesis removes most of the error, but not all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A hypothesis that was found to hold."""

    format: str  # "TF32", "bfloat16 accumulation", "Winograd"
    how: str  # in words
    unexplained: Array  # mask of the output channels that even so have too large an error
    trial: Trial  # under the hypothesis


def explain(trial: Trial) -> Explanation | None:
    """The hypothesis that explains most failing channels, if it explains at least half of them."""
    best, fewest = None, np.count_nonzero(trial.failing) // 2 + 1
    for hypothesis in (_rounded_operands, _rounded_results, _winograd):
        for explanation in hypothesis(trial):
            left = np.count_nonzero(explanation.unexplained)
            if left < fewest:
                best, fewest = explanation, left
            if left == 0:
                return best
    return best


def round_significand(values: Array, bits: int) -> Array:
    """Nearest number with so many bits of significand, ties to even, whatever the range."""
    mantissa, exponent = np.frexp(values)
    rounded: Array = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    return rounded


def _rounded_operands(trial: Trial) -> Iterator[Explanation]:
    """Input, weight or both rounded before they are multiplied."""
    problem = trial.problem
    for name, bits in SIGNIFICANDS.items():
        rounded = partial(round_significand, bits=bits)
        for changed, words in (
            (replace(problem, on_x=rounded, on_weight=rounded), "input and weight"),
            (replace(problem, on_weight=rounded), "the weight alone"),
            (replace(problem, on_x=rounded), "the input alone"),
        ):
            under = hold_against(changed)
            removed = EXPLAINED * under.deviation.error < trial.deviation.error
            yield Explanation(
                format=name,
                how=f"as accurate as with {words} rounded to {name} ({bits} bits)",
                unexplained=trial.failing & under.failing & ~removed,
                trial=under,
            )


def _rounded_results(trial: Trial) -> Iterator[Explanation]:
    """The result rounded to a format, or every sum on the way to it, which makes the result one of it."""
    precision = trial.precision
    for name, bits in {"bfloat16": 8, "float16": 11}.items():  # what fits the coarser one fits both
        unit = 2.0**-bits
        if unit < precision.output or not _holds(trial.problem, bits):
            continue
        for accumulator, what in ((precision.accumulator, "output"), (unit, "accumulation")):
            coarse = replace(precision, accumulator=accumulator, output=unit)
            under = hold_against(trial.problem, survey=trial.survey, precision=coarse)
            # Beside others no channel can stand out: so coarse a sum depends on each channel's own numbers.
            noise = under.deviation.error > under.deviation.output / 4
            yield Explanation(
                format=f"{name} {what}",
                how=f"as accurate as with {what} in {name} ({bits} bits)",
                unexplained=under.suspects.alone | (under.deviation.exceeding > 0) | noise,
                trial=under,
            )
        return


def _holds(problem: Problem, bits: int) -> bool:
    """Whether every number of the output has no more bits of significand."""
    outputs = (part.output.astype(np.float64) for part in problem.parts())
    return all(np.array_equal(round_significand(output, bits), output) for output in outputs)


def _winograd(trial: Trial) -> Iterator[Explanation]:
    """Winograd's minimal filtering, whose errors S at one position does not bound: it mixes neighbours."""
    if not _allows_winograd(trial.problem.execution):
        return
    amplified = replace(trial.precision, accumulator=WINOGRAD * trial.precision.accumulator)
    under = hold_against(trial.problem, survey=trial.survey, precision=amplified, mixing=True)
    yield Explanation(
        format="Winograd",
        how="as accurate as Winograd's algorithm for 3x3 kernels",
        unexplained=under.failing,
        trial=under,
    )


def _allows_winograd(execution: Execution) -> bool:
    kernel = execution.weight.shape[2:]
    return not execution.transposed and {*kernel} == {3} and {*execution.stride, *execution.dilation} == {1}
