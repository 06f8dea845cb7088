"""The verification options; what they verify is tested with the verifiers."""

from __future__ import annotations

import io
import re
import sys

import pytest

import convaudit.api
from convaudit.cli.output import progress_bar
from convaudit.report import Report
from tests.networks import MISCOUNTED, VERDICTS, mixed_network, verified


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What the command asked ``audit`` for; it answers with one verdict of each kind."""
    requests: list[dict] = []

    def answer(source: str, **keywords: object) -> Report:
        requests.append(keywords)
        return Report.of(verified(convaudit.api.analyze(mixed_network())))

    monkeypatch.setattr(convaudit.api, "audit", answer)
    return requests


def test_nothing_is_verified_unless_asked(run, asked):
    run("m.onnx")
    assert asked[0]["verify"] is False


def test_in_situ_and_isolated(run, asked):
    how = ("--seed", "7", "--memory", "64MiB", "--provider", "CPU", "--threads", "3", "--opt-level", "basic")
    run("m.onnx", "--verify", *how, "--data", "x.npz")
    run("m.onnx", "--verify-isolated")
    in_situ, isolated = asked
    expected = {
        "verify": "in-situ",
        "seed": 7,
        "memory_bytes": 2**26,
        "provider": "CPU",
        "threads": 3,
        "optimization": "basic",
        "data": "x.npz",
    }
    assert {key: in_situ[key] for key in expected} == expected
    assert isolated["verify"] == "isolated"
    assert not isolated.keys() & {"seed", "memory_bytes", "optimization"}  # the API's defaults hold
    assert isolated["data"] is None


def test_a_mismatch_and_a_miscount_are_findings(run, asked, monkeypatch):
    result = run("m.onnx", "--verify")
    assert result.exit_code == 1
    assert "mismatch: grouped" in result.stdout
    assert "miscounted: asymmetric" in result.stdout
    for verdicts, code in ((VERDICTS[:3], 0), ((*VERDICTS[:3], MISCOUNTED), 1)):
        monkeypatch.setattr("tests.networks.VERDICTS", verdicts)
        assert run("m.onnx", "--verify").exit_code == code


def test_verifying_nothing_is_no_pass(run, asked, monkeypatch):
    monkeypatch.setattr("tests.networks.VERDICTS", VERDICTS[5:])
    result = run("m.onnx", "--verify")
    assert result.exit_code == 2
    assert "m.onnx: not one layer could be verified" in result.stderr.replace("demo", "m")
    assert "5 vacuous, 5 not executed" in result.stdout


BAD = [
    (["--verify", "--verify-isolated"], "exclude each other"),
    (["--seed", "0"], "--seed says how to run a model; it needs --verify"),
    (["--memory", "1GiB"], "--memory says how to run a model; it needs --verify"),
    (["--opt-level", "all"], "--opt-level says how to run a model; it needs --verify"),
    (["--provider", "cpu"], "--provider says how to run a model; it needs --verify"),
    (["--threads", "2"], "--threads says how to run a model; it needs --verify"),
    (["--verify-isolated", "--memory", "1GiB"], "of the whole model, which --verify-isolated avoids"),
    (["--verify", "--seed", "-1"], "'-1' is not a seed; write an integer from 0"),
    (["--verify", "--seed", "1.5"], "'1.5' is not a seed"),
    (["--verify", "--seed", str(2**64)], "is not a seed"),
    (["--verify", "--memory", "0"], "'0' is not memory at all"),
    (["--verify", "--memory", "lots"], r"'lots' .* such as 20MB"),
    (["--verify", "--threads", "0"], "0 is not in the range x>=1"),
    (["--verify", "--threads", "two"], "'two' is not a valid integer"),
    (["--verify", "--opt-level", "max"], "'max' is not one of"),
]


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_options_that_do_not_go_together(run, asked, args, message):
    result = run("m.onnx", *args)
    assert result.exit_code == 2
    assert re.search(message, result.stderr)
    assert asked == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_bar_shows_on_a_terminal_and_cleans_up(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("model\x1b.onnx") as progress:
        progress(1, 4)
        progress(4, 4)
    shown = sys.stderr.getvalue()
    assert "model\\x1b.onnx" in shown
    assert "100%" in shown
    assert shown.endswith("\r\x1b[K")


def test_no_progress_where_nobody_watches(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("model.onnx") as progress:
        assert progress is None
    assert sys.stderr.getvalue() == ""
