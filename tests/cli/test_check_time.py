"""Budgets of measured times, from the command line and from Python: what is timed, and how."""

from __future__ import annotations

import pytest

from convaudit.api import audit, check
from convaudit.checks import Budgets
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.frontend import OpenedOnnx
from convaudit.records.timing import Timed
from convaudit.testing import assert_within
from tests.cli.conftest import save_model
from tests.timing.made import around, layer_samples
from tests.timing.test_model import RUNTIME


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TimeRequest]:
    """How models were to be timed; each takes 10 ms, and its convolution realises half of its groups."""
    requests: list[TimeRequest] = []

    def time(_: OpenedOnnx, how: TimeRequest) -> Timed:
        requests.append(how)
        return Timed(layers=(layer_samples(5e-3, 5e-3),), runs=around(10e-3), runtime=RUNTIME)

    monkeypatch.setattr(OpenedOnnx, "time", time)
    return requests


@pytest.mark.parametrize(
    ("options", "code", "alone"),
    [
        pytest.param(["--max-time", "20ms"], 0, [False], id="in-the-model"),
        pytest.param(["--max-time", "1ms"], 1, [False], id="over"),
        pytest.param(["--max-time", "10ms"], 0, [False], id="undecided"),
        pytest.param(["--min-realised", "40%", "--max-time", "20ms"], 0, [True], id="once-for-both"),
        pytest.param(["--min-realised", "60%"], 1, [True], id="little"),
        pytest.param(["--max-macs", "1G"], 0, [], id="not-timed"),
    ],
)
def test_a_check_times_what_its_budgets_need(run, tmp_path, monkeypatch, asked, options, code, alone):
    monkeypatch.chdir(tmp_path)
    path = str(save_model(tmp_path / "model.onnx"))
    result = run("check", path, *options)
    assert (result.exit_code, result.stderr) == (code, "")
    assert [request.alone for request in asked] == alone


def test_how_to_time_is_passed_on_to_the_models_that_are_timed(run, tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    for name in ("timed", "counted"):
        save_model(tmp_path / f"{name}.onnx")
    (tmp_path / "convaudit.toml").write_text(
        'max-macs = "1G"\n[models."counted.onnx"]\n[models."timed.onnx"]\nmax-time = "20ms"\n'
    )
    result = run("check", "--time-budget", "2s", "--threads", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [(request.budget_seconds, request.threads) for request in asked] == [(2.0, 1)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--time-budget", "2s"], "--time-budget says how long to time; it needs --max-time or --min"),
        (["--threads", "1"], "it needs --verify, --max-time or --min-realised"),
    ],
)
def test_how_to_time_is_refused_where_nothing_is_timed(run, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    result = run("check", str(save_model(tmp_path / "model.onnx")), "--max-macs", "1G", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_api_times_too(tmp_path, asked):
    path = save_model(tmp_path / "model.onnx")
    assert check(path, Budgets(max_time="20ms")) == []
    assert assert_within(path, min_realised="40%").timing.realised == pytest.approx(1, rel=1e-3)
    with pytest.raises(AssertionError, match=r"less than 60\.0%"):
        assert_within(path, min_realised="60%")
    assert [request.alone for request in asked] == [False, True, True]


def test_a_model_may_be_timed_as_a_whole_only(tmp_path, asked):
    audit(save_model(tmp_path / "model.onnx"), time="model", time_budget=2)
    assert [(request.alone, request.budget_seconds) for request in asked] == [(False, 2.0)]
