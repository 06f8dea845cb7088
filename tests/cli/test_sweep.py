"""convaudit sweep: its formats, its options, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.frontend import OpenedOnnx
from convaudit.records.timing import Swept
from tests.test_sweeps import samples

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> list[TimeRequest]:
    """Made-up samples."""
    asked: list[TimeRequest] = []

    def answer(self: OpenedOnnx, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        asked.append(how)
        return samples(groups)

    monkeypatch.setattr(OpenedOnnx, "sweep", answer)
    return asked


@pytest.mark.parametrize("name", ["table", "markdown", "csv", "json"])
@pytest.mark.parametrize("which", [["--layer", "conv"], ["--all"]], ids=["layer", "all"])
def test_formats(run: Run, model: str, name: str, which: list[str]) -> None:
    done = run("sweep", model, *which, "-f", name)
    assert (done.exit_code, done.stderr) == (0, "")
    if name == "json":
        found = json.loads(done.stdout)
        found = found if which == ["--layer", "conv"] else found[0]
        assert [row["groups"] for row in found["rows"]] == [1, 2, 4]
    elif name == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [row["groups"] for row in rows] == ["1", "2", "4"]
        assert all(float(row["realised_low"]) <= float(row["realised_high"]) for row in rows)
    else:
        assert "4.00 ms ±1%" in done.stdout


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_fits_its_terminal(
    run: Run, model: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(model).parent)
    done = run("sweep", "model.onnx", "--layer", "conv", env={"COLUMNS": str(width)})
    assert max(map(len, done.stdout.splitlines())) <= width


def test_options_reach_the_timer(run: Run, model: str, timed: list[TimeRequest]) -> None:
    options = ["--threads", "2", "--time-budget", "500ms", "--memory", "1MB", "--opt-level", "basic"]
    assert run("sweep", model, "--layer", "conv", *options).exit_code == 0
    (how,) = timed
    assert (how.threads, how.budget_seconds, how.memory_bytes, how.optimization) == (2, 0.5, 10**6, "basic")


REFUSED = [
    pytest.param([], "name one layer with --layer, or sweep every distinct one with --all", id="neither"),
    pytest.param(["--layer", "conv", "--all"], "name one layer with --layer, or", id="both"),
    pytest.param(["--layer", "cnov"], "no layer is called 'cnov'; did you mean 'conv'?", id="name"),
    pytest.param(["--layer", "conv", "--groups", "3"], "groups=3 does not divide its 4 input", id="3"),
    pytest.param(["--layer", "conv", "--groups", "0"], "'0' is not a number of groups", id="zero"),
    pytest.param(["--layer", "conv", "--groups", "-1"], "'-1' is not a number of groups", id="negative"),
    pytest.param(["--layer", "conv", "--groups", ","], "',' is not a number of groups", id="empty"),
    pytest.param(["--layer", "conv", "--groups", "1," * 9999 + "x"], "'x' is not a number", id="long"),
    pytest.param(["--layer", "conv", "--time-budget", "0"], "is not a time", id="budget"),
    pytest.param(["--layer", "conv", "-o", "x.sarif"], "which is not written here", id="format"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_refused(run: Run, model: str, options: list[str], message: str) -> None:
    done = run("sweep", model, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_timing_nothing_is_said(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Swept(seconds={}, kernels={}, reasons=dict.fromkeys((1, 2, 4), "too small a budget"))
    monkeypatch.setattr(OpenedOnnx, "sweep", lambda *args: nothing)
    done = run("sweep", model, "--layer", "conv")
    assert done.exit_code == 2
    assert "not measured: g=1, g=2, g=4: too small a budget" in done.stdout
    assert f"{model}: nothing was timed: too small a budget" in done.stderr
