"""Arithmetic on the values of small tensors: what exporters write to work out a shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

import numpy as np
from onnx import TensorProto

from convaudit.formulas import Count, ceil_divide, is_equal, is_nonnegative, maximum, minimum, quotient
from convaudit.frontends.onnx.shapes.prepared import OURS
from convaudit.frontends.onnx.shapes.symbolic import reals
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Operation
from convaudit.frontends.onnx.shapes.symbolic.moved_values import MOVING
from convaudit.frontends.onnx.shapes.symbolic.reals import Symbolic
from convaudit.frontends.onnx.shapes.symbolic.tensors import (
    FLOATS,
    INTEGERS,
    MOST_ELEMENTS,
    Element,
    Unknown,
    array,
    bounded,
    is_at_least,
    mapped,
    times,
)


def evaluate(call: Call, dtype: int) -> np.ndarray | None:
    """Elements of the first result, as far as they are known; None if nothing is."""
    operation = ELEMENTWISE.get(call.node.op_type) or MOVING.get(call.node.op_type)
    if operation is None or call.node.domain not in ("", "ai.onnx", OURS):
        return None
    try:
        value = operation(call)
    except (Unknown, ZeroDivisionError, IndexError, ValueError, OverflowError):
        return None
    if not isinstance(value, np.ndarray):
        value = array([value], ())  # NumPy takes a single element out of its array
    return bounded(value, dtype) if value.size <= MOST_ELEMENTS else None


def _elementwise(
    call: Call, integer: Callable[..., Element], real: Callable[..., Element] | None
) -> np.ndarray:
    dtype = call.dtype()
    operands = [call.value(index) for index in range(len(call.node.input))]
    if dtype in FLOATS and real is not None:
        return reduce(partial(mapped, partial(real, dtype=dtype)), operands)
    if dtype not in INTEGERS and dtype != TensorProto.BOOL:
        raise Unknown
    return reduce(partial(mapped, _or_none(integer)), operands)


def _or_none(function: Callable[..., Element]) -> Callable[..., Element]:
    def tolerant(*elements: Element) -> Element:
        try:
            return function(*elements)
        except Unknown:
            return None

    return tolerant


def _divide(call: Call) -> np.ndarray:
    return _elementwise(call, partial(_truncated, call), reals.divide)


def _truncated(call: Call, value: Count, divisor: Count) -> Count:
    """Division of integers towards zero, as every runtime's processor does it."""
    if not isinstance(divisor, int):
        exact = quotient(value, divisor)
        if exact is None:
            raise Unknown
        return exact
    if divisor < 0:
        value, divisor = -value, -divisor
    if divisor == 0:
        raise Unknown
    if call.is_nonnegative(value):
        return value // divisor
    if call.is_nonnegative(-value):
        return ceil_divide(value, divisor)
    exact = quotient(value, divisor)
    if exact is None:
        raise Unknown
    return exact


def _mod(call: Call) -> np.ndarray:
    if call.dtype() not in INTEGERS:
        raise Unknown
    fmod = call.attributes.integer("fmod", 0)

    def rest(value: Count, divisor: Count) -> Count:
        if fmod or not isinstance(divisor, int):
            return value - times(_truncated(call, value, divisor), divisor)
        return value % divisor

    return mapped(_or_none(rest), call.value(0), call.value(1))


def _power(call: Call) -> np.ndarray:
    if call.dtype() not in INTEGERS or call.dtype(1) not in INTEGERS:
        raise Unknown

    def power(base: Count, exponent: Count) -> Count:
        if not isinstance(exponent, int) or not 0 <= exponent <= 8:
            raise Unknown
        result: Count = 1
        for _ in range(exponent):
            result = times(result, base)
        return result

    return mapped(_or_none(power), call.value(0), call.value(1))


def _absolute(value: Count) -> Count:
    return maximum(value, -value)


def _sign(value: Count) -> Count:
    if isinstance(value, int):
        return (value > 0) - (value < 0)
    if is_at_least(value, 1):
        return 1
    raise Unknown


def _compare(call: Call, integer: Callable[[Count, Count], int]) -> np.ndarray:
    if call.dtype() not in INTEGERS and call.dtype() != TensorProto.BOOL:
        if call.dtype() not in FLOATS:
            raise Unknown

        def plain(left: Element, right: Element) -> Element:
            if isinstance(left, Symbolic) or isinstance(right, Symbolic):
                return None
            if left == right:
                return integer(0, 0)
            return integer(1, 0) if left > right else integer(0, 1) if left < right else None

        return mapped(plain, call.value(0), call.value(1))
    return mapped(_or_none(integer), call.value(0), call.value(1))


