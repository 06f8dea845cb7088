"""``-``: a model from standard input, by every command that takes one, and what is no model there."""

from __future__ import annotations

import io
import json
import os
import tempfile

import click
import pytest

from convaudit.cli import standard_input
from convaudit.cli.group import COMMANDS, load_command
from convaudit.cli.values import MODEL
from tests.cli.conftest import save_model
from tests.cli.test_lint import save_idle


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a model and its like without groups are, and, elsewhere, temporary files go."""
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.onnx")
    save_model(tmp_path / "dense.onnx", groups=1)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


READ = [
    pytest.param("-", 0, "<stdin> (onnx), input", id="audit"),
    pytest.param("audit -", 0, "<stdin> (onnx), input", id="by-name"),
    pytest.param("- m.onnx", 0, "\n<stdin>       1", id="several"),
    pytest.param("- --verify", 0, "1 layer: 1 within rounding", id="verified"),
    pytest.param("check - --max-macs 1G", 0, "<stdin>: 1 of 1 checks passed", id="check"),
    pytest.param("check - --max-macs 1", 1, "<stdin>: 1 of 1 checks failed", id="check-failed"),
    pytest.param("diff - m.onnx", 0, "--- <stdin> (onnx)\n+++ m.onnx", id="diff"),
    pytest.param("diff dense.onnx -", 1, "+++ <stdin> (onnx)", id="diff-second"),
    pytest.param("lint -", 1, "by convaudit lint - --fix -o smaller.onnx", id="lint"),
    pytest.param("lint - --fix -o smaller.onnx", 0, "smaller.onnx", id="fix"),
    pytest.param("twin - -o twin.onnx", 0, "twin.onnx", id="twin"),
    pytest.param("explain -", 0, "conv", id="explain"),
    pytest.param("sweep - --layer conv", 0, "conv of <stdin>", id="sweep"),
]


@pytest.mark.parametrize(("line", "code", "said"), READ)
def test_a_model_is_read(run, folder, line, code, said):
    if "lint" in line:
        save_idle(folder / "m.onnx")
    result = run(*line.split(), input=(folder / "m.onnx").read_bytes())
    assert (result.exit_code, result.stderr) == (code, "")
    assert said in result.stdout
    assert os.listdir(folder / "temporary") == []


@pytest.mark.parametrize("line", ["-f json -", "lint - -f json", "diff - m.onnx -f json"])
def test_programs_are_told_the_name(run, folder, line):
    text = run(*line.split(), input=(folder / "m.onnx").read_bytes()).stdout
    assert "<stdin>" in json.dumps(json.loads(text))
    assert "temporary" not in text


REFUSED = [
    pytest.param("-", b"", "<stdin>: standard input is empty; pipe a model into it", id="empty"),
    pytest.param("check - --max-macs 1", b"", "<stdin>: standard input is empty", id="check"),
    pytest.param("lint -", b"", "<stdin>: standard input is empty", id="lint"),
    pytest.param("-", b"nonsense", "<stdin>: not an ONNX model", id="nonsense"),
    pytest.param("-", b"PK\x03\x04" + bytes(9), "<stdin>: a zip archive, as torch writes them", id="torch"),
    pytest.param("diff - -", b"", "'-' is given twice, and standard input can be read once", id="twice"),
    pytest.param("-", bytes(100), "<stdin>: has more than 99 bytes", id="large"),
]


@pytest.mark.parametrize(("line", "given", "said"), REFUSED)
def test_what_is_no_model(run, folder, monkeypatch, line, given, said):
    monkeypatch.setattr(standard_input, "MOST_PIPED_BYTES", 99)
    if line == "diff - -":
        given = (folder / "m.onnx").read_bytes()[:90]
    result = run(*line.split(), input=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert os.listdir(folder / "temporary") == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Folder(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise IsADirectoryError(21, "Is a directory")


STREAMS = [
    pytest.param(Terminal(), "standard input is a terminal; pipe a model into it", id="terminal"),
    pytest.param(None, "standard input is closed", id="closed"),
    pytest.param(io.TextIOWrapper(Folder()), "cannot be read: Is a directory", id="folder"),
]


@pytest.mark.parametrize(("stream", "said"), STREAMS)
def test_no_pipe_at_all(folder, monkeypatch, stream, said):
    monkeypatch.setattr("sys.stdin", stream)
    context = click.Context(load_command("audit"))
    with context, pytest.raises(standard_input.UsageError, match=f"<stdin>: {said}"):
        MODEL.convert("-", None, context)
    assert os.listdir(folder / "temporary") == []


def test_every_command_with_a_model_reads_it():
    taking = {
        name: param.type
        for name in COMMANDS
        for param in load_command(name).params
        if isinstance(param, click.Argument) and "MODEL" in (param.metavar or "")
    }
    assert set(taking) >= {"audit", "check", "explain", "lint", "sweep", "twin"}
    assert {name for name, kind in taking.items() if kind is not MODEL} == set()
