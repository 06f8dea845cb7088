"""The verdict on one executed convolution: did the runtime compute what the accounting claims?

Each element of a floating-point output is compared with its rounding bound, the error of each output channel
with what its sums and the other channels lead to expect. What rounding does not explain may be a known format
or algorithm; the rest is a mismatch. An integer output must be the exact sum, rounded correctly.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from convaudit.engine.operands import Array
from convaudit.errors import ModelError
from convaudit.judge import diagnosis, rounding
from convaudit.judge.activations import ACTIVATIONS
from convaudit.judge.comparison import Comparison, compare, footprint, within_any_order
from convaudit.judge.execution import Accounted, Execution
from convaudit.judge.formats import best_hypothesis
from convaudit.judge.problem import JUDGE_BYTES, Problem, summarise
from convaudit.judge.quantized import IntegerComparison, compare_integers, integers_agree
from convaudit.judge.reference import ReferenceSummary
from convaudit.records import Status, Verification
from convaudit.shapes import as_text

ADVICE = "try real inputs (--data)"


def judge(
    execution: Execution, *, accounted: Accounted | None = None, workspace_bytes: int = JUDGE_BYTES
) -> Verification:
    """Re-execute a convolution in float64 with convaudit's own engine and judge the runtime's output by it.

    Args:
        execution: What the runtime was given and what it returned.
        accounted: What the accounting claims. If other sizes ran, or the engine counts another number of
            multiply-adds, the accounting is wrong and the layer is ``miscounted``.
        workspace_bytes: Limit of what is allocated, whatever the sizes: the output is judged in tiles.

    Returns:
        The verdict. What a runtime returned never raises, be it NaN or of a wrong shape. The verdict's
        ``bound`` is that of a part of the element's terms where this was enough to accept every element.

    Raises:
        ModelError: The operands themselves do not make a convolution, and no accounting was given.
    """
    if accounted is None:
        return _judge_execution(execution, workspace_bytes)
    try:
        verdict = _judge_execution(execution, workspace_bytes)
    except ModelError as error:
        reason = f"what ran does not fit the accounted attributes: {error}"
        verdict = Verification(status="miscounted", reason=reason)
    return compare_with_accounting(verdict, execution, accounted)


def _judge_execution(execution: Execution, workspace_bytes: int) -> Verification:
    if execution.activation is not None and execution.activation.name not in ACTIVATIONS:
        return Verification(
            status="not_supported",
            reason=f"the fused activation {execution.activation.name} is unknown to convaudit",
        )
    if 0 in execution.x.shape[1:]:  # an empty batch still has an output shape to be judged
        reason = "the input is empty: there is nothing to compare"
        return Verification(status="vacuous", reason=reason)
    problem = Problem(execution=execution, workspace_bytes=workspace_bytes)
    if problem.output.shape != problem.shape:
        ran, expected = as_text(problem.output.shape), as_text(problem.shape)
        return Verification(
            status="mismatch",
            reason=f"the runtime returned the shape {ran}, the engine {expected}",
            executed_macs=summarise(problem).macs,
        )
    if 0 in problem.shape:
        reason = "the output is empty: there is nothing to compare"
        return Verification(status="vacuous", reason=reason, executed_macs=0)
    if execution.quantization is not None:
        integers = compare_integers(problem)
        return _vacuous(problem, integers.summary) or judge_integers(integers)
    comparison = compare(problem)
    return _vacuous(problem, comparison.summary) or judge_floating(comparison)


def _vacuous(problem: Problem, summary: ReferenceSummary) -> Verification | None:
    """The verdict where agreement would prove nothing; ``None`` if it would prove something."""
    reason = _why_nothing_is_proven(problem, summary)
    if reason is None:
        return None
    return Verification(status="vacuous", reason=f"{reason}; {ADVICE}", executed_macs=summary.macs)


def _why_nothing_is_proven(problem: Problem, summary: ReferenceSummary) -> str | None:
    if not summary.finite:
        return "an operand holds NaN or infinity, so that nothing can be compared"
    if not summary.products.any():
        return f"{_zero_operand(problem)}, so that any other would agree"
    if problem.execution.quantization is not None:
        return None
    if _is_denormal(problem, summary.products):
        return "the signal is denormal, and a runtime may take it for zero"
    if _may_overflow(problem, summary):
        return "the sums may be beyond float32's range, where no bound holds"
    return None


def _zero_operand(problem: Problem) -> str:
    if not any(part.x.any() for part in problem.parts()):
        return "the input is all zero"
    weighted = any(part.weight.any() for part in problem.parts())
    return "the weight meets only zeros" if weighted else "the weight is all zero"


def _may_overflow(problem: Problem, summary: ReferenceSummary) -> bool:
    """Whether the absolute values of some element's terms may sum to more than a float32 holds."""
    sums = math.sqrt(problem.terms * summary.largest)
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


