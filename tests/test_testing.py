"""The helper for tests, and the checks as functions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import convaudit
from tests.cli.conftest import save_model
from tests.models import (
    MOBILENET_V2_CONVOLUTIONS,
    MOBILENET_V2_MACS,
    MOBILENET_V2_PARAMS,
    mobilenet_v2,
)

PARAMS = 8 * 2 * 9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model.onnx", batch="N")


def test_a_model_within_its_budgets_gives_its_report(path: Path) -> None:
    report = convaudit.assert_within(path, max_params=PARAMS, max_macs="1M", dims={"N": 1})
    assert report.totals.params == PARAMS
    assert convaudit.assert_within(report, min_saving="50%").layers == report.layers


def test_a_model_over_its_budgets_fails_the_test_with_all_that_is_over(path: Path) -> None:
    with pytest.raises(AssertionError, match="2 of 3 checks failed") as failure:
        convaudit.assert_within(path, max_params=1, max_size="1MB", max_macs="1M")
    assert "max-params  144 parameters, 143 (14300.0%) over the limit of 1" in str(failure.value)
    assert "MACs depend on N" in str(failure.value)


def test_a_torch_module_is_held_to_budgets_too() -> None:
    torch = pytest.importorskip("torch")
    conv = torch.nn.Conv2d(4, 8, 3, groups=2, bias=False)
    convaudit.assert_within(conv, input_shape=(1, 4, 8, 8), max_params=PARAMS, max_macs=PARAMS * 36)
    with pytest.raises(AssertionError, match="over the limit of 5,183"):
        convaudit.assert_within(conv, input_shape=(1, 4, 8, 8), max_macs=PARAMS * 36 - 1)


def test_verification_can_be_required(path: Path) -> None:
    report = convaudit.assert_within(path, require_verified=True, dims={"N": 1})
    assert [layer.verification.status for layer in report.layers] == ["within_rounding"]


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        pytest.param({}, "nothing would be checked", id="none"),
        pytest.param({"max_parms": 5}, "unknown budget 'max_parms'; did you mean 'max_params'", id="typo"),
        pytest.param({"baseline": "b.json"}, "unknown budget 'baseline'", id="no-budget"),
        pytest.param({"max_params": "5X"}, "assert_within: max-params: '5X'", id="value"),
    ],
)
def test_a_bad_budget_is_an_error_not_a_pass(path: Path, budgets: dict[str, object], message: str) -> None:
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.assert_within(path, **budgets)


def test_check_and_diff_are_functions_of_reports(tmp_path: Path) -> None:
    good = convaudit.audit(mobilenet_v2(tmp_path / "good.onnx"))
    bad = convaudit.audit(mobilenet_v2(tmp_path / "bad.onnx", dense="features.7.depthwise"))
    assert (good.totals.layers, good.totals.model_macs) == (MOBILENET_V2_CONVOLUTIONS, MOBILENET_V2_MACS)
    budgets = convaudit.Budgets(max_params=MOBILENET_V2_PARAMS, min_saving=Fraction(1, 2))
    assert convaudit.check(good, budgets) == []
    (outcome,) = convaudit.check(bad, budgets)
    assert (outcome.rule, outcome.value, outcome.limit) == ("max-params", 3_817_864, MOBILENET_V2_PARAMS)
    (change,) = convaudit.diff(good, bad).changed
    assert change.after.name == "features.7.depthwise"
    assert convaudit.diff(good, good).equal
    assert repr(convaudit.diff(good, bad)).endswith("bad.onnx': 1 changed, 0 removed, 0 added>")
