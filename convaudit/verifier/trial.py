"""A runtime's output held against a problem's solution: what rounding explains, and what it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.verifier import channels, rounding
from convaudit.verifier.activations import function_of
from convaudit.verifier.channels import Precision, Scales, Suspects
from convaudit.verifier.deviation import Deviation, Expectation, beyond_bounds, measure
from convaudit.verifier.reference import Problem, Solution, channels_first, magnitude, solve

Array: TypeAlias = NDArray[Any]

ENOUGH_TERMS = 128
"""How many products of an element may be enough to accept its error; all cost as much as the layer itself.

S of a part of the products is less than S, and an honest error usually below lambda times that, too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How an output differs from a solution."""

    problem: Problem
    solution: Solution
    precision: Precision
    expected: Expectation
    deviation: Deviation
    scales: Scales
    suspects: Suspects

    @property
    def failing(self) -> Array:
        """Mask of the channels where rounding does not explain the error."""
        mask: Array = self.suspects.either | (self.deviation.exceeding > 0)
        return mask


def hold_against(
    problem: Problem,
    solution: Solution,
    *,
    precision: Precision | None = None,
    mixing: bool = False,
) -> Trial:
    """Compare the execution's output with the problem's solution, which must have its shape.

    precision  of the kernel; by default, what its dtypes let expect
    mixing     the algorithm mixes positions, so that the largest S of a channel bounds all its errors, as
               deformable convolution does, whose coordinates may be rounded to the other side of a position
    """
    execution = problem.execution
    mixing = mixing or execution.deformation is not None
    output = channels_first(execution.output, execution)
    flat = (*output.shape[:2], math.prod(output.shape[2:]))
    output, exact = output.reshape(flat), solution.exact.reshape(flat)
    precision = precision or precision_of(problem)
    expected = Expectation(
        exact=exact,
        magnitude=_magnitude(problem, ENOUGH_TERMS, flat, mixing),
        function=function_of(execution.activation),
        growth=rounding.growth(precision.terms, output.size, precision.accumulator) + precision.products,
        underflow=precision.underflow,
        unit=precision.output,
        coarser=precision.output > precision.accumulator,
    )
    deviation = measure(output, expected)
    if deviation.exceeding.any():
        expected = replace(expected, magnitude=_magnitude(problem, precision.terms, flat, mixing))
        deviation = measure(output, expected)
    scales = Scales.of_equal(solution.products, deviation.samples)
    suspects = channels.suspects(deviation, scales, precision)
    if suspects.either.any():
        scales = _closely(problem, exact, scales, int(np.argmax(suspects.either)))
        suspects = channels.suspects(deviation, scales, precision)
    return Trial(
        problem=problem,
        solution=solution,
        precision=precision,
        expected=expected,
        deviation=deviation,
        scales=scales,
        suspects=suspects,
    )


def wrong_elements(trial: Trial, wrong_channels: Array) -> Array:
    """Mask (N, channels, *spatial) of the elements that hold the error of these channels.

    Those above their bound, if hardly anything of the error is elsewhere; else all elements of the channels.
    """
    output = channels_first(trial.problem.execution.output, trial.problem.execution)
    exact = trial.expected.exact
    above, energy = beyond_bounds(output.reshape(exact.shape), trial.expected)
    everywhere = np.broadcast_to(wrong_channels[:, None], exact.shape)
    above &= everywhere
    concentrated = energy[everywhere & ~above].sum() <= 0.1 * energy[everywhere].sum()
    return (above if concentrated else everywhere).reshape(output.shape)


def within_any_order(trial: Trial) -> bool:
    """Whether some order of summation explains all: no partial sum exceeds S in any."""
    if trial.suspects.beside_others.any() or trial.deviation.exceeding.any():
        return False
    sums = np.square(magnitude(trial.problem, terms=trial.precision.terms), dtype=np.float64)
    energy = sums.mean(axis=(0, *range(2, sums.ndim)))
    allowed = trial.precision.accumulator**2 * trial.precision.terms / 3 * energy
    return bool((trial.deviation.error <= allowed).all())


def _magnitude(problem: Problem, terms: int, flat: tuple[int, int, int], mixing: bool) -> Array:
    values = magnitude(problem, terms=terms).reshape(flat)
    return np.broadcast_to(values.max(axis=(0, 2), keepdims=True), flat) if mixing else values


def _closely(problem: Problem, exact: Array, scales: Scales, suspect: int) -> Scales:
    """All that can be known of the errors' scales; channel ``suspect`` tells how its elements vary."""
    bias = 0.0 if problem.bias is None else problem.bias.reshape(-1, 1)
    residual = 0.0 if problem.residual is None else problem.residual.reshape(exact.shape)
    accumulator = rounding.accumulator(problem.execution.x.dtype)
    control = solve(problem.map(lambda operand: operand.astype(accumulator))).reshape(exact.shape)
    # Errors of unequal size, or of equal patches, are fewer independent draws than there are elements.
    values, counts = np.unique(exact[:, suspect], return_counts=True)
    variances = counts * (values**2 / 3 + scales.products[suspect] / 6)
    weights = variances / (variances.sum() or 1)
    return replace(
        scales,
        convolution=np.square(exact - bias - residual).mean(axis=(0, 2)),
        control=np.square(control - exact).mean(axis=(0, 2)),
        spread=float(np.linalg.norm(weights)) or scales.spread,
        peak=float(weights.max()) or scales.peak,
    )


def precision_of(problem: Problem) -> Precision:
    """The formats in which a kernel for these dtypes sums and rounds its result."""
    accumulator = rounding.accumulator(problem.execution.x.dtype)
    unit, interpolation = rounding.unit_roundoff(accumulator), 0.0
    if problem.execution.deformation is not None:
        # A coordinate is rounded by at most unit times the size; so are the weights and sum of the corners.
        interpolation = 2 * unit * sum(problem.x.shape[2:]) + 2**problem.x.ndim * unit
    return Precision(
        terms=problem.terms,
        # The solution itself rounds to float64, which matters only if the runtime does too.
        accumulator=unit + 2.0**-53,
        output=rounding.unit_roundoff(problem.execution.output.dtype),
        underflow=problem.terms * float(rounding.limits(accumulator).smallest_normal)
        + float(rounding.limits(problem.execution.output.dtype).smallest_subnormal) / 2,
        products=interpolation,
    )
