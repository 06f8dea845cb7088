from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from convaudit.analyzer import analyze
from convaudit.formulas import parse, symbol
from convaudit.linting.savings import findings_of
from convaudit.records import Branch, ConvLayer, Network, OtherOp
from convaudit.records.findings import Claim, Region


def conv(name="conv", *, out=8, inputs=4, groups=1, kernel=3, positions=25, **more):
    sizes = (out, inputs // groups, kernel, kernel)
    layer = ConvLayer(
        name=name,
        op="Conv",
        in_channels=inputs,
        out_channels=out,
        kernel_size=(kernel, kernel),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        groups=groups,
        output_shape=(1, out, positions, 1),
        weight_shape=sizes,
        weight_dtype="float32",
        bias_dtype="float32",
        bias=True,
        weight_name=f"{name}.w",
        bias_name=f"{name}.b",
    )
    return replace(layer, **more)


def saved(layers, *claims, **network):
    report = analyze(Network(source="m", format="onnx", inputs=(), layers=tuple(layers), **network))
    return findings_of(report, claims)


def claim(*regions, rule="CA101", **more):
    return Claim(rule=rule, layer=regions[0].layer, channels=(0,), message="m", regions=regions, **more)


FILTER = Region(layer="conv", outputs=(0, 3))
REGIONS = [
    pytest.param({}, [FILTER], (2 * (4 * 9 + 1), 2 * 4 * 9 * 25, 4 * 2 * 37), id="filters with bias"),
    pytest.param({}, [Region(layer="conv", inputs=(1,))], (8 * 9, 8 * 9 * 25, 4 * 72), id="columns"),
    pytest.param({}, [Region(layer="conv", taps=(0, 1, 2))], (96, 96 * 25, 384), id="taps"),
    pytest.param(
        {}, [FILTER, Region(layer="conv", inputs=(1,))], (74 + 6 * 9, (72 + 54) * 25, 4 * 128), id="overlap"
    ),
    pytest.param({"groups": 4}, [Region(layer="conv", inputs=(3,))], (2 * 9, 450, 72), id="grouped column"),
    pytest.param({"groups": 4}, [FILTER], (20, 450, 80), id="grouped filter"),
    pytest.param({"calls": 3}, [FILTER], (74, 5400, 296), id="calls"),
    pytest.param({"calls": None}, [FILTER], (74, None, 296), id="calls unknown"),
    pytest.param({"weight_shape": None}, [FILTER], (None, None, None), id="shape unknown"),
    pytest.param({"weight_dtype": "int4", "bias_dtype": "int32"}, [FILTER], (74, 1800, 44), id="packed"),
    pytest.param({"output_shape": None}, [FILTER], (74, None, 296), id="positions unknown"),
    pytest.param(
        {"output_shape": (symbol("N"), 8, 5, 5)}, [FILTER], (74, parse("1800*N"), 296), id="dynamic batch"
    ),
    pytest.param({"bias": False, "bias_name": None}, [FILTER], (72, 1800, 288), id="no bias"),
    pytest.param(
        {"transposed": True, "weight_shape": (4, 8, 3, 3), "input_shape": (1, 4, 5, 5)},
        [FILTER],
        (74, 1800, 296),
        id="transposed",
    ),
]


@pytest.mark.parametrize(("layer", "regions", "expected"), REGIONS)
def test_a_region_saves_what_the_accounting_says(layer, regions, expected):
    (found,), totals = saved([conv(**layer)], claim(*regions))
    assert (found.removable_params, found.removable_macs, found.removable_bytes) == expected
    assert (totals.removable_params, totals.removable_macs, totals.removable_bytes) == expected
    assert totals.fixable_params == 0


def test_an_element_is_saved_by_one_claim_and_by_a_fixable_one_first():
    first = claim(FILTER, rule="CA101")
    second = claim(Region(layer="conv", outputs=(3, 4)), rule="CA102", fixable=True)
    findings, totals = saved([conv()], first, second)
    assert [(found.rule, found.removable_params) for found in findings] == [("CA101", 37), ("CA102", 74)]
    assert (totals.removable_params, totals.fixable_params) == (111, 74)
    assert (totals.removable_macs, totals.fixable_macs) == (3 * 36 * 25, 2 * 36 * 25)


def test_findings_come_in_the_order_of_the_layers_and_codes():
    claims = [claim(Region(layer=name), rule=rule) for name, rule in ["bX", "bA", "aX"] for rule in [rule]]
    claims = [replace(one, rule={"X": "CA104", "A": "CA101"}[one.rule]) for one in claims]
    findings, _ = saved([conv("a"), conv("b")], *claims)
    assert [(found.layer, found.rule) for found in findings] == [
        ("a", "CA104"),
        ("b", "CA101"),
        ("b", "CA104"),
    ]


SHARED = [
    pytest.param([("a", (0,))], (0, 900), id="one reader needs it"),
    pytest.param([("a", (0,)), ("b", (0,))], (37, 1800), id="nobody needs it"),
    pytest.param([("a", (0,)), ("b", (1,))], (0, 1800), id="each needs another"),
]


@pytest.mark.parametrize(("filters", "expected"), SHARED)
def test_a_shared_weight_goes_where_all_that_read_it_can_do_without(filters, expected):
    layers = [conv(name, weight_name="w", bias_name="b") for name in "ab"]
    claims = [claim(Region(layer=name, outputs=outputs)) for name, outputs in filters]
    _, totals = saved(layers, *claims)
    assert (totals.removable_params, totals.removable_macs) == expected


SKIPPED = [
    pytest.param([], 3 * 8 * 36 * 25 // 5, id="alone"),
    pytest.param([FILTER], 2 * 36 * 25 + 6 * 36 * 15, id="beside filters"),
]


@pytest.mark.parametrize(("regions", "macs"), SKIPPED)
def test_skipped_positions_save_their_macs_alone(regions, macs):
    found = Claim(
        rule="CA203", layer="conv", channels=None, message="m", regions=tuple(regions), skipped=Fraction(3, 5)
    )
    _, totals = saved([conv()], found)
    assert (totals.removable_params, totals.removable_macs) == (37 * len(regions) * 2, macs)


def test_of_exclusive_arms_the_costlier_one_counts_before_and_after():
    then, other = Branch(choice="If", arm="then_branch"), Branch(choice="If", arm="else_branch")
    layers = [conv("a", branches=(then,)), conv("b", branches=(other,), positions=24)]
    _, totals = saved(layers, claim(Region(layer="a")))
    assert totals.removable_macs == 8 * 36  # b's are left
    assert totals.removable_params == 8 * 37


def test_what_was_observed_proves_no_saving():
    (found,), totals = saved([conv()], claim(FILTER, certainty="observed"))
    assert found.removable_params is None
    assert totals.removable_params == 0


def test_sums_are_unknown_where_convolutions_may_run_unseen():
    unseen = OtherOp(op="Mystery", count=1, macs=None, opaque=True)
    (found,), totals = saved([conv()], claim(FILTER), other_ops=(unseen,))
    assert found.removable_params == 74
    assert (totals.removable_params, totals.removable_macs, totals.fixable_params) == (None, None, None)
