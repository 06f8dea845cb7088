"""The verdict on one executed convolution: did the runtime compute what the accounting claims?"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.errors import ModelError
from convaudit.records import Verification
from convaudit.shapes import as_text
from convaudit.verifier import rounding
from convaudit.verifier.accounted import Accounted, held_against_accounting
from convaudit.verifier.activations import ACTIVATIONS
from convaudit.verifier.execution import Execution
from convaudit.verifier.floating import judge_floating
from convaudit.verifier.quantized import judge_integers
from convaudit.verifier.reference import Problem, Solution, channels_first, pose, solution_of

Array: TypeAlias = NDArray[Any]

WORKSPACE_BYTES = 64 * 2**20
ADVICE = "try real inputs (--data)"


def judge(
    execution: Execution, *, accounted: Accounted | None = None, workspace_bytes: int = WORKSPACE_BYTES
) -> Verification:
    """Re-execute a convolution in float64 with convaudit's own engine and judge the runtime's output by it.

    execution        what the runtime was given and what it returned
    accounted        what the accounting claims; other sizes that ran, or another count of the engine's, are
                     its fault, and the layer is ``miscounted``
    workspace_bytes  bounds the engine's temporary memory; beside it, about 12 bytes are needed for each
                     element of the input and of the output: float64 copies and S

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
    problem = pose(execution, workspace_bytes=workspace_bytes)
    solution = solution_of(problem)
    actual, expected = channels_first(execution.output, execution).shape, solution.exact.shape
    if actual != expected:
        return Verification(
            status="mismatch",
            reason=f"the runtime returned the shape {as_text(actual)}, the engine {as_text(expected)}",
            executed_macs=solution.macs,
        )
    if (emptiness := _proves_nothing(problem, solution)) is not None:
        return Verification(status="vacuous", reason=emptiness, executed_macs=solution.macs)
    return (judge_floating if execution.quantization is None else judge_integers)(problem, solution)


def _proves_nothing(problem: Problem, solution: Solution) -> str | None:
    """Why agreement would prove nothing; ``None`` if it would prove something."""
    products = solution.products
    if solution.exact.size == 0:
        return "the output is empty: there is nothing to compare"
    if not (np.isfinite(products).all() and math.isfinite(solution.exact.sum())):
        return f"an operand holds NaN or infinity, which agree with anything; {ADVICE}"
    if not products.any():
        return f"{_silent(problem)}, so that any other would agree; {ADVICE}"
    if problem.execution.quantization is None and _is_denormal(problem, products):
        return f"the signal is denormal, and a runtime may take it for zero; {ADVICE}"
    return None


def _silent(problem: Problem) -> str:
    if not problem.x.any():
        return "the input is all zero"
    return "the weight meets only zeros" if problem.weight.any() else "the weight is all zero"


def _is_denormal(problem: Problem, products: Array) -> bool:
    dtype = problem.execution.x.dtype
    of_input, of_sum = (
        float(rounding.limits(format_).smallest_normal) for format_ in (dtype, rounding.accumulator(dtype))
    )
    return bool(max(problem.x.max(), -problem.x.min()) < of_input or math.sqrt(products.max()) < of_sum)
