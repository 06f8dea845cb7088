"""The verdict on one executed convolution: did the runtime compute what the accounting claims?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from convaudit.engine.operands import Array
from convaudit.errors import ModelError
from convaudit.judge import diagnosis, rounding
from convaudit.judge.activations import ACTIVATIONS
from convaudit.judge.comparison import Trial, footprint, hold_against, within_any_order
from convaudit.judge.execution import Accounted, Execution
from convaudit.judge.formats import explain
from convaudit.judge.problem import WORKSPACE_BYTES, Problem, survey_of
from convaudit.judge.quantized import Comparison, compare_integers, integers_agree
from convaudit.judge.reference import Survey
from convaudit.records import Status, Verification
from convaudit.shapes import as_text

ADVICE = "try real inputs (--data)"


def judge(
    execution: Execution, *, accounted: Accounted | None = None, workspace_bytes: int = WORKSPACE_BYTES
) -> Verification:
    """Re-execute a convolution in float64 with convaudit's own engine and judge the runtime's output by it.

    execution        what the runtime was given and what it returned
    accounted        what the accounting claims; other sizes that ran, or another count of the engine's, are
                     its fault, and the layer is ``miscounted``
    workspace_bytes  bounds what is allocated, whatever the sizes: the output is judged in tiles

    Returns  the verdict; what a runtime returned never raises, be it NaN or of a wrong shape. Its ``bound``
             is that of a part of the element's terms where this was enough to accept every element
    Raises   ModelError if the operands themselves do not make a convolution, and no accounting is to blame
    """
    if accounted is None:
        return _judged(execution, workspace_bytes)
    try:
        verdict = _judged(execution, workspace_bytes)
    except ModelError as error:
        reason = f"what ran does not fit the accounted attributes: {error}"
        verdict = Verification(status="miscounted", reason=reason)
    return held_against_accounting(verdict, execution, accounted)


def _judged(execution: Execution, workspace_bytes: int) -> Verification:
    if execution.activation is not None and execution.activation.name not in ACTIVATIONS:
        return Verification(
            status="not_supported",
            reason=f"the fused activation {execution.activation.name} is unknown to convaudit",
        )
    if 0 in execution.x.shape[1:]:  # of an empty batch, the output's shape can still be judged
        reason = "the input is empty: there is nothing to compare"
        return Verification(status="vacuous", reason=reason)
    problem = Problem(execution=execution, workspace_bytes=workspace_bytes)
    if problem.output.shape != problem.shape:
        ran, expected = as_text(problem.output.shape), as_text(problem.shape)
        return Verification(
            status="mismatch",
            reason=f"the runtime returned the shape {ran}, the engine {expected}",
            executed_macs=survey_of(problem).macs,
        )
    if 0 in problem.shape:
        reason = "the output is empty: there is nothing to compare"
        return Verification(status="vacuous", reason=reason, executed_macs=0)
    if execution.quantization is not None:
        comparison = compare_integers(problem)
        return _emptiness(problem, comparison.survey) or judge_integers(comparison)
    trial = hold_against(problem)
    return _emptiness(problem, trial.survey) or judge_floating(trial)


def _emptiness(problem: Problem, survey: Survey) -> Verification | None:
    """The verdict where agreement would prove nothing; ``None`` if it would prove something."""
    reason = _proves_nothing(problem, survey)
    if reason is None:
        return None
    return Verification(status="vacuous", reason=f"{reason}; {ADVICE}", executed_macs=survey.macs)


def _proves_nothing(problem: Problem, survey: Survey) -> str | None:
    if not survey.finite:
        return "an operand holds NaN or infinity, which agree with anything"
    if not survey.products.any():
        return f"{_silent(problem)}, so that any other would agree"
    if problem.execution.quantization is not None:
        return None
    if _is_denormal(problem, survey.products):
        return "the signal is denormal, and a runtime may take it for zero"
    if _may_overflow(problem, survey):
        return "the sums may be beyond float32, in which no bound holds"
    return None


def _silent(problem: Problem) -> str:
    if not any(part.x.any() for part in problem.parts()):
        return "the input is all zero"
    weighted = any(part.weight.any() for part in problem.parts())
    return "the weight meets only zeros" if weighted else "the weight is all zero"


def _may_overflow(problem: Problem, survey: Survey) -> bool:
    """Whether the absolute values of some element's terms may sum to more than a float32 holds."""
    sums = math.sqrt(problem.terms * survey.largest)
    for added in (problem.execution.bias, problem.execution.residual):
        if added is not None:
            sums += float(max(added.max(initial=0), -added.min(initial=0)))
    return sums >= float(rounding.limits(np.dtype(np.float32)).max)