def _is_greater(left: Count, right: Count) -> int:
    if is_at_least(left - right, 1):
        return 1
    if is_nonnegative(right - left):
        return 0
    raise Unknown


def _is_same(left: Count, right: Count) -> int:
    if is_equal(left, right):
        return 1
    if is_at_least(left - right, 1) or is_at_least(right - left, 1):
        return 0
    raise Unknown


def _truth(value: Count) -> int:
    return 1 - _is_same(value, 0)


def _cast(call: Call) -> np.ndarray:
    source, target = call.dtype(), call.attributes.integer("to", 0)
    integral = INTEGERS | {TensorProto.BOOL}
    value = call.value(0)
    if source in integral and target in INTEGERS:
        return value
    if source in integral and target == TensorProto.BOOL:
        return mapped(_or_none(_truth), value)
    if source in integral and target in FLOATS:
        return mapped(lambda element: reals.from_integer(element, target), value)
    if source in FLOATS and target in INTEGERS:
        return mapped(reals.to_integer, value)
    if source in FLOATS and target in FLOATS:
        return mapped(lambda element: _recast(element, target), value)
    raise Unknown


def _recast(element: reals.Real, target: int) -> reals.Real | None:
    if not isinstance(element, Symbolic):
        return reals.constant(float(element), target)
    return None if element.rounded else reals.multiply(element, reals.constant(1, target), target)


def _round(function: Callable[[reals.Real], reals.Real]) -> Operation:
    def operation(call: Call) -> np.ndarray:
        if call.dtype() not in FLOATS:
            raise Unknown
        return mapped(function, call.value(0))

    return operation


def _plain(function: Callable[[np.ndarray], np.ndarray]) -> Operation:
    """A function of floats that do not depend on dimensions."""

    def operation(call: Call) -> np.ndarray:
        if call.dtype() not in FLOATS:
            raise Unknown
        with np.errstate(all="ignore"):
            return mapped(lambda e: None if isinstance(e, Symbolic) else function(e), call.value(0))

    return operation


def _where(call: Call) -> np.ndarray:
    condition, chosen, other = np.broadcast_arrays(*(call.value(index) for index in range(3)))
    if condition.size > MOST_ELEMENTS:
        raise Unknown
    picked = [
        _pick(flag, a, b) for flag, a, b in zip(condition.ravel(), chosen.ravel(), other.ravel(), strict=True)
    ]
    return array(picked, condition.shape)


def _pick(flag: Element, chosen: Element, other: Element) -> Element:
    if flag is None:
        return chosen if chosen is not None and chosen == other else None
    return chosen if flag else other


ELEMENTWISE: dict[str, Operation] = {
    "Abs": lambda call: _elementwise(call, _absolute, None),
    "Add": lambda call: _elementwise(call, lambda a, b: a + b, reals.add),
    "And": lambda call: _elementwise(call, lambda a, b: a & b, None),
    "Cast": _cast,
    "Ceil": _round(reals.ceil),
    "Div": _divide,
    "Equal": lambda call: _compare(call, _is_same),
    "Floor": _round(reals.floor),
    "Greater": lambda call: _compare(call, _is_greater),
    "GreaterOrEqual": lambda call: _compare(call, lambda a, b: 1 - _is_greater(b, a)),
    "Less": lambda call: _compare(call, lambda a, b: _is_greater(b, a)),
    "LessOrEqual": lambda call: _compare(call, lambda a, b: 1 - _is_greater(a, b)),
    "Max": lambda call: _elementwise(call, maximum, None),
    "Min": lambda call: _elementwise(call, minimum, None),
    "Mod": _mod,
    "Mul": lambda call: _elementwise(call, times, reals.multiply),
    "Neg": lambda call: mapped(
        (lambda element: -element) if call.dtype() in INTEGERS else reals.negative, call.value(0)
    ),
    "Not": lambda call: mapped(lambda element: 1 - element, call.value(0)),
    "Or": lambda call: _elementwise(call, lambda a, b: a | b, None),
    "Pow": _power,
    "Sign": lambda call: _elementwise(call, _sign, None),
    "Sqrt": _plain(np.sqrt),
    "Sub": lambda call: _elementwise(
        call, lambda a, b: a - b, lambda a, b, dtype: reals.add(a, reals.negative(b), dtype)
    ),
    "Where": _where,
}
"""By op type."""
