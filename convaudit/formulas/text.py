"""Formulas as people, models and reports write them, read back."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import reduce
from math import gcd
from typing import TypeAlias

from convaudit.formulas.division import ceil_divide
from convaudit.formulas.extremes import maximum, minimum
from convaudit.formulas.polynomial import PLAIN_NAME, Count, polynomial, symbol, terms_of

# A dimension's text comes from an untrusted file: "((a+b)**16)**16" must not cost a minute.
_MAX_TEXT = 10_000
_MAX_PRODUCTS = 10_000  # of all multiplications together
_MAX_SUMS = 200_000  # terms of all sums together
_MAX_COEFFICIENT = 2**256

_NAME = re.compile(rf"\[((?:[^\\\[\]]|\\.)+)\]|(?:(floor|ceil|ceiling|[mM]ax|[mM]in)(?=\())|({PLAIN_NAME})")

_Ratio: TypeAlias = tuple[Count, int]
"""Numerator and positive denominator, reduced: ``floor(H/2 - 1/2)`` only becomes integral at its floor."""


def parse(text: str) -> Count:
    """Read a formula's text: ``"batch"``, ``"2*H"``, ``"floor(H/2 - 1/2) + 1"``, ``"s0 // 2"``.

    It reads what formulas print. Text that is not such an expression, or is absurdly large, is a name: models
    are free to call a dimension ``"height in pixels"``.
    """
    try:
        return _Reader(text).value()
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return symbol(text)


class _Reader:
    """One text, with bounded effort."""

    def __init__(self, text: str) -> None:
        if len(text) > _MAX_TEXT:
            raise ValueError("too long for a formula")
        self._names: dict[str, str] = {}
        self._products = self._sums = 0
        # names need not be Python's: each becomes an identifier of ours, and ^ a power
        self._text = _NAME.sub(self._placeholder, text.strip()).replace("^", "**")

    def value(self) -> Count:
        """What the whole text says."""
        return _integral(self._evaluate(ast.parse(self._text, mode="eval").body))

    def _placeholder(self, match: re.Match[str]) -> str:
        quoted, function, plain = match.groups()
        if function:
            return str(function)
        identifier = f"_{len(self._names)}_"
        self._names[identifier] = plain if plain else re.sub(r"\\(.)", r"\1", quoted)
        return identifier

    def _evaluate(self, node: ast.expr) -> _Ratio:
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value, 1
            case ast.Name(id=name) if name in self._names:
                return symbol(self._names[name]), 1
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _negative(self._evaluate(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                return self._operation(operator, self._evaluate(left), self._evaluate(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return _call(name, [self._evaluate(argument) for argument in arguments])
            case _:
                raise ValueError("not a formula")

    def _operation(self, operator: ast.operator, left: _Ratio, right: _Ratio) -> _Ratio:
        match operator:
            case ast.Add():
                return self._add(left, right)
            case ast.Sub():
                return self._add(left, _negative(right))
            case ast.Mult():
                return self._multiply(left, right)
            case ast.Div():
                return self._divide(left, right)
            case ast.FloorDiv():
                return _floor(self._divide(left, right))
            case ast.Pow():
                return reduce(self._multiply, [left] * _exponent(right))
            case _:
                raise ValueError("not an operation of formulas")

    def _add(self, left: _Ratio, right: _Ratio) -> _Ratio:
        self._sums += len(terms_of(left[0])) + len(terms_of(right[0]))
        if self._sums > _MAX_SUMS:
            raise ValueError("too large for a formula")
        return _ratio(left[0] * right[1] + right[0] * left[1], left[1] * right[1])

    def _multiply(self, left: _Ratio, right: _Ratio) -> _Ratio:
        self._products += len(terms_of(left[0])) * len(terms_of(right[0]))
        if self._products > _MAX_PRODUCTS:
            raise ValueError("too large for a formula")
        numerator = left[0] * right[0]
        if max(abs(coefficient) for _, coefficient in terms_of(numerator)) > _MAX_COEFFICIENT:
            raise ValueError("too large for a formula")
        return _ratio(numerator, left[1] * right[1])

    def _divide(self, left: _Ratio, right: _Ratio) -> _Ratio:
        divisor = right[0]
        if not isinstance(divisor, int) or divisor == 0:
            raise ValueError("only a division by a number is a formula")
        sign = 1 if divisor > 0 else -1
        return self._multiply(left, (sign * right[1], abs(divisor)))


def _call(name: str, arguments: list[_Ratio]) -> _Ratio:
    if name in _OF_ONE and len(arguments) == 1:
        return _OF_ONE[name](arguments[0])
    if name.lower() in _OF_MANY and arguments:
        return _OF_MANY[name.lower()](*map(_integral, arguments)), 1
    raise ValueError("not a function of formulas")


def _ratio(numerator: Count, denominator: int) -> _Ratio:
    common = gcd(denominator, *(coefficient for _, coefficient in terms_of(numerator)))
    return polynomial((m, c // common) for m, c in terms_of(numerator)), denominator // common


def _integral(value: _Ratio) -> Count:
    numerator, denominator = value
    if denominator != 1:
        raise ValueError("not an integer")
    return numerator


def _exponent(value: _Ratio) -> int:
    exponent = _integral(value)
    if not isinstance(exponent, int) or not 1 <= exponent <= 16:
        raise ValueError("only small whole powers are formulas")
    return exponent


def _floor(value: _Ratio) -> _Ratio:
    numerator, denominator = value
    return numerator // denominator, 1


def _ceiling(value: _Ratio) -> _Ratio:
    return ceil_divide(*value), 1


def _negative(value: _Ratio) -> _Ratio:
    numerator, denominator = value
    return -numerator, denominator


_OF_ONE: dict[str, Callable[[_Ratio], _Ratio]] = {"floor": _floor, "ceil": _ceiling, "ceiling": _ceiling}
_OF_MANY: dict[str, Callable[..., Count]] = {"max": maximum, "min": minimum}
