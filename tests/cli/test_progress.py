"""The progress bar: as wide as the terminal that standard error is, on one line, of which nothing stays."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import click
import pytest

from convaudit.cli.errors import be_quiet
from convaudit.cli.group import cli
from convaudit.cli.progress import bar_line, progress_bar
from convaudit.reporters.text import display_width
from tests.cli.conftest import save_model

LABELS = [
    pytest.param("m.onnx", id="short"),
    pytest.param("some/folder/of/mine/with/many/models/model.onnx", id="long"),
    pytest.param("模型/畳み込みニューラルネットワーク.onnx", id="wide"),
    pytest.param("caf\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}.onnx", id="accent"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("TERM", raising=False)
    return terminal


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 80, 200])
@pytest.mark.parametrize("label", LABELS)
def test_a_line_fits(label: str, columns: int) -> None:
    for done in (0, 1, 999, 1000):
        for left in (None, 0, 86399):
            line = bar_line(label, done, 1000, "layers verified, then timed", left, columns)
            assert display_width(line) < max(columns, 2)
            assert columns < 20 or f"{done}/1000" in line


def test_what_fits_is_shown() -> None:
    label = "models/mine/model.onnx"
    lines = [bar_line(label, 4, 10, "layers timed", 75, columns) for columns in (20, 40, 80, 200)]
    assert lines == [
        "[####-------]  4/10",
        "model...onnx  [######-----------]  4/10",
        "models/mine/model.onnx  [#########--------------]  4/10 layers timed  1:15 left",
        "models/mine/model.onnx  [##############----------------------]  4/10 layers timed  1:15 left",
    ]


@pytest.mark.parametrize(
    ("text", "cells"), [("abc", 3), ("畳み", 4), ("e\N{COMBINING ACUTE ACCENT}", 1), ("Ａ", 2)]
)
def test_widths(text: str, cells: int) -> None:
    assert display_width(text) == cells


def test_the_line_is_drawn_over_itself_and_taken_away(monkeypatch):
    terminal = watched(monkeypatch)
    monkeypatch.setenv("COLUMNS", "60")
    with progress_bar("model\x1b.onnx") as progress:
        progress(1, 4)
        progress(4, 4)
    shown = terminal.getvalue()
    assert "\x1b" not in shown
    assert "\n" not in shown
    *lines, blank, end = shown.split("\r")[1:]
    assert ["model\\x1b" in line for line in lines] == [True, True]
    assert (blank.strip(), end) == ("", "")
    assert len(blank) >= max(map(len, lines))


def test_nothing_is_left_where_the_work_ends_early(monkeypatch):
    terminal = watched(monkeypatch)
    monkeypatch.setenv("COLUMNS", "9" * 5000)  # Python makes no number of it

    def interrupted():
        with progress_bar("model.onnx") as progress:
            progress(1, 4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.getvalue().endswith(" \r")


@pytest.mark.parametrize("where", ["pipe", "dumb", "quiet"])
def test_no_progress_where_nobody_watches(monkeypatch, where):
    terminal = watched(monkeypatch)
    if where == "pipe":
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    if where == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    with click.Context(cli) as context:
        if where == "quiet":
            be_quiet(context)
        with progress_bar("model.onnx") as progress:
            assert progress is None
    assert terminal.getvalue() == ""


def test_a_terminal_is_left_as_it_was(tmp_path):
    """In a real one of 20 columns, whose cursor must be there afterwards."""
    pty = pytest.importorskip("pty")
    own, its = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(its, (24, 20))
    program = [sys.executable, "-m", "convaudit", str(save_model(tmp_path / "模型.onnx")), "--verify"]
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(program, stdout=subprocess.DEVNULL, stderr=its, env=environment, check=False)
    os.close(its)
    shown = os.read(own, 10_000).decode()
    os.close(own)
    assert done.returncode == 0
    assert shown.startswith("\r[")
    assert "1/1" in shown
    assert shown.endswith(" \r")
    assert not {"\x1b", "\n"} & set(shown)
    assert max(map(len, shown.split("\r"))) < 20
