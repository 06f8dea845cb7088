"""Bounds of what element-wise ops give, in one table; an op that is not in it is unbounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.intervals import (
    UNBOUNDED,
    ZERO,
    Ends,
    Interval,
    interval,
    negative_of,
    product_of,
    quotient_of,
    sum_of,
    tidy,
)

Operands = Sequence[Interval | None]
"""Intervals of a node's operands; None where one is absent."""
BoundsRule = Callable[[Attributes, Sequence[Interval | None]], Interval]


def _one(function: Callable[[Interval], Interval]) -> BoundsRule:
    return lambda attributes, operands: function(_x(operands))


def _x(operands: Operands, index: int = 0) -> Interval:
    given = operands[index] if index < len(operands) else None
    return UNBOUNDED if given is None else given


def _monotone(function: Callable[[Ends], Ends]) -> BoundsRule:
    """Of a function that never falls."""

    def apply(x: Interval) -> Interval:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return tidy(function(x.low), function(x.high)).widened

    return _one(apply)


def _range(low: float, high: float) -> BoundsRule:
    return lambda attributes, operands: interval(low, high).widened


def _gate(least: float) -> BoundsRule:
    """Of x times a number between 0 and 1 that x determines, where that is never below ``least``."""

    def apply(x: Interval) -> Interval:
        ends = Interval(np.minimum(x.low, 0.0), np.maximum(x.high, 0.0))
        return Interval(np.maximum(ends.low, least), ends.high).widened

    return _one(apply)


def _biased(rule: BoundsRule) -> BoundsRule:
    """Of an op that first adds its second operand, if it has one."""
    return lambda attributes, operands: rule(attributes, [_folded(sum_of)(attributes, operands)])


def _folded(function: Callable[[Interval, Interval], Interval]) -> BoundsRule:
    return lambda attributes, operands: reduce(function, [one for one in operands if one is not None])


def _subtracted(one: Interval, other: Interval) -> Interval:
    return sum_of(one, negative_of(other))


def _larger(one: Interval, other: Interval) -> Interval:
    return Interval(np.maximum(one.low, other.low), np.maximum(one.high, other.high))


def _smaller(one: Interval, other: Interval) -> Interval:
    return Interval(np.minimum(one.low, other.low), np.minimum(one.high, other.high))


def _mean(attributes: Attributes, operands: Operands) -> Interval:
    total = reduce(sum_of, [one for one in operands if one is not None])
    return quotient_of(total, interval(len(operands), len(operands)))


def _absolute(x: Interval) -> Interval:
    return Interval(x.least_magnitude, x.magnitude)


def _clip(attributes: Attributes, operands: Operands) -> Interval:
    x = _x(operands)
    for index, (name, limited) in enumerate((("min", _larger), ("max", _smaller)), start=1):
        if name in attributes:
            end = attributes.real(name, 0.0)
            x = limited(x, interval(end, end))
        elif index < len(operands) and operands[index] is not None:
            x = limited(x, _x(operands, index))
    return x.widened


def _leaky(attributes: Attributes, operands: Operands) -> Interval:
    slope = attributes.real("alpha", 0.01)
    return _sloped(_x(operands), interval(slope, slope))


def _prelu(attributes: Attributes, operands: Operands) -> Interval:
    return _sloped(_x(operands), _x(operands, 1))


def _sloped(x: Interval, slope: Interval) -> Interval:
    """Of a function that is x above 0, and ``slope * x`` below."""
    return product_of(_smaller(x, ZERO), slope).joined(_larger(x, ZERO))


def _elu(attributes: Attributes, operands: Operands) -> Interval:
    depth = abs(attributes.real("alpha", 1.0))
    x = _x(operands)
    return Interval(np.where(x.low < 0, -depth, 0.0), np.maximum(x.high, depth)).widened


def _where(attributes: Attributes, operands: Operands) -> Interval:
    return _x(operands, 1).joined(_x(operands, 2))


def _power(attributes: Attributes, operands: Operands) -> Interval:
    exponent = _x(operands, 1)
    if exponent.low.size == 1 and exponent.low.item() == exponent.high.item() == 2.0:
        size = _absolute(_x(operands))
        return product_of(size, size)
    return UNBOUNDED


def _dropped(attributes: Attributes, operands: Operands) -> Interval:
    training = len(operands) > 2 and operands[2] is not None
    return UNBOUNDED if training else _x(operands)


ELEMENTWISE_BOUNDS: dict[str, BoundsRule] = {
    "Abs": _one(_absolute),
    "Add": _folded(sum_of),
    "Ceil": _monotone(np.ceil),
    "Clip": _clip,
    "Cos": _range(-1, 1),
    "Div": lambda attributes, operands: quotient_of(_x(operands), _x(operands, 1)),
    "Dropout": _dropped,
    "Elu": _elu,
    "Erf": _range(-1, 1),
    "Exp": _monotone(np.exp),
    "Floor": _monotone(np.floor),
    "Gelu": _gate(-0.2),  # its least value is -0.17
    "HardSigmoid": _range(0, 1),
    "HardSwish": _gate(-0.375),
    "Identity": _one(lambda x: x),
    "LeakyRelu": _leaky,
    "Max": _folded(_larger),
    "Mean": _mean,
    "Min": _folded(_smaller),
    "Mish": _gate(-0.31),
    "Mul": _folded(product_of),
    "Neg": _one(negative_of),
    "PRelu": _prelu,
    "Pow": _power,
    "Relu": _one(lambda x: _larger(x, ZERO)),
    "Sigmoid": _range(0, 1),
    "Sin": _range(-1, 1),
    "Softmax": _range(0, 1),
    "Softsign": _range(-1, 1),
    "Sqrt": _monotone(lambda end: np.sqrt(np.maximum(end, 0.0))),
    "Sub": _folded(_subtracted),
    "Sum": _folded(sum_of),
    "Tanh": _range(-1, 1),
    "Where": _where,
    "com.microsoft.FastGelu": _biased(_gate(-0.2)),
    "com.microsoft.Gelu": _gate(-0.2),
}
