"""``convaudit diff --time`` and ``convaudit.diff(time=True)``: what is run, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import convaudit
from convaudit.errors import UsageError
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.frontend import OpenedOnnx
from convaudit.records.timing import LayerSamples, Timed
from tests.cli.conftest import save_model
from tests.timing.made import around, close
from tests.timing.test_model import RUNTIME


@pytest.fixture
def models(tmp_path):
    """The same convolution with 2 groups and with 1."""
    return [
        str(save_model(tmp_path / "grouped.onnx")),
        str(save_model(tmp_path / "dense.onnx", groups=1, batch="N")),
    ]


@pytest.fixture
def asked(monkeypatch):
    """What was timed, and how; the grouped one takes half as long."""
    requests: list[tuple[str, TimeRequest]] = []

    def time(opened: OpenedOnnx, how: TimeRequest) -> Timed:
        requests.append((opened.network.source, how))
        seconds = 2e-3 / opened.network.layers[0].groups
        layer = LayerSamples(in_model=around(seconds))
        return Timed(
            layers=(layer,), runs=around(2 * seconds), runtime=replace(RUNTIME, threads=how.threads or 1)
        )

    monkeypatch.setattr(OpenedOnnx, "time", time)
    return requests


def test_both_models_are_timed_in_turn(run, models, asked):
    result = run(
        "diff", *models, "--dim", "N=1", "--time", "--time-budget", "9s", "--threads", "2", "-f", "json"
    )
    assert (result.exit_code, result.stderr) == (1, "")
    assert [source for source, _ in asked[:4]] == [models[0], models[1], models[1], models[0]]
    assert {(how.alone, how.threads, round(how.budget_seconds, 6)) for _, how in asked} == {(False, 2, 0.18)}
    (layer,) = json.loads(result.stdout)["times"]["layers"]
    assert (layer["promised"], layer["realised"], layer["turns"]) == (0.5, close(0.5), 10)


def test_open_sizes_are_not_timed_against_others(run, models, asked):
    """What a runtime chooses for them need not be what the other model has."""
    result = run("diff", *models, "--time")
    assert (result.exit_code, result.stdout, asked) == (2, "", [])
    assert (
        "its inputs have open sizes, on which times depend; give --dim N=VALUE, or --input" in result.stderr
    )


def test_a_slower_copy_is_not_a_difference(run, models, asked):
    result = run("diff", models[0], models[0], "--time")
    assert result.exit_code == 0
    assert "equal" in result.stdout
    assert "1 unchanged layer " in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            ["--threads", "1"], "--threads says how to time two models; it needs --time", id="threads"
        ),
        pytest.param(["--time-budget", "1s"], "--time-budget says how to time", id="budget"),
        pytest.param(["--provider", "cpu"], "--provider says how to time", id="provider"),
        pytest.param(["--time", "--time-budget", "0s"], "'0s' is not a time above 0", id="no-budget"),
        pytest.param(["--time", "--provider", "gpu9"], "provider 'gpu9' is not available", id="no-provider"),
    ],
)
def test_what_would_do_nothing_is_refused(run, models, options, said):
    result = run("diff", models[0], models[0], *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_models_are_really_run(run, models):
    result = run("diff", *models, "--dim", "N=1", "--time", "--time-budget", "300ms", "-f", "json")
    assert (result.exit_code, result.stderr) == (1, "")
    times = json.loads(result.stdout)["times"]
    assert times["model"]["seconds_before"] > 0
    assert times["layers"][0]["realised"] > 0


def test_the_api_times_models(models, asked):
    difference = convaudit.diff(models[0], models[0], time=True, time_budget=9)
    assert difference.times.model.realised == close(1)
    assert difference.before.timing.runtime.name == "onnxruntime"


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        pytest.param({"threads": 1}, "threads says how to time two models; give time=True", id="threads"),
        pytest.param({"time": "yes"}, "time must be True or False", id="time"),
        pytest.param(
            {"time": True, "time_budget": 0}, "time_budget must be a number of seconds", id="budget"
        ),
    ],
)
def test_the_api_refuses_what_would_do_nothing(models, keywords, match):
    with pytest.raises(UsageError, match=match):
        convaudit.diff(models[0], models[0], **keywords)


def test_reports_cannot_be_timed(models):
    report = convaudit.audit(models[0])
    with pytest.raises(UsageError, match="give the models themselves, not their reports"):
        convaudit.diff(models[0], report, time=True)
