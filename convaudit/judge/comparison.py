"""A runtime's output held against a problem's solution: what rounding explains, and what it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge import channels, rounding
from convaudit.judge.activations import function_of
from convaudit.judge.channels import Draws, Scales, Suspects
from convaudit.judge.deviation import Deviation, Expectation, Tally, Tolerance, beyond_bounds
from convaudit.judge.diagnosis import Footprint
from convaudit.judge.problem import Problem
from convaudit.judge.reference import Part, Survey, magnitude, solve
from convaudit.judge.rounding import Precision

ENOUGH_TERMS = 128
"""How many products of an element may be enough to accept its error; all cost as much as the layer itself.

S of a part of the products is less than S, and an honest error usually below lambda times that, too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How an output differs from what a problem's solution leads to expect."""

    problem: Problem
    survey: Survey
    precision: Precision
    rule: Rule
    deviation: Deviation
    suspects: Suspects

    @property
    def failing(self) -> Array:
        """Mask of the channels where rounding does not explain the error."""
        mask: Array = self.suspects.either | (self.deviation.exceeding > 0)
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to expect of every part."""

    tolerance: Tolerance
    terms: int  # of an element's terms, how many S sums
    largest: Array | None  # of each channel, the S that bounds all its errors; None: each element has its own

    def expectation(self, part: Part) -> Expectation:
        """What to expect of one part."""
        shape = part.output.shape
        if self.largest is None:
            sums = magnitude(part, terms=self.terms).reshape(shape)
        else:
            sums = np.broadcast_to(self.largest[part.place[1], np.newaxis], shape)
        return Expectation(exact=part.exact.reshape(shape), magnitude=sums, tolerance=self.tolerance)


@np.errstate(invalid="ignore", over="ignore")  # sums beyond a format are judged by what became of them
def hold_against(
    problem: Problem,
    *,
    survey: Survey | None = None,
    precision: Precision | None = None,
    mixing: bool = False,
) -> Trial:
    """Compare the execution's output with the problem's solution, which must have its shape.

    survey     of the problem, if it is known already
    precision  of the kernel; by default, what its dtypes let expect
    mixing     the algorithm mixes positions, so that the largest S of a channel bounds all its errors, as
               deformable convolution does, whose coordinates may be rounded to the other side of a position
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
    rule = _rule(problem, tolerance, ENOUGH_TERMS, mixing)
    surveyed = Survey(problem.shape) if survey is None else None
    deviation = _measured(problem, rule, surveyed)
    survey = survey or surveyed
    assert survey is not None
    if deviation.exceeding.any() and precision.terms > ENOUGH_TERMS:
        rule = _rule(problem, tolerance, precision.terms, mixing)
        deviation = _measured(problem, rule, None)
    return Trial(
        problem=problem,
        survey=survey,
        precision=precision,
        rule=rule,
        deviation=deviation,
        suspects=_suspects(problem, survey, deviation, precision),
    )


def _rule(problem: Problem, tolerance: Tolerance, terms: int, mixing: bool) -> Rule:
    largest = None
    if mixing:
        largest = np.zeros(problem.shape[1], np.float32)
        for part in problem.parts():
            sums = magnitude(part, terms=terms)
            of_part = sums.max(axis=(0, *range(2, sums.ndim)))
            largest[part.place[1]] = np.maximum(largest[part.place[1]], of_part)
    return Rule(tolerance=tolerance, terms=terms, largest=largest)


def _measured(problem: Problem, rule: Rule, survey: Survey | None) -> Deviation:
    """The deviation of all parts; one pass over them makes a survey as well, if one is wanted."""
    tally = Tally(problem.shape)
    for part in problem.parts():
        if survey is not None:
            survey.add(part)
            if not survey.finite:
                continue  # there is nothing to compare with, only multiply-adds to count
        tally.add(part.output, rule.expectation(part), part.place)
    return tally.result()


def _suspects(problem: Problem, survey: Survey, deviation: Deviation, precision: Precision) -> Suspects:
    if not survey.finite:
        nobody = np.zeros(problem.shape[1], bool)
        return Suspects(alone=nobody, beside_others=nobody)
    scales = Scales.of_equal(survey.products, deviation.samples)
    suspects = channels.suspects(deviation, scales, precision)
    if suspects.either.any():
        scales = _closely(problem, scales, int(np.argmax(suspects.either)))
        suspects = channels.suspects(deviation, scales, precision)
    return suspects


