"""The example at which formulas are shown: sizes that a model could really have."""

from __future__ import annotations

import pytest

from convaudit.analyzer import analyze
from convaudit.analyzer.examples import example_of
from convaudit.formulas import Formula, parse, symbol
from convaudit.formulas.values import divisors_of, value_at
from convaudit.records import AuditReport, TensorInfo
from tests.networks import conv_layer, network


def report_of(*shape: str | int, **changes: object) -> AuditReport:
    """Of one layer that reads an input with these axes."""
    batch, channels, *size = (symbol(axis) if isinstance(axis, str) else axis for axis in shape)
    kernel = (3,) * len(size)
    return analyze(network(conv_layer("c", channels, 8, kernel, tuple(size), batch=batch, **changes)))


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (("batch", 6, "H", "W"), "batch=1, H=224, W=224"),
        (("N", 6, 8, 8), "N=1"),
        (("s77", 6, "s31", "s5"), "s77=1, s31=224, s5=224"),
        (("x.0", 6, "x.1"), "x.0=1, x.1=16000"),
        (("batch", 6, "seq_len"), "batch=1, seq_len=128"),
        (("b", 6, "D", "H", "W"), "b=1, D=32, H=224, W=224"),
        ((2, 6, 8, 8), ""),
    ],
)
def test_sizes_follow_names_and_places(shape: tuple[str | int, ...], text: str) -> None:
    assert str(example_of(report_of(*shape))) == text


def test_sizes_are_multiples_of_the_stride() -> None:
    report = report_of(1, 6, "H", "W", stride=(48, 5))
    assert str(example_of(report)) == "H=240, W=225"


def test_sizes_are_large_enough_for_every_layer() -> None:
    report = report_of(1, 6, "H", "W", dilation=(300, 1))
    example = example_of(report)
    assert example.value(report.layers[0].output_shape[2]) > 0
    assert example.sizes["H"] == 896


def test_a_size_that_nothing_allows_ends_the_search() -> None:
    report = report_of(1, 6, "H", 8, dilation=(10**9, 1))
    assert example_of(report).value(report.layers[0].output_shape[2]) < 0


@pytest.mark.parametrize(
    ("shape", "factor"),
    [
        (("batch", 6, 8, 8), "batch"),
        (("batch", 6, "H", 8), None),
        ((1, 6, "H", 8), None),
        (("a_very_long_dimension", 6, 8, 8), None),
    ],
)
def test_what_all_macs_are_multiples_of(shape: tuple[str | int, ...], factor: str | None) -> None:
    assert example_of(report_of(*shape)).factor == factor


def test_two_models_are_shown_at_the_same_sizes() -> None:
    first, second = report_of("N", 6, "H", 8, stride=(64, 1)), report_of("N", 6, "H", 8, stride=(96, 1))
    assert str(example_of(first, second)) == "N=1, H=384"


def test_a_dimension_that_nothing_counts_has_a_size_and_is_not_shown() -> None:
    layer = conv_layer("c", 6, 8, (3, 3), (8, 8), batch=symbol("N"))
    inputs = (TensorInfo(name="x", shape=(symbol("N"), symbol("T")), dtype="float32"),)
    example = example_of(analyze(network(layer, inputs=inputs)))
    assert (example.sizes, example.shown) == ({"N": 1, "T": 128}, ("N",))


@pytest.mark.parametrize("text", ["3*H*W + 1", "floor((H - 3)/2)*W", "max(H, 2*W)*min(H, 5)", "ceil(H/4)^2"])
def test_the_value_is_that_of_the_formula(text: str) -> None:
    formula = parse(text)
    assert isinstance(formula, Formula)
    for sizes in ({"H": 7, "W": 1}, {"H": 224, "W": 225}):
        assert value_at(formula, sizes) == formula.substitute(sizes)


def test_divisors_are_found_inside_each_other() -> None:
    assert divisors_of(parse("max(ceil(H/4), floor(W/6))*H")) == {"H": {4}, "W": {6}}
