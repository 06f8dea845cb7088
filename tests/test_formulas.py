"""Formulas: exact integer polynomials in dimension names, floors and maxima included."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convaudit.formulas import Count, Formula, ceil_divide, maximum, parse, product, symbol

BATCH, HEIGHT, WIDTH = symbol("batch"), symbol("H"), symbol("W")
SIZES = st.integers(1, 1000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(HEIGHT * WIDTH * BATCH * 1204224, "1204224*H*W*batch", id="product-sorted"),
        pytest.param(BATCH * 3 + BATCH * 4, "7*batch", id="like-terms"),
        pytest.param(HEIGHT * HEIGHT - 1, "H^2 - 1", id="power"),
        pytest.param(1 - HEIGHT, "-H + 1", id="negative-leads"),
        pytest.param((HEIGHT - 1) // 2, "floor((H + 1)/2) - 1", id="floor"),
        pytest.param(((HEIGHT + 1) // 2 + 1) // 2, "floor((H + 3)/4)", id="strides-merge"),
        pytest.param((HEIGHT * 4 + 6) // 2, "2*H + 3", id="floor-divides-evenly"),
        pytest.param((HEIGHT * 4 + 3) // 6, "floor((2*H + 1)/3)", id="floor-is-reduced"),
        pytest.param(symbol("two words") * 2, "2*[two words]", id="odd-name"),
        pytest.param(maximum(HEIGHT * 3, WIDTH), "max(3*H, W)", id="max"),
    ],
)
def test_text(value: Count, text: str) -> None:
    assert str(value) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(BATCH - BATCH, 0, id="cancels-to-zero"),
        pytest.param(BATCH * 0, 0, id="times-zero"),
        pytest.param(BATCH + 5 - BATCH, 5, id="constant-left"),
        pytest.param(product([2, 3, 4]), 24, id="integers"),
        pytest.param(maximum(3, 4), 4, id="max-of-integers"),
    ],
)
def test_constants_come_back_as_integers(value: Count, expected: int) -> None:
    assert isinstance(value, int)
    assert value == expected


def test_equal_polynomials_are_identical_however_they_were_built() -> None:
    assert (HEIGHT + 1) * (HEIGHT - 1) == HEIGHT * HEIGHT - 1
    assert hash(HEIGHT * WIDTH) == hash(WIDTH * HEIGHT)


def test_maximum_takes_the_one_that_always_dominates() -> None:
    assert maximum(BATCH * 3, BATCH * 4 + 1) == BATCH * 4 + 1
    assert maximum(BATCH * 4 + 1, BATCH * 3) == BATCH * 4 + 1


@given(size=SIZES, first=st.integers(1, 9), second=st.integers(1, 9), shift=st.integers(-20, 20))
def test_floor_division_is_python_s(size: int, first: int, second: int, shift: int) -> None:
    formula = ((HEIGHT * 3 + shift) // first - shift) // second
    assert formula.substitute({"H": size}) == ((size * 3 + shift) // first - shift) // second  # type: ignore[union-attr]


@given(height=SIZES, width=SIZES, divisor=st.integers(1, 9))
def test_substitution_is_arithmetic(height: int, width: int, divisor: int) -> None:
    formula = maximum(HEIGHT * WIDTH - 3, HEIGHT * 2) + ceil_divide(WIDTH, divisor) * HEIGHT
    assert isinstance(formula, Formula)
    expected = max(height * width - 3, height * 2) + -(-width // divisor) * height
    assert formula.substitute({"H": height, "W": width}) == expected


def test_partial_substitution_keeps_the_rest() -> None:
    assert (BATCH * HEIGHT).substitute({"batch": 4}) == HEIGHT * 4


def test_symbols_are_found_inside_floors_and_maxima() -> None:
    formula = maximum((HEIGHT + 1) // 2, WIDTH * 3) * BATCH
    assert isinstance(formula, Formula)
    assert formula.symbols == {"H", "W", "batch"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("batch", BATCH, id="name"),
        pytest.param("7", 7, id="number"),
        pytest.param("2*H + 1", HEIGHT * 2 + 1, id="sum"),
        pytest.param("floor(H/2 - 1/2) + 1", (HEIGHT + 1) // 2, id="sympy-floor"),
        pytest.param("H//2", HEIGHT // 2, id="floor-division"),
        pytest.param("ceiling((10/3 - 4*H)/3)", (10 - HEIGHT * 12 + 8) // 9, id="ceiling-of-thirds"),
        pytest.param("H/-2*-4", HEIGHT * 2, id="negative-divisor"),
        pytest.param("H/2/3*6", HEIGHT, id="thirds-of-halves"),
        pytest.param("ceiling(H/2)", (HEIGHT + 1) // 2, id="ceiling"),
        pytest.param("H**2", HEIGHT * HEIGHT, id="power"),
        pytest.param("Max(1, H)", maximum(1, HEIGHT), id="max"),
        pytest.param("H/2 + H/2", HEIGHT, id="fractions-cancel"),
    ],
)
def test_parse(text: str, expected: Count) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["two words", "H/2", "", "a[0]", "__import__('os')", "floor(x, y)", "True", "1/0", "0.5*H", "x" * 600],
)
def test_text_that_is_no_formula_is_a_name(text: str) -> None:
    assert parse(text) == symbol(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("((a+b+c+d)**16)**16", id="terms"),
        pytest.param("((((9**16)**16)**16)**16)**16", id="coefficient"),
        pytest.param("9**9**9**9", id="exponent"),
        pytest.param("(" * 200 + "a" + ")" * 200, id="nesting"),
        pytest.param("-" * 499 + "a", id="signs"),
    ],
)
def test_hostile_text_ends_at_once(text: str) -> None:
    assert isinstance(parse(text), Formula)