def footprint(trial: Trial, wrong_channels: Array) -> Footprint:
    """Where the elements are that hold the error of these channels.

    Those above their bound, if hardly anything of the error is elsewhere; else all elements of the channels.
    """
    execution, shape = trial.problem.execution, trial.problem.shape
    exceeding, everywhere = Footprint(execution, shape), Footprint(execution, shape)
    below, whole = 0.0, 0.0
    for part in trial.problem.parts():
        above, energy = beyond_bounds(part.output, trial.rule.expectation(part))
        channels_ = wrong_channels[part.place[1], np.newaxis]
        above &= channels_
        whole += float(energy.sum(where=channels_))
        below += float(energy.sum(where=channels_ & ~above))
        exceeding.add(above, part.place)
        everywhere.add(np.broadcast_to(channels_, above.shape), part.place)
    return exceeding if below <= 0.1 * whole else everywhere


def within_any_order(trial: Trial) -> bool:
    """Whether some order of summation explains all: no partial sum exceeds S in any."""
    if trial.suspects.beside_others.any() or trial.deviation.exceeding.any():
        return False
    energy = np.zeros(trial.problem.shape[1])
    for part in trial.problem.parts():
        sums = magnitude(part, terms=trial.precision.terms).reshape(part.output.shape)
        energy[part.place[1]] += np.einsum("ncp,ncp->c", sums, sums, dtype=np.float64)
    energy /= trial.deviation.samples
    allowed = trial.precision.accumulator**2 * trial.precision.terms / 3 * energy
    return bool((trial.deviation.error <= allowed).all())


def _closely(problem: Problem, scales: Scales, suspect: int) -> Scales:
    """All that can be known of the errors' scales; channel ``suspect`` tells how its elements vary."""
    accumulator = rounding.accumulator(problem.execution.x.dtype)
    convolution, control = np.zeros((2, problem.shape[1]))
    # Errors of unequal size, or of equal patches, are fewer independent draws than there are elements.
    draws = Draws(lambda values: values**2 / 3 + scales.products[suspect] / 6)
    for part in problem.parts():
        place, exact = part.place[1], part.exact
        inexact = solve(part.map(lambda operand: operand.astype(accumulator)))
        control[place] += _energy(inexact - exact)
        bias = 0.0 if part.bias is None else part.bias.reshape(-1, *(1 for _ in exact.shape[2:]))
        residual = 0.0 if part.residual is None else part.residual
        convolution[place] += _energy(exact - bias - residual)
        if place.start <= suspect < place.stop:
            draws.add(exact[:, suspect - place.start])
    samples = math.prod(problem.shape) // problem.shape[1]
    return replace(
        scales,
        convolution=convolution / samples,
        control=control / samples,
        spread=draws.spread or scales.spread,
        peak=draws.peak or scales.peak,
    )


def _energy(values: Array) -> Array:
    flat = values.reshape(*values.shape[:2], -1)
    energy: Array = np.einsum("ncp,ncp->c", flat, flat)
    return energy


def precision_of(problem: Problem) -> Precision:
    """The formats in which a kernel for these dtypes sums and rounds its result."""
    accumulator = rounding.accumulator(problem.execution.x.dtype)
    unit, interpolation = rounding.unit_roundoff(accumulator), 0.0
    if problem.execution.deformation is not None:
        # A coordinate is rounded by at most unit times the size; so are the weights and sum of the corners.
        sizes = problem.geometry.fine
        interpolation = 2 * unit * sum(sizes) + 2 ** (2 + len(sizes)) * unit
    return Precision(
        terms=problem.terms,
        # The solution itself rounds to float64, which matters only if the runtime does too.
        accumulator=unit + 2.0**-53,
        output=rounding.unit_roundoff(problem.execution.output.dtype),
        underflow=problem.terms * float(rounding.limits(accumulator).smallest_normal)
        + float(rounding.limits(problem.execution.output.dtype).smallest_subnormal) / 2,
        products=interpolation,
    )
