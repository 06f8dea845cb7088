"""Times from profiles that other machines wrote, and what cannot be timed, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from tests.frontends.onnx.timer.test_from_files import PROFILES, reshaped
from tests.frontends.onnx.timer.test_in_model import BLOCKED
from tests.frontends.onnx.verifier import cases

ALL = str(PROFILES / "blocked_all.json")


@pytest.fixture
def blocked(tmp_path: Path) -> str:
    """The model that the recorded profiles are of."""
    path = tmp_path / "blocked.onnx"
    onnx.save(cases.stored(BLOCKED, "w1", "w2", "w3"), path)
    return str(path)


def test_times_are_told_of_a_profile(run, blocked):
    result = run(blocked, "--timings", ALL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"times read from {ALL}" in result.stdout
    assert "Conv (NCHWc)" in result.stdout


def test_the_json_has_the_parts_of_a_run_and_what_the_twin_took(run, blocked, tmp_path):
    dense = str(reshaped(tmp_path, "blocked_extended", "grouped", 1, [32, 32, 3, 3]))
    result = run(blocked, "--timings", ALL, "--twin-timings", dense, "-f", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    timing = report["timing"]
    assert {part["kind"] for part in timing["parts"]} == {"layers", "reorders", "other_op", "between"}
    assert timing["files"] == [ALL, dense]
    assert report["layers"][1]["timing"]["realised"] is not None
    assert "of its twin" in report["layers"][1]["timing"]["reason"]


def test_text_of_a_profile_does_not_command_the_terminal(run, blocked, tmp_path):
    path = tmp_path / "profile.json"
    names = ["first", "\x1b[31mred\x07\n::error::x", "y" * 100_000]
    path.write_text(json.dumps([{"name": name, "averageMs": 1} for name in names]))
    result = run(blocked, "--timings", str(path))
    assert result.exit_code == 0
    assert not {"\x1b", "\x07"} & set(result.stdout)
    assert "\n::error" not in result.stdout
    assert len(result.stdout) < 10_000


REFUSED = [
    pytest.param(["--timings", "other.json"], r"other.json: a profile of another model", id="another-model"),
    pytest.param(["--timings", "damaged.json"], r"damaged.json: not a readable profile", id="damaged"),
    pytest.param(["--timings", ALL, "--threads", "2"], r"--threads says how to run a model", id="threads"),
    pytest.param(["--timings", ALL, "--time-budget", "2s"], r"budget", id="budget"),
    pytest.param(["--twin-timings", ALL], r"compared with --timings; give both", id="twin-alone"),
    pytest.param(["--time", "--provider", "nosuch"], r"provider 'nosuch' is not available", id="provider"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_what_cannot_be_timed_is_one_line(run, blocked, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    Path("other.json").write_text('[{"name": "elsewhere", "averageMs": 1}]')
    Path("damaged.json").write_text("[{")
    result = run(blocked, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr


UNRUNNABLE = [
    pytest.param(
        "m (float[1, 4, 8, 8] x, int64[2] s, float[4, 4, 3, 3] w) => (float[N, C, H, W] y)"
        " { z = Conv(x, w) y = Reshape(z, s) }",
        r"the model does not run: onnxruntime: ",
        id="inputs-that-need-data",
    ),
    pytest.param("m (float[4] x) => (float[4] y) { y = Relu(x) }", "contains no convolution", id="none"),
]


@pytest.mark.parametrize(("text", "words"), UNRUNNABLE)
def test_a_model_that_cannot_be_timed_says_why(run, tmp_path, text, words):
    path = tmp_path / "model.onnx"
    onnx.save(cases.stored(text, "w"), path)
    result = run(str(path), "--time", "--time-budget", "1s")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_missing_weights_are_said(run, tmp_path):
    path = tmp_path / "model.onnx"
    model = cases.stored(BLOCKED, "w1", "w2", "w3")
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    result = run(str(path), "--time", "--time-budget", "1s")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "weights" in result.stderr
