"""Known formats and algorithms that make a kernel uniformly less accurate, each as a hypothesis to be tested.

An error of the right size is not an explanation: the reference is computed under the hypothesis, and the
output must agree with it as that of a correct kernel would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge.comparison import Comparison, compare
from convaudit.judge.execution import Execution
from convaudit.judge.problem import Problem
from convaudit.judge.rounding import unit_roundoff

SIGNIFICANDS = {"TF32": 11, "bfloat16": 8}
"""Bits of the significand, the implicit one included. float16 has TF32's, and differs in range only."""

WINOGRAD = 10.8
"""RMS error of Winograd's F(4x4, 3x3), the least accurate form in use, in units of the direct sum's.

It follows from the transforms of Lavin & Gray 2016 (arXiv:1509.09308): output i of a tile sums, over j,
``A_ij`` times the product of transformed filter and data, whose variances are the sums of squares of the rows
of G and B^T. In one dimension the mean over i of ``sum_j A_ij^2*|G_j|^2*|B_j|^2/3`` is the variance in units
of the direct sum's; in two dimensions it is squared, so that its root is the number itself. F(2x2, 3x3) has
1.7.
"""

EXPLAINED = 64
"""How many times smaller the error's energy must get for a hypothesis that does not explain all of it.

A runtime may round ties elsewhere, or truncate: then a hypothesis removes most of the error, but not all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A hypothesis, and what it leaves unexplained."""

    format: str  # "TF32", "bfloat16 accumulation", "Winograd"
    how: str  # in words
    unexplained: Array  # mask (channels,) of the output channels whose error is too large even so
    comparison: Comparison  # under the hypothesis


def best_hypothesis(comparison: Comparison) -> Hypothesis | None:
    """Find the format or algorithm that explains the errors of an output.

    Args:
        comparison: Comparison of an output with errors that rounding does not explain.

    Returns:
        The hypothesis that explains most failing channels; ``None`` if none explains at least half of them.
    """
    best, fewest = None, np.count_nonzero(comparison.failing) // 2 + 1
    for made in (_rounded_operands, _unrounded_input, _rounded_results, _winograd):
        for hypothesis in made(comparison):
            left = np.count_nonzero(hypothesis.unexplained)
            if left < fewest:
                best, fewest = hypothesis, left
            if left == 0:
                return best
    return best


def round_significand(values: Array, bits: int) -> Array:
    """Round to a significand of some bits, ties to even, with an unlimited range of exponents.

    Args:
        values: Floating-point numbers.
        bits: Bits of the significand, the implicit one included.

    Returns:
        The nearest numbers, in the dtype of ``values``.
    """
    mantissa, exponent = np.frexp(values)
    rounded: Array = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    return rounded


def _rounded_operands(comparison: Comparison) -> Iterator[Hypothesis]:
    """Input, weight or both rounded before they are multiplied."""
    problem = comparison.problem
    for name, bits in SIGNIFICANDS.items():
        rounded = partial(round_significand, bits=bits)
        for changed, words in (
            (replace(problem, on_x=rounded, on_weight=rounded), "input and weight"),
            (replace(problem, on_weight=rounded), "the weight alone"),
            (replace(problem, on_x=rounded), "the input alone"),
        ):
            under = compare(changed)
            removed = EXPLAINED * under.deviation.error < comparison.deviation.error
            yield Hypothesis(
                format=name,
                how=f"as accurate as with {words} rounded to {name} ({bits} bits)",
                unexplained=comparison.failing & under.failing & ~removed,
                comparison=under,
            )


def _rounded_results(comparison: Comparison) -> Iterator[Hypothesis]:
    """The result rounded to a format, or every partial sum, after which the result is in that format, too."""
    precision = comparison.precision
    for name, bits in {"bfloat16": 8, "float16": 11}.items():  # what fits the coarser one fits both
        unit = 2.0**-bits
        if unit < precision.output or not _holds(comparison.problem, bits):
            continue
        for accumulator, what in ((precision.accumulator, "output"), (unit, "accumulation")):
            coarse = replace(precision, accumulator=accumulator, output=unit)
            under = compare(comparison.problem, summary=comparison.summary, precision=coarse)
            # No relative test: the error of so coarse a sum depends on each channel's own numbers.
            noise = under.deviation.error > under.deviation.output / 4
            yield Hypothesis(
                format=f"{name} {what}",
                how=f"as accurate as with {what} in {name} ({bits} bits)",
                unexplained=under.outliers.absolute | (under.deviation.exceeding > 0) | noise,
                comparison=under,
            )
        return


def _holds(problem: Problem, bits: int) -> bool:
    """Whether no number of the output has more bits of significand."""
    outputs = (part.output.astype(np.float64) for part in problem.parts())
    return all(np.array_equal(round_significand(output, bits), output) for output in outputs)


def _winograd(comparison: Comparison) -> Iterator[Hypothesis]:
    """Winograd's minimal filtering. It mixes neighbours, so S at one position does not bound its errors."""
    if not _allows_winograd(comparison.problem.execution):
        return
    amplified = replace(comparison.precision, accumulator=WINOGRAD * comparison.precision.accumulator)
    under = compare(comparison.problem, summary=comparison.summary, precision=amplified, mixing=True)
    yield Hypothesis(
        format="Winograd",
        how="as accurate as Winograd's algorithm for 3x3 kernels",
        unexplained=under.failing,
        comparison=under,
    )


def _unrounded_input(comparison: Comparison) -> Iterator[Hypothesis]:
    """The input was a half precision only where the runtime handed it out: the kernel had it in float32."""
    dtype, precision = comparison.problem.execution.x.dtype, comparison.precision
    if dtype.itemsize >= 4 or precision.output < unit_roundoff(dtype):
        return
    handed_out = replace(precision, products=precision.products + unit_roundoff(dtype))
    under = compare(comparison.problem, summary=comparison.summary, precision=handed_out)
    yield Hypothesis(
        format="float32 input",
        how=f"as accurate as with an input in float32, which was rounded to {dtype} to be looked at",
        unexplained=under.failing,
        comparison=under,
    )


def _allows_winograd(execution: Execution) -> bool:
    kernel = execution.weight.shape[2:]
    return not execution.transposed and {*kernel} == {3} and {*execution.stride, *execution.dilation} == {1}
