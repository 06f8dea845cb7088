"""The activations that runtimes fuse into a convolution, in float64, and how each changes an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge.execution import Activation

APPROXIMATION = 8.0
"""Error of a kernel's rational approximation of the logistic function or tanh, in unit roundoffs of their
largest value, 1. MLAS, Eigen and oneDNN stay within 2 to 4."""


@dataclass(frozen=True, slots=True)
class Function:
    """An activation, and what is needed to carry an error bound through it."""

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    lipschitz: float  # the largest absolute derivative
    evaluation: Callable[[Array], Array | float]  # the error of evaluating it, in unit roundoffs


def function_of(activation: Activation | None) -> Function | None:
    """Look up an activation.

    Args:
        activation: By its ONNX name, with its parameters.

    Returns:
        The function, or ``None`` if there is no activation.

    Raises:
        KeyError: The name is not one of ``ACTIVATIONS``.
    """
    return None if activation is None else ACTIVATIONS[activation.name](*activation.params)


def _leaky_relu(alpha: float = 0.01) -> Function:
    return Function(
        value=lambda z: np.where(z > 0, z, alpha * z),
        derivative=lambda z: np.where(z > 0, 1.0, alpha),
        lipschitz=max(1.0, abs(alpha)),
        evaluation=lambda z: np.abs(alpha * z),
    )


def _relu() -> Function:
    return _leaky_relu(0.0)


def _clip(low: float = -np.inf, high: float = np.inf) -> Function:
    return Function(
        value=lambda z: np.clip(z, low, high),
        derivative=lambda z: ((z > low) & (z < high)).astype(np.float64),
        lipschitz=1.0,
        evaluation=lambda z: 0.0,
    )


def _sigmoid() -> Function:
    return Function(
        value=_logistic,
        derivative=lambda z: _logistic(z) * _logistic(-z),
        lipschitz=0.25,
        evaluation=lambda z: APPROXIMATION,
    )


def _hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> Function:
    return Function(
        value=lambda z: np.clip(alpha * z + beta, 0.0, 1.0),
        derivative=lambda z: np.where(np.abs(alpha * z + beta - 0.5) < 0.5, alpha, 0.0),
        lipschitz=abs(alpha),
        evaluation=lambda z: 2.0 + abs(beta),  # the product, alpha's own rounding, and the sum
    )


def _tanh() -> Function:
    return Function(
        value=np.tanh,
        derivative=lambda z: 1 - np.tanh(z) ** 2,
        lipschitz=1.0,
        evaluation=lambda z: APPROXIMATION,
    )


def _silu() -> Function:
    return Function(
        value=lambda z: z * _logistic(z),
        derivative=lambda z: _logistic(z) * (1 + z * _logistic(-z)),
        lipschitz=1.1,
        evaluation=lambda z: APPROXIMATION * np.abs(z),
    )


def _logistic(z: Array) -> Array:
    """``1 / (1 + exp(-z))``, by tanh, which neither overflows nor cancels where it matters."""
    result: Array = 0.5 + 0.5 * np.tanh(0.5 * z)
    return result


ACTIVATIONS: dict[str, Callable[..., Function]] = {
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "Clip": _clip,
    "Sigmoid": _sigmoid,
    "HardSigmoid": _hard_sigmoid,
    "Tanh": _tanh,
    "Silu": _silu,
    "Swish": _silu,
}
"""One row for each activation: its ONNX name, and what makes the function from its parameters."""
