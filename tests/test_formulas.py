"""Formulas: exact integer polynomials in dimension names, floors and maxima included."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convaudit.formulas import (
    Count,
    Formula,
    add,
    ceil_divide,
    floor_divide,
    is_equal,
    is_nonnegative,
    largest,
    maximum,
    minimum,
    multiply,
    parse,
    product,
    quotient,
    substitute,
    subtract,
    symbol,
)

BATCH, HEIGHT, WIDTH = symbol("batch"), symbol("H"), symbol("W")
SIZES = st.integers(1, 1000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(HEIGHT * WIDTH * BATCH * 1204224, "1204224*H*W*batch", id="product-sorted"),
        pytest.param(BATCH * 3 + BATCH * 4, "7*batch", id="like-terms"),
        pytest.param(HEIGHT * HEIGHT - 1, "H^2 - 1", id="power"),
        pytest.param(1 - HEIGHT, "-H + 1", id="negative-leads"),
        pytest.param((HEIGHT - 1) // 2, "ceil(H/2) - 1", id="floor"),
        pytest.param(((HEIGHT + 1) // 2 + 1) // 2, "ceil(H/4)", id="strides-merge"),
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


# --- any formula, against the same arithmetic on numbers -------------------------------------------------

NAMES = ("H", "W", "two words", "x.1_dim2", "a[0]", "if", "1x", "[\\]", "max", "é")
Tree = tuple[object, ...]
LEAVES = st.one_of(
    st.integers(-20, 20).map(lambda value: ("number", value)),
    st.sampled_from(NAMES).map(lambda name: ("name", name)),
)


def _larger(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "max", "min"]), inner, inner),
        st.tuples(st.sampled_from(["//", "ceil", "%"]), inner, st.integers(1, 9)),
    )


TREES = st.recursive(LEAVES, _larger, max_leaves=8)


def calculate(tree: Tree, names: dict[str, Count]) -> Count:
    """The value of an expression, where names mean numbers or symbols."""
    rounding = {"//": operator.floordiv, "%": operator.mod, "ceil": ceil_divide}
    both = {"+": operator.add, "-": operator.sub, "*": operator.mul, "max": maximum, "min": minimum}
    match tree:
        case ("number", int(value)):
            return value
        case ("name", str(name)):
            return names[name]
        case (str(word), tuple(inner), int(divisor)):
            return rounding[word](calculate(inner, names), divisor)
        case (str(word), tuple(left), tuple(right)):
            return both[word](calculate(left, names), calculate(right, names))
    raise AssertionError(tree)


SYMBOLS: dict[str, Count] = {name: symbol(name) for name in NAMES}
SOME_SIZES = st.fixed_dictionaries({name: st.one_of(st.integers(1, 6), SIZES) for name in NAMES})


def at(value: Count, sizes: dict[str, int]) -> Count:
    return value.substitute(sizes) if isinstance(value, Formula) else value


@given(tree=TREES, sizes=SOME_SIZES)
def test_formulas_are_exact_whatever_their_sign(tree: Tree, sizes: dict[str, int]) -> None:
    formula = calculate(tree, SYMBOLS)
    assert at(formula, sizes) == calculate(tree, dict(sizes))


@given(tree=TREES, sizes=SOME_SIZES, part=st.sets(st.sampled_from(NAMES)))
def test_sizes_can_be_substituted_one_after_the_other(
    tree: Tree, sizes: dict[str, int], part: set[str]
) -> None:
    formula = at(calculate(tree, SYMBOLS), {name: sizes[name] for name in part})
    assert at(formula, sizes) == calculate(tree, dict(sizes))


@given(tree=TREES)
def test_what_is_printed_is_read_back(tree: Tree) -> None:
    formula = calculate(tree, SYMBOLS)
    assert is_equal(parse(str(formula)), formula)
    assert str(parse(str(formula))) == str(formula)


@given(tree=TREES, sizes=SOME_SIZES)
def test_what_is_proven_is_true(tree: Tree, sizes: dict[str, int]) -> None:
    formula = calculate(tree, SYMBOLS)
    value = at(formula, sizes)
    assert isinstance(value, int)
    assert value >= 0 or not is_nonnegative(formula)


@given(left=TREES, right=TREES, sizes=SOME_SIZES)
def test_quotients_are_exact(left: Tree, right: Tree, sizes: dict[str, int]) -> None:
    value, divisor = calculate(left, SYMBOLS), calculate(right, SYMBOLS)
    result = quotient(value, divisor)
    assert result is None or at(result, sizes) * at(divisor, sizes) == at(value, sizes)
    if divisor != 0:
        assert quotient(value * divisor, divisor) in {value, None}


@pytest.mark.parametrize(
    ("first", "second", "larger"),
    [
        pytest.param("0", "-floor(1/2 - H/2)", "floor(H/2)", id="slice-by-two"),
        pytest.param("256*N*ceil(H/2)", "100", "256*N*ceil(H/2)", id="dominates-by-its-coefficient"),
        pytest.param("9*N*ceil(H/2)", "100", "max(9*N*ceil(H/2), 100)", id="neither"),
        pytest.param("H - 3", "0", "max(H - 3, 0)", id="sign-depends-on-size"),
        pytest.param("H*W", "H + W - 1", "H*W", id="product-and-sum"),
        pytest.param("2*floor(H/2)", "H", "H", id="rounded-down"),
        pytest.param("32*ceil(H/32)", "H", "32*ceil(H/32)", id="rounded-up"),
        pytest.param("5*H//2", "2*H + H//2", "floor(5*H/2)", id="two-ways-to-write-it"),
        pytest.param("max(H, W)", "min(H, W)", "max(H, W)", id="max-of-min"),
        pytest.param("max(H, 3)", "max(W, 2)", "max(H, W, 3)", id="flattened"),
    ],
)
def test_maximum(first: str, second: str, larger: str) -> None:
    assert str(maximum(parse(first), parse(second))) == larger
    smaller = -minimum(-parse(first), -parse(second))
    assert is_equal(smaller, parse(larger)) or "max" in larger


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(-((-HEIGHT) // 2) * BATCH * 256, "256*batch*ceil(H/2)", id="ceil-of-negatives"),
        pytest.param((-HEIGHT) // 2, "-ceil(H/2)", id="negative"),
        pytest.param(HEIGHT + (32 - HEIGHT % 32) % 32, "32*ceil(H/32)", id="padded-to-a-multiple"),
        pytest.param(minimum(HEIGHT, 1000), "min(H, 1000)", id="clamped"),
        pytest.param((HEIGHT + WIDTH + 2) // 3, "ceil((H + W)/3)", id="ceil-of-a-sum"),
        pytest.param(symbol("a]b[c\\") * 2, "2*[a\\]b\\[c\\\\]", id="brackets-in-a-name"),
    ],
)
def test_printed_as_people_write(value: Count, text: str) -> None:
    assert str(value) == text
    assert parse(text) == value


def test_proofs_of_large_formulas_end() -> None:
    value: Count = 0
    for index in range(12):
        a, b = symbol(f"a{index}"), symbol(f"b{index}")
        value = value + maximum(a, b) * (minimum(a, b) // 2) - (a + b) // 3
    assert is_nonnegative(value) in {True, False}


UNKNOWN = [
    # with all counts known, with one of them unknown
    pytest.param(add(1, HEIGHT, 2), HEIGHT + 3, add(1, None, 2), id="sum"),
    pytest.param(add(), 0, add(None), id="empty-sum"),
    pytest.param(subtract(HEIGHT, 1), HEIGHT - 1, subtract(None, 1), id="difference"),
    pytest.param(subtract(1, HEIGHT), 1 - HEIGHT, subtract(1, None), id="difference-from"),
    pytest.param(multiply(2, HEIGHT), HEIGHT * 2, multiply(0, None), id="product"),
    pytest.param(floor_divide(HEIGHT, 2), HEIGHT // 2, floor_divide(None, 2), id="quotient"),
    pytest.param(product((2, HEIGHT, 3)), HEIGHT * 6, product((2, None)), id="elements"),
    pytest.param(product(()), 1, product(None), id="no-shape"),
    pytest.param(largest([3, HEIGHT + 3]), HEIGHT + 3, largest([3, None]), id="largest"),
    pytest.param(largest([]), 0, largest([None]), id="largest-of-none"),
    pytest.param(substitute(HEIGHT * 2, {"H": 3}), 6, substitute(None, {"H": 3}), id="substituted"),
    pytest.param(substitute(5, {"H": 3}), 5, substitute(None, {}), id="nothing-to-substitute"),
]


@pytest.mark.parametrize(("known", "expected", "unknown"), UNKNOWN)
def test_what_needs_an_unknown_count_is_unknown(known: Count, expected: Count, unknown: Count | None) -> None:
    assert known == expected
    assert unknown is None
