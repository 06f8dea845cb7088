"""Every budget and rule: within, exactly at the limit, over, unknown and symbolic."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from convaudit.analyzer import analyze
from convaudit.api import check
from convaudit.checks import Budgets, check_budgets
from convaudit.checks.budgets import BUDGETS
from convaudit.checks.values import Setting
from convaudit.errors import UsageError
from convaudit.formulas import symbol
from convaudit.records import AuditReport, LiveActivations, OtherOp, Verification
from tests.networks import conv_layer, network

# 3x8x3x3 = 216 weights on 4x4; depthwise 8x9 = 72 on 4x4, twice; grouped 8x4x1x1 / 2 = 16 a position
PADDED = {"padding": ((1, 1), (1, 1))}
STEM = conv_layer("stem", 3, 8, (3, 3), (4, 4), **PADDED)
DEPTHWISE = conv_layer("depthwise", 8, 8, (3, 3), (4, 4), groups=8, calls=2, **PADDED)
GROUPED = conv_layer("grouped", 8, 4, (1, 1), (4, 4), groups=2)
REPORT = analyze(
    network(
        STEM,
        DEPTHWISE,
        GROUPED,
        other_ops=(OtherOp(op="Gemm", count=1, macs=10_000),),
        model_params=1_304,
        live_activations=LiveActivations(bytes=5_000, step="stem"),
        file_bytes=6_000,
    )
)
STEM_MACS, DEPTHWISE_MACS, GROUPED_MACS = 216 * 16, 2 * 72 * 16, 16 * 16
CONV_MACS = STEM_MACS + DEPTHWISE_MACS + GROUPED_MACS
DENSE_MACS = STEM_MACS + 8 * DEPTHWISE_MACS + 2 * GROUPED_MACS
MODEL_MACS = CONV_MACS + 10_000
PEAK_BYTES = (8 + 8) * 16 * 4


def failed(report: AuditReport, **budgets: object) -> str | None:
    """The message of the one outcome, None if the budget is kept."""
    violations = check(report, Budgets(**budgets))
    assert len(violations) <= 1
    return violations[0].message if violations else None


@pytest.mark.parametrize(
    ("budget", "value"),
    [
        pytest.param("max_params", 1_304, id="params-of-the-whole-model"),
        pytest.param("max_macs", MODEL_MACS, id="macs-of-the-whole-model"),
        pytest.param("max_flops", 2 * MODEL_MACS, id="flops"),
        pytest.param("max_size", 6_000, id="size"),
        pytest.param("max_weight_bytes", (216 + 72 + 16) * 4, id="weight-bytes"),
        pytest.param("max_activation_bytes", PEAK_BYTES, id="activation-bytes"),
        pytest.param("max_peak_activation", 5_000, id="peak-activation"),
        pytest.param("max_layer_macs", STEM_MACS, id="layer-macs"),
    ],
)
def test_a_limit_holds_up_to_the_value_and_not_below(budget: str, value: int) -> None:
    assert failed(REPORT, **{budget: value}) is None
    assert failed(REPORT, **{budget: value - 1}) is not None


@pytest.mark.parametrize(
    ("budgets", "message", "contributors"),
    [
        pytest.param(
            {"max_params": 1_000},
            "1,304 parameters, 304 (30.4%) over the limit of 1,000",
            [
                "everything but convolutions: 1,000 (76.7%)",
                "stem: 216 (16.6%)",
                "depthwise: 72 (5.5%)",
                "grouped: 16 (1.2%)",
            ],
            id="params",
        ),
        pytest.param(
            {"max_macs": 12_000},
            "16,016 MACs, 4,016 (33.5%) over the limit of 12,000",
            [
                "1 Gemm: 10,000 (62.4%)",
                "stem: 3,456 (21.6%)",
                "depthwise: 2,304 (14.4%)",
                "grouped: 256 (1.6%)",
            ],
            id="macs-name-other-ops-too",
        ),
        pytest.param(
            {"max_layer_macs": 2_000},
            "2 of 3 convolutions take more than 2,000 MACs",
            ["stem: 3,456 MACs", "depthwise: 2,304 MACs"],
            id="layer-macs",
        ),
        pytest.param(
            {"min_saving": Fraction(9, 10)},
            "groups save 73.1% of the convolutions' MACs, less than 90.0%",
            ["stem: 3,456 (57.4%)", "depthwise: 2,304 (38.3%)", "grouped: 256 (4.3%)"],
            id="saving",
        ),
        pytest.param(
            {"groups_multiple_of": 4},
            "1 of 1 grouped convolutions do not have a multiple of 4 channels a group",
            ["grouped: 4 -> 2 channels a group"],
            id="groups-of-the-grouped-only",
        ),
        pytest.param(
            {"forbid": ("depthwise", "pointwise")},
            "2 of 3 convolutions are depthwise or pointwise",
            ["depthwise: depthwise", "grouped: pointwise"],
            id="forbid-any-word-that-fits",
        ),
        pytest.param(
            {"require_verified": True},
            "3 of 3 convolutions are not verified",
            ["stem: not verified", "depthwise: not verified", "grouped: not verified"],
            id="unverified",
        ),
        pytest.param(
            {"max_params": 0}, "1,304 parameters, 1,304 over the limit of 0", None, id="a-limit-of-zero"
        ),
    ],
)
def test_what_is_over_is_said_with_its_largest_parts(
    budgets: dict[str, object], message: str, contributors: list[str] | None
) -> None:
    (violation,) = check(REPORT, Budgets(**budgets))
    assert violation.message == message
    assert violation.rule == next(iter(budgets)).replace("_", "-")
    if contributors is not None:
        assert [f"{part.name}: {part.detail}" for part in violation.contributors] == contributors


def test_parts_smaller_than_the_three_layers_go_unsaid() -> None:
    report = analyze(
        network(
            *(conv_layer(name, size=(n, n)) for n, name in enumerate("abcd", start=2)),
            other_ops=(
                OtherOp(op="Gemm", count=1, macs=36 * 9),
                OtherOp(op="MatMul", count=2, macs=36 * 9 + 1),
            ),
        )
    )
    (violation,) = check(report, Budgets(max_macs=1))
    assert [part.name for part in violation.contributors] == ["d", "c", "2 MatMul", "b"]
    assert [part.is_layer for part in violation.contributors] == [True, True, False, True]


@pytest.mark.parametrize(
    "budgets",
    [
        pytest.param({"min_saving": 1 - Fraction(CONV_MACS, DENSE_MACS)}, id="saving-exactly"),
        pytest.param({"groups_multiple_of": 2}, id="groups"),
        pytest.param({"forbid": ("transposed", "deformable")}, id="forbid"),
        pytest.param({"forbid_unknown": True}, id="known"),
    ],
)
def test_rules_that_are_kept(budgets: dict[str, object]) -> None:
    (outcome,) = check_budgets(REPORT, Budgets(**budgets))
    assert outcome.status == "passed"
    assert outcome.contributors == ()


UNKNOWN = analyze(
    network(
        replace(STEM, input_shape=None, output_shape=None, weight_shape=None, kernel_size=None),
        model_params=None,
    )
)
BATCHED = analyze(network(conv_layer("stem", 3, 8, (3, 3), (4, 4), batch=symbol("batch"), **PADDED)))
TOTALS = ("max_params", "max_macs", "max_flops", "max_size", "max_weight_bytes", "max_activation_bytes")


@pytest.mark.parametrize("budget", [*TOTALS, "max_layer_macs"])
def test_an_unknown_value_is_over_every_limit(budget: str) -> None:
    assert failed(UNKNOWN, **{budget: 10**15}) is not None


@pytest.mark.parametrize("budget", ["max_macs", "max_flops", "max_activation_bytes", "max_layer_macs"])
def test_a_symbolic_value_is_over_every_limit_and_the_size_to_fix_is_named(budget: str) -> None:
    (violation,) = check(BATCHED, Budgets(**{budget: 10**15}))
    said = " ".join([violation.message, *(part.detail for part in violation.contributors)])
    assert "batch" in said
    assert "--dim" in said


def test_the_peak_of_activations_says_where_it_is_or_why_it_is_unknown() -> None:
    (violation,) = check(REPORT, Budgets(max_peak_activation="4kB"))
    assert violation.message == (
        "5,000 bytes of activations at once, at least, 1,000 (25.0%) over the limit of 4,000"
    )
    assert [part.name for part in violation.contributors] == ["stem"]
    unknown = str(failed(BATCHED, max_peak_activation=10**15))
    assert "are unknown: it is counted for ONNX models alone" in unknown


def test_an_unknown_saving_is_not_enough() -> None:
    assert "unknown" in str(failed(UNKNOWN, min_saving=Fraction(0)))
    assert "depend on batch" in str(failed(BATCHED, min_saving=Fraction(0)))


def test_unknown_numbers_are_forbidden_one_by_one() -> None:
    (violation,) = check(UNKNOWN, Budgets(forbid_unknown=True))
    assert violation.message == "2 unknown"
    assert [part.name.split(":")[0] for part in violation.contributors] == ["stem", "the model's parameters"]


@pytest.mark.parametrize(
    ("status", "passes"),
    [
        ("exact", True),
        ("within_rounding", True),
        ("low_accuracy", True),
        ("mismatch", False),
        ("miscounted", False),
        ("vacuous", False),
        ("not_executed", False),
        ("not_supported", False),
    ],
)
def test_only_a_proof_verifies(status: str, passes: bool) -> None:
    verdict = Verification(status=status, reason="because")
    verified = replace(REPORT, layers=tuple(replace(row, verification=verdict) for row in REPORT.layers))
    violations = check(verified, Budgets(require_verified=True))
    assert (violations == []) is passes
    assert passes or violations[0].contributors[0].detail == f"{status.replace('_', ' ')}: because"


@pytest.mark.parametrize(
    ("budgets", "status"),
    [
        pytest.param({"max_layer_macs": 1}, "skipped", id="layer-macs"),
        pytest.param({"forbid": ("dense",)}, "skipped", id="forbid"),
        pytest.param({"groups_multiple_of": 8}, "skipped", id="groups"),
        pytest.param({"require_verified": True}, "failed", id="nothing-was-verified"),
        pytest.param({"min_saving": Fraction(1, 2)}, "failed", id="nothing-is-saved"),
    ],
)
def test_a_model_without_convolutions_keeps_no_rule_by_having_nothing(
    budgets: dict[str, object], status: str
) -> None:
    (outcome,) = check_budgets(analyze(network()), Budgets(**budgets))
    assert outcome.status == status


@pytest.mark.parametrize("layers", [(), (conv_layer(groups=2),)], ids=["none-seen", "one-seen"])
@pytest.mark.parametrize(
    "budgets",
    [
        pytest.param({"max_layer_macs": 10**9}, id="layer-macs"),
        pytest.param({"forbid": ("dense",)}, id="forbid"),
        pytest.param({"groups_multiple_of": 3}, id="groups"),
        pytest.param({"min_saving": Fraction(0)}, id="saving"),
        pytest.param({"max_weight_bytes": 10**9}, id="weights"),
    ],
)
def test_convolutions_that_run_unseen_keep_no_rule(layers: Any, budgets: dict[str, Any]) -> None:
    hidden = OtherOp(op="my.op", count=1, macs=None, reason="a custom operator", opaque=True)
    (outcome,) = check_budgets(analyze(network(*layers, other_ops=(hidden,))), Budgets(**budgets))
    assert outcome.status == "failed"
    assert "unseen" in outcome.message or "unknown" in outcome.message


def test_no_budget_is_an_error_not_a_pass() -> None:
    with pytest.raises(UsageError, match="nothing would be checked"):
        check(REPORT, Budgets())


def key(field: str) -> str:
    """A budget's name in a file."""
    return field.replace("_", "-")


