"""The output of an integer convolution compared with the exact sum, which must be rounded correctly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge import rounding
from convaudit.judge.activations import function_of
from convaudit.judge.deviation import index_of
from convaudit.judge.diagnosis import Footprint
from convaudit.judge.execution import Execution, Quantization
from convaudit.judge.problem import Problem
from convaudit.judge.reference import Part, ReferenceSummary

SCALING = 4 * rounding.unit_roundoff(np.dtype(np.float32))
"""Relative error of a sum scaled in float32.

The sum, the product of the scales, their quotient and the result are rounded once each.
"""


class IntegerComparison:
    """How the integers of an output differ from the reference, added up part by part."""

    def __init__(self, problem: Problem) -> None:
        """Start for an output of the problem's shape."""
        self.problem = problem
        self.summary = ReferenceSummary(problem.shape)
        self.wrong = np.zeros(problem.shape[1], bool)  # the channels with an error above its tolerance
        self.footprint = Footprint(problem.execution, problem.shape)  # of these errors
        self.missed = 0  # how many are not the nearest integer
        self.telling = False  # whether some element would differ without its products
        self.max_abs_error = 0.0
        self.worst_index: tuple[int, ...] = (0,) * len(problem.shape)
        self.worst_bound = 0.0
        self._worst = -math.inf
        self._error, self._signal = 0.0, 0.0  # sums of squares

    def add(self, part: Part) -> None:
        """Compare one part."""
        self.summary.add(part)
        if not self.summary.finite:
            return
        output, real, tolerance = scaled_part(part)
        self.telling = self.telling or _tells(part, real)
        error, missed = np.abs(output - real), np.abs(output - np.rint(real))
        wrong = error > tolerance
        self.wrong[part.place[1]] |= wrong.any(axis=(0, 2))
        self.footprint.add(wrong, part.place)
        self.missed += int(np.count_nonzero(missed))
        self.max_abs_error = max(self.max_abs_error, float(missed.max()))
        self._error += float(np.square(missed).sum())
        self._signal += float(np.square(real).sum())
        error -= tolerance
        at = np.unravel_index(int(error.argmax()), error.shape)
        if error[at] > self._worst:
            self._worst = float(error[at])
            self.worst_index = index_of([int(item) for item in at], part.place)
            self.worst_bound = float(np.broadcast_to(tolerance, error.shape)[at])

    @property
    def bits(self) -> float:
        """Accuracy carried, as ``Deviation.bits``."""
        if self._error == 0:
            return math.inf
        return 0.5 * math.log2(self._signal / self._error) if self._signal else -math.inf


def compare_integers(problem: Problem) -> IntegerComparison:
    """Compare the integers of an execution's output with the reference.

    Args:
        problem: Whose output has the shape of the reference.

    Returns:
        The comparison of all parts.
    """
    comparison = IntegerComparison(problem)
    for part in problem.parts():
        comparison.add(part)
    return comparison


def scaled_part(part: Part) -> tuple[Array, Array, Array | float]:
    """Prepare one part for comparison.

    Returns:
        Its output, the real numbers that the output's integers must be roundings of, and how far from these
        the integers may be; each (n, channels, positions), or a single number.
    """
    channels = part.place[1]
    real, tolerance = requantized(part.execution, part.exact.reshape(part.output.shape), channels)
    return part.output, real, tolerance


def _tells(part: Part, real: Array) -> bool:
    """Whether some element, not saturated, is more than half a step from where bias alone would have it."""
    execution = part.execution
    assert execution.quantization is not None
    if not execution.quantization.requantizes:
        return True
    bias = np.zeros(real.shape[1]) if part.bias is None else part.bias
    alone, _ = requantized(execution, bias.reshape(1, -1, 1), part.place[1])
    limits = np.iinfo(execution.output.dtype)
    inside = (real > limits.min) & (real < limits.max)
    return bool((inside & (np.abs(real - alone) > 0.5)).any())


def integers_agree(problem: Problem) -> bool:
    """Whether every integer of the execution's output is a correct rounding of the reference."""
    for part in problem.parts():
        output, real, tolerance = scaled_part(part)
        if (np.abs(output - real) > tolerance).any():
            return False
    return True


def requantized(
    execution: Execution, sums: Array, channels: slice = slice(None)
) -> tuple[Array, Array | float]:
    """Scale exact integer sums as the output is scaled.

    A plain integer sum (ConvInteger) has no tolerance. A scaled one may be rounded either way where it lies
    within its own rounding error of a tie, and nowhere else.

    Args:
        execution: A quantised convolution.
        sums: Exact sums (n, channels, ...) of some of the output channels.
        channels: Which of the output channels they are.

    Returns:
        The real numbers that the output's integers must be roundings of, and how far from these the integers
        may be.
    """
    quantization = execution.quantization
    assert quantization is not None
    if not quantization.requantizes:
        return _wrapped(sums, execution.output.dtype), 0.0
    step, output_step = _scales(quantization, sums.ndim, channels)
    function = function_of(execution.activation)
    scaled = sums * (step / output_step)
    value = scaled if function is None else function.value(sums * step) / output_step
    limits = np.iinfo(execution.output.dtype)
    real = np.clip(value + float(np.asarray(quantization.y_zero_point).item()), limits.min, limits.max)
    lipschitz = 1.0 if function is None else function.lipschitz
    return real, 0.5 + lipschitz * SCALING * np.abs(scaled)


def _scales(quantization: Quantization, rank: int, channels: slice) -> tuple[Array, float]:
    """Real values of one step of the sum, for each channel, and of one step of the output."""
    scales = quantization.x_scale, quantization.w_scale, quantization.y_scale
    x, w, y = (np.asarray(scale, np.float64) for scale in scales)
    w = w.reshape(-1) if w.size == 1 else w.reshape(-1)[channels]
    return x.item() * w.reshape(-1, *(1 for _ in range(rank - 2))), y.item()


def _wrapped(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Sums beyond the accumulator's range wrap around, as ONNX allows."""
    size = 2.0 ** (8 * dtype.itemsize)
    lowest = float(np.iinfo(dtype).min)
    wrapped: Array = (sums - lowest) % size + lowest
    return wrapped
