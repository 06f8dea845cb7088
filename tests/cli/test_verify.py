"""The verification options; what they verify is tested with the verifiers."""

from __future__ import annotations

import re

import pytest

import convaudit.api
from convaudit.report import Report
from tests.cli.conftest import save_model
from tests.networks import MISCOUNTED, VERDICTS, conv_layer, mixed_network, network, timed, verified


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


def test_time_and_what_goes_with_it(run, asked):
    run("m.onnx", "--time", "--time-budget", "500ms", "--threads", "2", "--provider", "openvino")
    run("m.onnx", "--timings", "phone.json", "--twin-timings", "twin.json")
    run("m.onnx", "--time", "--verify")
    measured, read, both = asked
    assert (measured["time"], measured["time_budget"], measured["verify"]) == (True, 0.5, False)
    assert (measured["threads"], measured["provider"]) == (2, "openvino")
    assert (read["timings"], read["twin_timings"], read["time"]) == ("phone.json", "twin.json", False)
    assert (both["time"], both["verify"]) == (True, "in-situ")


def test_times_are_no_findings(run, monkeypatch):
    def answer(source: str, **keywords: object) -> Report:
        report = convaudit.api.analyze(network(conv_layer("grouped", groups=2)))
        return Report.of(timed(report))

    monkeypatch.setattr(convaudit.api, "audit", answer)
    result = run("m.onnx", "--time", "--strict")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "no verdict" not in result.stdout
    several = run("m.onnx", "n.onnx", "--time").stdout
    assert "4.04 ms ±2%" in several
    assert several.count("groups promised 13.3x and realised 2.5x") == 2


def test_help_has_a_section_for_each_purpose(run):
    help_text = run("--help").stdout
    titles = ["Model:", "Verify:", "Run:", "Time:", "Options:", "Commands:"]
    assert re.findall(r"^[A-Z][\w, ]*:$", help_text, re.M)[: len(titles)] == titles
    time = help_text.partition("\nTime:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (--\S+)", time, re.M) == ["--time", "--time-budget", "--timings", "--twin-timings"]


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
    (["--verify", "--opt-level", "max"], "'max' is none of all, extended"),
    (["--time", "--time-budget", "0"], "'0' is not a time above 0; write a time such as 500ms"),
    (["--time", "--time-budget", "0ms"], "'0ms' is not a time above 0"),
    (["--time", "--time-budget", "-5s"], "'-5s' is not a number.*such as 500ms, 30s or 2min"),
    (["--time", "--time-budget", "long"], "'long' is not a number.*such as 500ms"),
    (["--timings", "."], "--timings.*'.' is a directory"),
    (["--timings", "a.json", "--twin-timings", "."], "--twin-timings.*'.' is a directory"),
]


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_options_that_do_not_go_together(run, asked, args, message):
    result = run("m.onnx", *args)
    assert result.exit_code == 2
    assert re.search(message, result.stderr)
    assert asked == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--columns", "bogus"], "unknown column 'bogus'", id="column"),
        pytest.param(["-f", "csv", "--columns", "bogus"], "unknown column 'bogus'", id="csv"),
        pytest.param(["--sort", "bogus"], "unknown sort key 'bogus'", id="sort"),
        pytest.param(["--only", "bogus"], "unknown kind 'bogus'", id="kind"),
        pytest.param(["-o", "nowhere/a.json"], "cannot write 'nowhere/a.json': ", id="folder"),
    ],
)
@pytest.mark.parametrize("measure", ["--time", "--verify"])
def test_nothing_is_measured_that_cannot_be_written(run, tmp_path, monkeypatch, measure, options, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("convaudit.api.audit", lambda *_, **__: pytest.fail("it was measured"))
    result = run(str(save_model(tmp_path / "model.onnx")), measure, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


BAD_TIMES = [
    (["--time-budget", "30s"], "--time-budget says how long --time may take; give both"),
    (["--columns", "name,time"], "--columns time shows what --time or --timings measures; give one of them"),
    (["--columns", "name,timing_seconds", "-f", "csv"], "--columns timing_seconds shows what --time or"),
    (["--sort", "realised"], "--sort realised shows what --time or --timings measures"),
    (
        ["--timings", "a.json", "--time-budget", "30s"],
        "--time-budget is for --time; --timings measures nothing",
    ),
    (
        ["--timings", "a.json", "--threads", "2"],
        "--threads says how to run a model; it needs --verify or --time",
    ),
    (["--twin-timings", "a.json"], "--twin-timings are compared with --timings; give both"),
    (["--timings", "a.json", "--time"], "--timings reads times, so that --time would measure nothing"),
]


@pytest.mark.parametrize(("args", "message"), BAD_TIMES, ids=[" ".join(args) for args, _ in BAD_TIMES])
def test_times_that_would_do_nothing(run, model, args, message):
    result = run(model, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(message, result.stderr)
    assert result.stderr.count("\n") == 1