def some_value(setting: Setting) -> object:
    """A value that the setting's reader takes."""
    for value in (8, True, "5%", ["dense"]):
        try:
            setting.read(value)
        except UsageError:
            continue
        return value
    raise AssertionError(f"{setting}: add a value here that its reader takes")


def test_every_budget_is_judged() -> None:
    everything = Budgets(**{field.name: some_value(BUDGETS[key(field.name)]) for field in fields(Budgets)})
    outcomes = check_budgets(REPORT, everything)
    assert [outcome.rule for outcome in outcomes] == [key(field.name) for field in fields(Budgets)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param({"max_params": "5M"}, {"max_params": 5_000_000}, id="count"),
        pytest.param({"max_macs": np.int32(7)}, {"max_macs": 7}, id="numpy"),
        pytest.param({"max_size": "20MB"}, {"max_size": 20_000_000}, id="size"),
        pytest.param({"min_saving": "40%"}, {"min_saving": Fraction(2, 5)}, id="percentage"),
        pytest.param({"forbid": "dense"}, {"forbid": ("dense",)}, id="kind"),
        pytest.param({"forbid": ["dense", "grouped"]}, {"forbid": ("dense", "grouped")}, id="kinds"),
    ],
)
def test_budgets_are_read_as_on_the_command_line(text: dict[str, Any], value: dict[str, Any]) -> None:
    assert Budgets(**text) == Budgets(**value)
    assert Budgets(**text).given() == value
    assert all(type(one) is not np.int32 for one in Budgets(**text).given().values())


