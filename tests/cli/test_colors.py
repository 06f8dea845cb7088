"""Colours: what of each table they mark, and where they belong."""

from __future__ import annotations

import pytest

from convaudit.cli.colors import painted
from tests.cli.conftest import save_model

BOLD, RED, GREEN, YELLOW, OFF = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
ALARM = RED + BOLD
MARKED = [
    pytest.param("audit", "layer\ntotal of 3", f"layer\n{BOLD}total of 3{OFF}", id="total"),
    pytest.param(
        "audit",
        "warning: long\n  line\nfine",
        f"{YELLOW}warning: long{OFF}\n{YELLOW}  line{OFF}\nfine",
        id="warning",
    ),
    pytest.param("audit", "mismatch: c: why", f"{ALARM}mismatch: c: why{OFF}", id="verdict"),
    pytest.param("models", "total of 3", f"{BOLD}total of 3{OFF}", id="models"),
    pytest.param("check", "  passed   max-macs", f"  {GREEN}passed{OFF}   max-macs", id="passed"),
    pytest.param("check", "  FAILED   max-macs", f"  {ALARM}FAILED{OFF}   max-macs", id="failed"),
    pytest.param("check", "  skipped  max-time", f"  {YELLOW}skipped{OFF}  max-time", id="skipped"),
    pytest.param(
        "check",
        "m: 1 of 2 checks failed",
        f"m: {ALARM}1 of 2 checks failed{OFF}",
        id="model-failed",
    ),
    pytest.param(
        "check",
        "2 models checked: all passed",
        f"{BOLD}2 models checked: all passed{OFF}",
        id="overall",
    ),
    pytest.param("check", "passed: 1\n  conv passed", "passed: 1\n  conv passed", id="no-verdict"),
    pytest.param(
        "diff",
        "--- a\n+++ b\n\n~ c: groups\n- d: e\n+ f: g\n  h\ntotal",
        f"{BOLD}--- a{OFF}\n{BOLD}+++ b{OFF}\n\n{YELLOW}~ c: groups{OFF}\n{RED}- d: e{OFF}\n"
        f"{GREEN}+ f: g\n  h{OFF}\ntotal",
        id="diff",
    ),
    pytest.param(
        "lint",
        "conv\n  CA204 latent\n  CA999 none\nremovable: 1",
        f"conv\n  {YELLOW}CA204{OFF} latent\n  CA999 none\n{BOLD}removable: 1{OFF}",
        id="lint",
    ),
]


@pytest.mark.parametrize(("document", "text", "marked"), MARKED)
def test_what_is_marked(document, text, marked):
    assert painted(document, text) == marked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.onnx")
    save_model(tmp_path / "dense.onnx", groups=1)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


COLORED = [
    pytest.param("m.onnx", f"{BOLD}total", id="audit"),
    pytest.param("m.onnx -o -", f"{BOLD}total", id="dash"),
    pytest.param("check m.onnx --max-macs 1", f"{ALARM}FAILED", id="check"),
    pytest.param("check m.onnx --max-macs 1G", f"{GREEN}passed", id="check-passed"),
    pytest.param("diff m.onnx dense.onnx", f"{YELLOW}~ conv", id="diff"),
    pytest.param("lint dense.onnx", f"{YELLOW}CA", id="lint"),
]


@pytest.mark.parametrize(("line", "shown"), COLORED)
def test_a_terminal_gets_colors(run, folder, monkeypatch, line, shown):
    words = line.split()
    assert shown in run(*words, color=True).stdout
    assert "\x1b" not in run(*words).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown in run(*words).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(*words, color=True).stdout


ENVIRONMENTS = [
    pytest.param({}, False, id="none"),
    pytest.param({"FORCE_COLOR": "1"}, True, id="forced"),
    pytest.param({"FORCE_COLOR": "0"}, True, id="forced-whatever-the-value"),
    pytest.param({"FORCE_COLOR": ""}, False, id="empty"),
    pytest.param({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, id="none-wins"),
    pytest.param({"FORCE_COLOR": "1", "NO_COLOR": ""}, True, id="empty-none"),
]


@pytest.mark.parametrize(("environment", "colored"), ENVIRONMENTS)
def test_the_environment_decides_for_results_and_errors(run, folder, monkeypatch, environment, colored):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b" in run("m.onnx").stdout) == colored
    for line in ("missing.onnx", "--nonsense", "check"):
        assert ("\x1b[31m" in run(*line.split()).stderr) == colored


@pytest.mark.parametrize("line", ["-f markdown", "-f csv", "-f json", "-o x.txt", "-o x.json"])
def test_programs_and_files_get_none(run, folder, monkeypatch, line):
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("m.onnx", *line.split(), color=True)
    assert result.exit_code == 0
    files = [path.read_text() for path in folder.glob("x.*")]
    assert files or result.stdout
    assert not any("\x1b" in text for text in (result.stdout, *files))


def test_a_dumb_terminal_gets_none(run, folder, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in run("m.onnx", color=True).stdout
