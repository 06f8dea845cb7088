"""The verdict on a floating-point convolution.

Each element is held against its rounding bound, each output channel's error against what its sums and the
other channels lead to expect. What rounding does not explain may be a known format or algorithm; the rest
is a mismatch.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from numpy.typing import NDArray

from convaudit.records import Status, Verification
from convaudit.verifier import location
from convaudit.verifier.faults import diagnose
from convaudit.verifier.formats import explain
from convaudit.verifier.problem import Problem
from convaudit.verifier.trial import Trial, footprint, hold_against, within_any_order

Array: TypeAlias = NDArray[Any]


def judge_floating(trial: Trial) -> Verification:
    """The verdict on an output of the right shape that was held against the problem's solution."""
    deviation = trial.deviation
    if not deviation.gain.any():
        return _report(trial, "vacuous", "the activation is saturated everywhere; try real inputs (--data)")
    if deviation.identical:
        return _report(trial, "exact", "bit for bit the float64 result, rounded once")
    if not trial.failing.any():
        share = f"{deviation.worst_ratio:.2g}"
        return _report(trial, "within_rounding", f"no error is larger than {share} of its rounding bound")
    return _beyond_rounding(trial)


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