@pytest.mark.parametrize(
    ("budget", "match"),
    [
        pytest.param({"max_params": "many"}, r"max_params: 'many' is not a number", id="text"),
        pytest.param({"max_params": -1}, r"max_params: '-1' is not a number", id="negative"),
        pytest.param({"max_macs": True}, r"max_macs: 'True' is not a number", id="bool"),
        pytest.param({"max_macs": 2.5}, r"max_macs: '2.5' is not a whole number", id="fraction"),
        pytest.param({"max_size": [1]}, r"max_size: '\[1\]' is not a number", id="list"),
        pytest.param({"min_saving": 0.4}, r"min_saving: '0.4' .* a percentage such as 40%", id="share"),
        pytest.param({"forbid": "big"}, r"forbid: 'big' is not a kind of convolution", id="kind"),
        pytest.param(
            {"forbid_unknown": "yes"}, r"forbid_unknown: 'yes' is neither true nor false", id="flag"
        ),
        pytest.param({"groups_multiple_of": 0}, r"groups_multiple_of: 0 is too small", id="zero"),
        pytest.param({"max_params": np.array([1, 2])}, r"max_params: 'array.*' is not a number", id="array"),
        pytest.param({"forbid": np.float64(2)}, r"forbid: np.float64\(2.0\) is not text", id="number"),
        pytest.param(
            {"require_verified": np.array([1, 2])}, r"require_verified: .* is neither true nor", id="flags"
        ),
    ],
)
def test_values_that_no_budget_has(budget: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Budgets(**budget)


def test_other_things_than_budgets_are_refused() -> None:
    with pytest.raises(UsageError, match=r"budgets must be convaudit.Budgets\(...\), got a dict"):
        check(REPORT, {"max_params": 5})


def test_the_sizes_that_are_advised_are_some_that_the_model_can_take() -> None:
    layer = conv_layer("conv", batch=symbol("N"), size=(symbol("H"), 4))
    (outcome,) = check_budgets(analyze(network(layer)), Budgets(max_macs="1"))
    assert "MACs depend on H, N; fix the size, for instance by --dim H=224 --dim N=1" in outcome.message
