"""The verdict on one executed convolution: did the runtime compute what the accounting claims?"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.errors import ModelError
from convaudit.judge import rounding
from convaudit.judge.accounted import Accounted, held_against_accounting
from convaudit.judge.activations import ACTIVATIONS
from convaudit.judge.execution import Execution
from convaudit.judge.floating import judge_floating
from convaudit.judge.problem import WORKSPACE_BYTES, Problem, Survey, survey_of
from convaudit.judge.quantized import compare_integers, judge_integers
from convaudit.judge.trial import hold_against
from convaudit.records import Verification
from convaudit.shapes import as_text

Array: TypeAlias = NDArray[Any]

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
