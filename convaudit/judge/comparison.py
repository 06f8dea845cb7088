"""The runtime's output compared with the reference: which errors rounding explains, and which it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge import channels, rounding
from convaudit.judge.activations import function_of
from convaudit.judge.channels import EffectiveSamples, Outliers, Scales
from convaudit.judge.deviation import Deviation, Expectation, Tally, Tolerance, beyond_bounds
from convaudit.judge.diagnosis import Footprint
from convaudit.judge.problem import Problem
from convaudit.judge.reference import Part, ReferenceSummary, convolve, magnitude
from convaudit.judge.rounding import Precision

ENOUGH_TERMS = 128
"""How many products of an element may be enough to accept its error; all cost as much as the layer itself.

S of a part of the products is less than S, and the error of a correct kernel usually below lambda times that,
too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the output of a problem's execution differs from the reference."""

    problem: Problem
    summary: ReferenceSummary
    precision: Precision
    error_bound: ErrorBound
    deviation: Deviation
    outliers: Outliers

    @property
    def failing(self) -> Array:
        """Mask of the channels where rounding does not explain the error."""
        mask: Array = self.outliers.either | (self.deviation.exceeding > 0)
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBound:
    """How the bound on each element's error is computed, for every part of the problem."""

    tolerance: Tolerance
    terms: int  # how many of an element's terms S sums
    largest: Array | None  # (channels,): the S that bounds a channel's errors; None: each element has its own

    def expectation(self, part: Part) -> Expectation:
        """The expected values of one part, and the bounds on their errors."""
        shape = part.output.shape
        if self.largest is None:
            sums = magnitude(part, terms=self.terms).reshape(shape)
        else:
            sums = np.broadcast_to(self.largest[part.place[1], np.newaxis], shape)
        return Expectation(exact=part.exact.reshape(shape), magnitude=sums, tolerance=self.tolerance)


@np.errstate(invalid="ignore", over="ignore")  # sums beyond a format are judged by what became of them
def compare(
    problem: Problem,
    *,
    summary: ReferenceSummary | None = None,
    precision: Precision | None = None,
    mixing: bool = False,
) -> Comparison:
    """Compare the execution's output with the reference, which must have its shape.

    Args:
        problem: What ran.
        summary: Summary of the problem's reference, if it is known already.
        precision: Formats that the kernel computes in; by default what its dtypes let expect.
        mixing: Whether the algorithm mixes positions, so that the largest S of a channel bounds all its
            errors. Deformable convolution always does: its coordinates may be rounded to the other side of a
            position.

    Returns:
        The deviation of every element and channel. Nothing is compared where the reference is not finite.
    """
    execution = problem.execution
    mixing = mixing or execution.deformation is not None
    precision = precision or precision_of(problem)
    growth = rounding.growth(precision.terms, math.prod(problem.shape), precision.accumulator)
    tolerance = Tolerance(
        function=function_of(execution.activation),
        growth=growth + precision.products,
        underflow=precision.underflow,
        unit=precision.output,
        coarser=precision.output > precision.accumulator,
    )
    error_bound = _error_bound(problem, tolerance, ENOUGH_TERMS, mixing)
    summarised = ReferenceSummary(problem.shape) if summary is None else None
    deviation = _deviation(problem, error_bound, summarised)
    summary = summary or summarised
    assert summary is not None
    if deviation.exceeding.any() and precision.terms > ENOUGH_TERMS:
        error_bound = _error_bound(problem, tolerance, precision.terms, mixing)
        deviation = _deviation(problem, error_bound, None)
    return Comparison(
        problem=problem,
        summary=summary,
        precision=precision,
        error_bound=error_bound,
        deviation=deviation,
        outliers=_outliers(problem, summary, deviation, precision),
    )


def _error_bound(problem: Problem, tolerance: Tolerance, terms: int, mixing: bool) -> ErrorBound:
    largest = None
    if mixing:
        largest = np.zeros(problem.shape[1], np.float32)
        for part in problem.parts():
            sums = magnitude(part, terms=terms)
            of_part = sums.max(axis=(0, *range(2, sums.ndim)))
            largest[part.place[1]] = np.maximum(largest[part.place[1]], of_part)
    return ErrorBound(tolerance=tolerance, terms=terms, largest=largest)


def _deviation(problem: Problem, error_bound: ErrorBound, summary: ReferenceSummary | None) -> Deviation:
    """The deviation of all parts; the same pass over them fills a summary, if one is given."""
    tally = Tally(problem.shape)
    for part in problem.parts():
        if summary is not None:
            summary.add(part)
            if not summary.finite:
                continue  # there is nothing to compare with, only multiply-adds to count
        tally.add(part.output, error_bound.expectation(part), part.place)
    return tally.result()


