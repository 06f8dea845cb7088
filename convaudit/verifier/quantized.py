"""The verdict on an integer convolution: its sum must be exact, its requantisation a correct rounding."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.records import Verification
from convaudit.verifier import location, rounding
from convaudit.verifier.activations import function_of
from convaudit.verifier.execution import Execution, Quantization
from convaudit.verifier.faults import diagnose
from convaudit.verifier.reference import Problem, Solution, channels_first

Array: TypeAlias = NDArray[Any]

SCALING = 4 * rounding.unit_roundoff(np.dtype(np.float32))
"""Relative error of a sum scaled in float32: it, the product of the scales, their quotient and the result are
rounded once each."""


def judge_integers(problem: Problem, solution: Solution) -> Verification:
    """Judge the integers of the problem's execution by the problem's solution, which has its shape."""
    execution = problem.execution
    output = channels_first(execution.output, execution)
    real, tolerance = requantized(execution, solution.exact)
    error = np.abs(output - real)
    wrong = error > tolerance
    missed = np.abs(output - np.rint(real))
    image, channel, position = np.unravel_index(
        np.argmax(error - tolerance), (*error.shape[:2], math.prod(error.shape[2:]))
    )
    worst = int(image), int(channel), int(position)
    found = Verification(
        status="exact",
        reason="bit for bit the exact sum, rounded once",
        max_abs_error=float(missed.max()),
        bits=_bits(missed, real),
        worst_index=problem.output_index(worst),
        bound=float(np.broadcast_to(tolerance, error.shape).reshape(*error.shape[:2], -1)[worst]),
        executed_macs=solution.macs,
    )
    if wrong.any():
        where = location.describe(wrong.any(axis=(0, *range(2, wrong.ndim))), wrong, execution)
        likely = diagnose(problem, solution.exact.shape, _agrees)
        hint = "" if likely is None else f"; it is the result {likely}"
        reason = f"integers differ by more than the rounding of a tie explains ({where}){hint}"
        return replace(found, status="mismatch", reason=reason, location=where)
    if missed.any():
        reason = f"{np.count_nonzero(missed)} of {missed.size} integers round a near tie the other way"
        return replace(found, status="within_rounding", reason=reason)
    return found


def _agrees(problem: Problem, solution: Solution) -> bool:
    output = channels_first(problem.execution.output, problem.execution)
    real, tolerance = requantized(problem.execution, solution.exact)
    return bool((np.abs(output - real) <= tolerance).all())


def requantized(execution: Execution, sums: Array) -> tuple[Array, Array | float]:
    """The real numbers that the output's integers must be roundings of, and how far from them these may be.

    A plain integer sum (ConvInteger) has no tolerance. A scaled one may be rounded either way where it lies
    within its own rounding error of a tie, and nowhere else.
    """
    quantization = execution.quantization
    assert quantization is not None
    if not quantization.requantizes:
        return _wrapped(sums, execution.output.dtype), 0.0
    step, output_step = _scales(quantization, sums.ndim)
    function = function_of(execution.activation)
    scaled = sums * (step / output_step)
    value = scaled if function is None else function.value(sums * step) / output_step
    limits = np.iinfo(execution.output.dtype)
    real = np.clip(value + float(np.asarray(quantization.y_zero_point).item()), limits.min, limits.max)
    lipschitz = 1.0 if function is None else function.lipschitz
    return real, 0.5 + lipschitz * SCALING * np.abs(scaled)


def _bits(missed: Array, real: Array) -> float:
    error, signal = float(np.square(missed).mean()), float(np.square(real).mean())
    return math.inf if error == 0 else 0.5 * math.log2(signal / error) if signal else -math.inf


def _scales(quantization: Quantization, rank: int) -> tuple[Array, float]:
    """Real value of a step of the sum, of each channel, and of the output."""
    scales = quantization.x_scale, quantization.w_scale, quantization.y_scale
    x, w, y = (np.asarray(scale, np.float64) for scale in scales)
    return x.item() * w.reshape(-1, *(1 for _ in range(rank - 2))), y.item()


def _wrapped(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Sums beyond the accumulator's range wrap around, as ONNX allows."""
    size = 2.0 ** (8 * dtype.itemsize)
    lowest = float(np.iinfo(dtype).min)
    wrapped: Array = (sums - lowest) % size + lowest
    return wrapped