def _is_denormal(problem: Problem, products: Array) -> bool:
    execution = problem.execution
    dtype = execution.x.dtype
    of_input, of_sum = (
        float(rounding.limits(format_).smallest_normal) for format_ in (dtype, rounding.accumulator(dtype))
    )
    inputs = [execution.x] if execution.past_state is None else [execution.x, execution.past_state]
    largest = max(float(max(array.max(initial=0), -array.min(initial=0))) for array in inputs)
    return largest < of_input or math.sqrt(products.max()) < of_sum


def judge_floating(trial: Trial) -> Verification:
    """The verdict on an output of the right shape that was held against the problem's solution."""
    deviation = trial.deviation
    nothing = _floating_proves_nothing(trial)
    if nothing is not None:
        return _report(trial, "vacuous", f"{nothing}; try real inputs (--data)")
    if deviation.identical:
        return _report(trial, "exact", "bit for bit the float64 result, rounded once")
    if not trial.failing.any():
        share = f"{deviation.worst_ratio:.2g}"
        return _report(trial, "within_rounding", f"no error is larger than {share} of its rounding bound")
    return _beyond_rounding(trial)


def _floating_proves_nothing(trial: Trial) -> str | None:
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
    where = diagnosis.describe(channels, footprint(closest, channels), trial.problem.execution)
    likely = diagnosis.diagnose(closest.problem, _agrees)
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


def judge_integers(comparison: Comparison) -> Verification:
    """The verdict on integers of the right shape that were compared with the problem's solution."""
    problem, missed = comparison.problem, comparison.missed
    found = Verification(
        status="exact",
        reason="bit for bit the exact sum, rounded once",
        max_abs_error=comparison.max_abs_error,
        bits=comparison.bits,
        worst_index=problem.output_index(comparison.worst_index),
        bound=comparison.worst_bound,
        executed_macs=comparison.survey.macs,
    )
    if comparison.wrong.any():
        where = diagnosis.describe(comparison.wrong, comparison.footprint, problem.execution)
        likely = diagnosis.diagnose(problem, integers_agree)
        hint = "" if likely is None else f"; it is the result {likely}"
        reason = f"integers differ by more than the rounding of a tie explains ({where}){hint}"
        return replace(found, status="mismatch", reason=reason, location=where)
    if not comparison.telling:
        reason = "no sum shows in the output, all of which is saturated or within half a step without it"
        return replace(found, status="vacuous", reason=f"{reason}; try real inputs (--data)")
    if missed:
        reason = f"{missed} of {math.prod(problem.shape)} integers round a near tie the other way"
        return replace(found, status="within_rounding", reason=reason)
    return found


def held_against_accounting(verdict: Verification, execution: Execution, claim: Accounted) -> Verification:
    """The verdict on the values that ran, or ``miscounted`` if their sizes are not the accounted ones."""
    claimed, ran = [], []
    for name, shape, array in (
        ("input", claim.input_shape, execution.x),
        ("weight", claim.weight_shape, execution.weight),
        ("output", claim.output_shape, execution.output),
    ):
        if not _agree(shape, array.shape):
            claimed.append(f"{name} {as_text(shape)}")
            ran.append(f"{name} {as_text(array.shape)}")
    if claim.macs is not None and verdict.executed_macs not in (None, claim.macs):
        claimed.append(f"{claim.macs:,} MACs")
        ran.append(f"{verdict.executed_macs:,} MACs")
    if not claimed:
        return verdict
    compared = verdict.max_abs_error is not None
    values = "right" if verdict.verified else "wrong" if verdict.failed and compared else "not proven"
    reason = (
        f"the accounting claims {', '.join(claimed)}, but {', '.join(ran)} ran; "
        f"the values of that size are {values} ({verdict.words}: {verdict.reason})"
    )
    return replace(verdict, status="miscounted", reason=reason)


def _agree(claimed: tuple[int | None, ...] | None, ran: tuple[int, ...]) -> bool:
    if claimed is None:
        return True
    return len(claimed) == len(ran) and all(
        size in (None, actual) for size, actual in zip(claimed, ran, strict=True)
    )