def _outliers(
    problem: Problem, summary: ReferenceSummary, deviation: Deviation, precision: Precision
) -> Outliers:
    if not summary.finite:
        none = np.zeros(problem.shape[1], bool)
        return Outliers(absolute=none, relative=none)
    scales = Scales.of_equal(summary.products, deviation.samples)
    outliers = channels.outliers(deviation, scales, precision)
    if outliers.either.any():
        scales = _measured_scales(problem, scales, int(np.argmax(outliers.either)))
        outliers = channels.outliers(deviation, scales, precision)
    return outliers


def footprint(comparison: Comparison, wrong_channels: Array) -> Footprint:
    """Where the elements are that hold the error of these channels.

    Args:
        comparison: Comparison of the problem that explains the output best.
        wrong_channels: Mask (channels,).

    Returns:
        The elements above their bound if less than a tenth of the squared error is elsewhere; otherwise all
        elements of the channels.
    """
    execution, shape = comparison.problem.execution, comparison.problem.shape
    exceeding, everywhere = Footprint(execution, shape), Footprint(execution, shape)
    below, whole = 0.0, 0.0
    for part in comparison.problem.parts():
        above, energy = beyond_bounds(part.output, comparison.error_bound.expectation(part))
        channels_ = wrong_channels[part.place[1], np.newaxis]
        above &= channels_
        whole += float(energy.sum(where=channels_))
        below += float(energy.sum(where=channels_ & ~above))
        exceeding.add(above, part.place)
        everywhere.add(np.broadcast_to(channels_, above.shape), part.place)
    return exceeding if below <= 0.1 * whole else everywhere


def within_any_order(comparison: Comparison) -> bool:
    """Whether some order of summation explains every error: in any order, no partial sum exceeds S."""
    if comparison.outliers.relative.any() or comparison.deviation.exceeding.any():
        return False
    energy = np.zeros(comparison.problem.shape[1])
    for part in comparison.problem.parts():
        sums = magnitude(part, terms=comparison.precision.terms).reshape(part.output.shape)
        energy[part.place[1]] += np.einsum("ncp,ncp->c", sums, sums, dtype=np.float64)
    energy /= comparison.deviation.samples
    allowed = comparison.precision.accumulator**2 * comparison.precision.terms / 3 * energy
    return bool((comparison.deviation.error <= allowed).all())


def _measured_scales(problem: Problem, scales: Scales, channel: int) -> Scales:
    """Measure the scales of the errors; the elements of ``channel`` tell how their variances vary."""
    accumulator = rounding.accumulator(problem.execution.x.dtype)
    convolution, control = np.zeros((2, problem.shape[1]))
    # Errors of unequal size, or of equal patches, are fewer independent samples than there are elements.
    effective = EffectiveSamples(lambda values: values**2 / 3 + scales.products[channel] / 6)
    for part in problem.parts():
        place, exact = part.place[1], part.exact
        inexact = convolve(part.map(lambda operand: operand.astype(accumulator)))
        control[place] += _energy(inexact - exact)
        bias = 0.0 if part.bias is None else part.bias.reshape(-1, *(1 for _ in exact.shape[2:]))
        residual = 0.0 if part.residual is None else part.residual
        convolution[place] += _energy(exact - bias - residual)
        if place.start <= channel < place.stop:
            effective.add(exact[:, channel - place.start])
    samples = math.prod(problem.shape) // problem.shape[1]
    return replace(
        scales,
        convolution=convolution / samples,
        control=control / samples,
        spread=effective.spread or scales.spread,
        peak=effective.peak or scales.peak,
    )


def _energy(values: Array) -> Array:
    flat = values.reshape(*values.shape[:2], -1)
    energy: Array = np.einsum("ncp,ncp->c", flat, flat)
    return energy


def precision_of(problem: Problem) -> Precision:
    """The formats in which a kernel for the problem's dtypes sums, and rounds its result."""
    accumulator = rounding.accumulator(problem.execution.x.dtype)
    unit, interpolation = rounding.unit_roundoff(accumulator), 0.0
    if problem.execution.deformation is not None:
        # A coordinate is rounded by at most unit times the size; so are the weights and sum of the corners.
        sizes = problem.geometry.fine
        interpolation = 2 * unit * sum(sizes) + 2 ** (2 + len(sizes)) * unit
    return Precision(
        terms=problem.terms,
        # The reference itself rounds to float64, which matters only if the runtime does too.
        accumulator=unit + 2.0**-53,
        output=rounding.unit_roundoff(problem.execution.output.dtype),
        underflow=problem.terms * float(rounding.limits(accumulator).smallest_normal)
        + float(rounding.limits(problem.execution.output.dtype).smallest_subnormal) / 2,
        products=interpolation,
    )