def judge_floating(comparison: Comparison) -> Verification:
    """The verdict on a floating-point output of the right shape."""
    deviation = comparison.deviation
    nothing = _why_floats_prove_nothing(comparison)
    if nothing is not None:
        return _report(comparison, "vacuous", f"{nothing}; {ADVICE}")
    if deviation.identical:
        return _report(comparison, "exact", "bit for bit the float64 result, rounded once")
    if not comparison.failing.any():
        reason = f"no error is larger than {deviation.worst_ratio:.2g} of its rounding bound"
        return _report(comparison, "within_rounding", reason)
    return _beyond_rounding(comparison)


def _why_floats_prove_nothing(comparison: Comparison) -> str | None:
    """Why the output would be as good with any other weight."""
    if not comparison.deviation.gain.any():
        return "the activation is saturated everywhere"
    if comparison.failing.any():
        return None
    if _is_hidden(comparison):
        return "the products are below the rounding of the results, so that any others would agree"
    output = comparison.problem.output
    if not np.isfinite(output.item(0)) and not np.isfinite(output).any():
        return "the output overflows its format everywhere"
    return None


def _is_hidden(comparison: Comparison) -> bool:
    """Whether the products of every channel are smaller than what rounding may add to the result."""
    deviation, tolerance = comparison.deviation, comparison.error_bound.tolerance
    rounded = tolerance.growth**2 * deviation.signal + tolerance.unit**2 * deviation.output
    hidden = comparison.summary.products * deviation.gain <= rounded + deviation.evaluation
    return bool(hidden.all())


def _beyond_rounding(comparison: Comparison) -> Verification:
    """A known format or algorithm, an unfavourable order of summation, or a fault."""
    explanation = best_hypothesis(comparison)
    if explanation is None:
        if within_any_order(comparison):
            reason = "only an unfavourable order of summation explains the error"
            return _report(comparison, "low_accuracy", reason)
        reason = "neither rounding nor a known format explains the error"
        return _mismatch(comparison, reason, comparison, comparison.failing)
    if not explanation.unexplained.any():
        return _report(comparison, "low_accuracy", explanation.how, named=explanation.format)
    reason = f"even {explanation.format} does not explain the error"
    return _mismatch(comparison, reason, explanation.comparison, explanation.unexplained)


def _mismatch(comparison: Comparison, reason: str, closest: Comparison, channels: Array) -> Verification:
    """A fault in these channels, located and diagnosed beside the closest explanation."""
    where = diagnosis.describe(channels, footprint(closest, channels), comparison.problem.execution)
    hint = _hint(diagnosis.diagnose(closest.problem, _floats_agree))
    return _report(comparison, "mismatch", f"{reason} ({where}){hint}", where=where)


def _hint(fault: str | None) -> str:
    return "" if fault is None else f"; it is the result {fault}"


def _floats_agree(problem: Problem) -> bool:
    comparison = compare(problem)
    return comparison.summary.finite and not comparison.failing.any()


def _report(
    comparison: Comparison, status: Status, reason: str, *, where: str | None = None, named: str | None = None
) -> Verification:
    deviation, exact = comparison.deviation, status == "exact"
    return Verification(
        status=status,
        reason=reason,
        max_abs_error=0.0 if exact else deviation.max_abs_error,
        bits=math.inf if exact else deviation.bits,
        worst_index=comparison.problem.output_index(deviation.worst_index),
        bound=deviation.worst_bound,
        location=where,
        format=named,
        executed_macs=comparison.summary.macs,
    )


def judge_integers(comparison: IntegerComparison) -> Verification:
    """The verdict on an integer output of the right shape."""
    problem, missed = comparison.problem, comparison.missed
    found = Verification(
        status="exact",
        reason="bit for bit the exact sum, rounded once",
        max_abs_error=comparison.max_abs_error,
        bits=comparison.bits,
        worst_index=problem.output_index(comparison.worst_index),
        bound=comparison.worst_bound,
        executed_macs=comparison.summary.macs,
    )
    if comparison.wrong.any():
        where = diagnosis.describe(comparison.wrong, comparison.footprint, problem.execution)
        hint = _hint(diagnosis.diagnose(problem, integers_agree))
        reason = f"integers differ by more than the rounding of a tie explains ({where}){hint}"
        return replace(found, status="mismatch", reason=reason, location=where)
    if not comparison.telling:
        reason = (
            "the sums do not show in the output: all is saturated or within half a step of the bias alone"
        )
        return replace(found, status="vacuous", reason=f"{reason}; {ADVICE}")
    if missed:
        reason = f"{missed} of {math.prod(problem.shape)} integers round a near tie the other way"
        return replace(found, status="within_rounding", reason=reason)
    return found


def compare_with_accounting(verdict: Verification, execution: Execution, claim: Accounted) -> Verification:
    """Compare the sizes and multiply-adds that ran with the accounted ones.

    Args:
        verdict: On the values that ran.
        execution: What ran.
        claim: What the accounting says of this call.

    Returns:
        The verdict as it was, or ``miscounted`` if a size or the number of multiply-adds differs.
    """
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
