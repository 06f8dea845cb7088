"""The verdict on a floating-point convolution.

Each element is held against its rounding bound, each output channel's error against what its sums and the
other channels lead to expect. What rounding does not explain may be a known format or algorithm; the rest
is a mismatch.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.judge import location
from convaudit.judge.faults import diagnose
from convaudit.judge.formats import explain
from convaudit.judge.problem import Problem
from convaudit.judge.trial import Trial, footprint, hold_against, within_any_order
from convaudit.records import Status, Verification

Array: TypeAlias = NDArray[Any]


def judge_floating(trial: Trial) -> Verification:
    """The verdict on an output of the right shape that was held against the problem's solution."""
    deviation = trial.deviation
    nothing = _proves_nothing(trial)
    if nothing is not None:
        return _report(trial, "vacuous", f"{nothing}; try real inputs (--data)")
    if deviation.identical:
        return _report(trial, "exact", "bit for bit the float64 result, rounded once")
    if not trial.failing.any():
        share = f"{deviation.worst_ratio:.2g}"
        return _report(trial, "within_rounding", f"no error is larger than {share} of its rounding bound")
    return _beyond_rounding(trial)


def _proves_nothing(trial: Trial) -> str | None:
    """Why the output would be as good with any other weight."""
    if not trial.deviation.gain.any():
        return "the activation is saturated everywhere"
    if trial.failing.any():
        return None
    if _is_hidden(trial):
        return "the products are below the rounding of the results that they enter, so that any would do"
    output = trial.problem.output
    if not np.isfinite(output.item(0)) and not np.isfinite(output).any():
        return "the output overflows its format everywhere"
    return None


def _is_hidden(trial: Trial) -> bool:
    """Whether in no channel the products are larger than what rounding may add to the result."""
    deviation, tolerance = trial.deviation, trial.rule.tolerance
    rounded = tolerance.growth**2 * deviation.signal + tolerance.unit**2 * deviation.output
    hidden = trial.survey.products * deviation.gain <= rounded + deviation.evaluation
    return bool(hidden.all())


def _beyond_rounding(trial: Trial) -> Verification:
    """A known format or algorithm, an unfavourable order of summation, or a fault."""
    explanation = explain(trial)
    if explanation is None:
        if within_any_order(trial):
            return _report(
                trial, "low_accuracy", "only an unfavourable order of summation explains the error"
            )
        reason = "neither rounding nor a known format explains the error"
        return _mismatch(trial, reason, trial, trial.failing)
    if not explanation.unexplained.any():
        return _report(trial, "low_accuracy", explanation.how, named=explanation.format)
    reason = f"even {explanation.format} does not explain the error"
    return _mismatch(trial, reason, explanation.trial, explanation.unexplained)


def _mismatch(trial: Trial, reason: str, closest: Trial, channels: Array) -> Verification:
    """A fault in these channels, located and diagnosed beside the closest explanation."""
    where = location.describe(channels, footprint(closest, channels), trial.problem.execution)
    likely = diagnose(closest.problem, _agrees)
    hint = "" if likely is None else f"; it is the result {likely}"
    return _report(trial, "mismatch", f"{reason} ({where}){hint}", where=where)


def _agrees(problem: Problem) -> bool:
    trial = hold_against(problem)
    return trial.survey.finite and not trial.failing.any()


def _report(
    trial: Trial, status: Status, reason: str, *, where: str | None = None, named: str | None = None
) -> Verification:
    deviation, exact = trial.deviation, status == "exact"
    return Verification(
        status=status,
        reason=reason,
        max_abs_error=0.0 if exact else deviation.max_abs_error,
        bits=math.inf if exact else deviation.bits,
        worst_index=trial.problem.output_index(deviation.worst_index),
        bound=deviation.worst_bound,
        location=where,
        format=named,
        executed_macs=trial.survey.macs,
    )
