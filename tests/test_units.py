from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convaudit.errors import UsageError
from convaudit.formulas import parse
from convaudit.formulas.proportion import ratio
from convaudit.units import (
    human,
    human_percentage,
    human_seconds,
    parse_bytes,
    parse_count,
    parse_percentage,
    parse_seconds,
)

COUNTS = [
    ("0", 0),
    ("5000000", 5_000_000),
    ("5_000_000", 5_000_000),
    ("5M", 5_000_000),
    ("5 m", 5_000_000),
    ("600k", 600_000),
    ("600K", 600_000),
    ("1.5G", 1_500_000_000),
    ("0.3T", 300_000_000_000),
]
SIZES = [
    ("20MB", 20_000_000),
    ("20 mb", 20_000_000),
    ("20M", 20_000_000),
    ("1GiB", 2**30),
    ("1.5KiB", 1536),
    ("64Mi", 2**26),
    ("512B", 512),
    ("512", 512),
]
BAD = [
    (parse_count, "5X", "5000000, 5M"),
    (parse_count, "", "5M"),
    (parse_count, "-5M", "5M"),
    (parse_count, "5MB", "5M"),
    (parse_count, "1e6", "5M"),
    (parse_count, "0.5", "whole number"),
    (parse_count, "nan", "5M"),
    (parse_count, "９", "5M"),
    (parse_count, "9" * 99, "5M"),
    (parse_bytes, "20MiBs", "20MB"),
    (parse_bytes, "0.3B", "whole number"),
    (parse_bytes, "2%", "20MB"),
    (parse_percentage, "0.4", "40%"),
    (parse_percentage, "40 per cent", "40%"),
    (parse_seconds, "0", "not a time above 0; write a time such as 500ms"),
    (parse_seconds, "0.0ms", "above 0"),
    (parse_seconds, "-5s", "500ms, 30s"),
    (parse_seconds, "nan", "500ms"),
    (parse_seconds, "1h", "2min"),
    (parse_seconds, "", "500ms"),
]
SHOWN = [
    (0, "0"),
    (999, "999"),
    (1000, "1.00 k"),
    (9408, "9.41 k"),
    (999_499, "999 k"),
    (999_500, "1.00 M"),
    (25_557_032, "25.6 M"),
    (4_089_184_256, "4.09 G"),
    (10**20, "100 E"),
    (10**400, "1.00e+400"),
    (-1_234_567, "-1.23 M"),
    (parse("118013952*batch"), "118 M*batch"),
    (parse("batch"), "batch"),
    (parse("[batch size]*5"), "5*[batch size]"),
    (parse("1204224*batch*H*W"), "60.4 G at H=224, W=224, batch=1"),
    (parse("9408*(floor((H-1)/2) + 1)*(floor((W-1)/2) + 1)"), "118 M at H=224, W=224"),
    (parse("1999*floor(H/48)"), "10.0 k at H=240"),
    (parse("3*N + 2"), "5 at N=1"),
    (parse("max(2*N, M)"), "64 at M=64, N=1"),
    (parse("N - H"), "-223 at H=224, N=1"),
    (parse("7*a_very_long_dimension"), "448 at a_very_long_dimension=64"),
]


@pytest.mark.parametrize(("text", "value"), COUNTS)
def test_counts(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize(("text", "value"), SIZES)
def test_sizes(text, value):
    assert parse_bytes(text) == value


@pytest.mark.parametrize(("text", "value"), [("40%", "2/5"), ("2.5 %", "1/40"), ("0%", "0"), ("120%", "6/5")])
def test_percentages_are_exact(text, value):
    assert parse_percentage(text) == Fraction(value)


@pytest.mark.parametrize(("read", "text", "shows"), BAD)
def test_a_malformed_value_is_shown_with_a_good_one(read, text, shows):
    with pytest.raises(UsageError, match=re.escape(repr(text)) + ".*" + re.escape(shows)):
        read(text)


@pytest.mark.parametrize(("count", "text"), SHOWN, ids=str)
def test_shown_with_three_digits(count, text):
    assert human(count) == text


def test_shown_with_a_unit():
    assert [human(12, "B"), human(98_200_000, "B"), human(parse("4*N"), "B")] == ["12 B", "98.2 MB", "4 B*N"]


TIMES = [
    pytest.param(0.0, "0.00 ns", id="none"),
    pytest.param(4.2e-8, "42.0 ns", id="ns"),
    pytest.param(845e-6, "845 us", id="us"),
    pytest.param(999.4e-6, "999 us", id="nearly-a-ms"),
    pytest.param(999.5e-6, "1.00 ms", id="rounds-to-a-ms"),
    pytest.param(0.0123, "12.3 ms", id="ms"),
    pytest.param(0.9996, "1.00 s", id="rounds-to-a-s"),
    pytest.param(72.5, "72.5 s", id="s"),
    pytest.param(3600.0, "3600 s", id="long"),
    pytest.param(None, "?", id="unknown"),
]


@pytest.mark.parametrize(("seconds", "text"), TIMES)
def test_shown_times(seconds, text):
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("845 us", 845e-6), ("30", 30.0), ("1.5S", 1.5), ("2min", 120.0)],
)
def test_times(text, seconds):
    assert parse_seconds(text) == seconds


@given(st.floats(1e-9, 9e5))
def test_a_time_that_is_shown_is_within_half_a_percent(seconds):
    number, unit = human_seconds(seconds).split()
    shown = float(number) * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert shown == pytest.approx(seconds, rel=0.00501)


def test_shown_percentages():
    assert [human_percentage(0.5), human_percentage(1.0), human_percentage(None)] == ["50.0%", "100.0%", "?"]


@given(st.integers(0, 9 * 10**20))
def test_what_is_shown_is_within_half_a_percent(value):
    number, _, prefix = human(value).partition(" ")
    shown = Fraction(number) * 1000 ** "kMGTPE".index(prefix) * 1000 if prefix else Fraction(number)
    assert abs(shown - value) <= Fraction(value, 200)
    assert len(number) <= 4


RATIOS = [
    (1, 4, None, 0.25),
    (0, 4, None, 0.0),
    (0, 0, None, None),
    (None, 4, None, None),
    (parse("3*N"), parse("12*N"), None, 0.25),
    (parse("3*N"), 12, None, None),
    (parse("3*N"), 12, {"N": 2}, 0.5),
    (parse("3*N*(floor((H-1)/2) + 1)"), parse("3*N*H"), None, None),
    (parse("3*N*(floor((H-1)/2) + 1)"), parse("3*N*H"), {"N": 7, "H": 3}, 2 / 3),
    (parse("3*N + M"), parse("6*N + 2*M"), None, 0.5),
    (parse("3*N + M"), parse("6*N + 3*M"), None, None),
    (1, parse("N - 1"), {"N": 1}, None),
]


@pytest.mark.parametrize(("part", "whole", "sizes", "expected"), RATIOS, ids=str)
def test_ratio(part, whole, sizes, expected):
    assert ratio(part, whole, sizes) == expected


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 5), st.integers(1, 300))
def test_what_is_shown_of_a_formula_is_its_value_there(constant, coefficient, divisor, stride):
    formula = parse(f"{coefficient}*H*ceil((H + {divisor})/{stride}) + {constant}")
    number, _, sizes = human(formula).partition(" at ")
    size = int(sizes.removeprefix("H="))
    assert size % stride == 0
    assert number == human(formula.substitute({"H": size}))
