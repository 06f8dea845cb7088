"""The program as a process: streams, pipes, help."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from convaudit.cli.group import COMMANDS, cli
from tests.cli.conftest import save_model

PROGRAM = [sys.executable, "-m", "convaudit"]


def program(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *args], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_help_shows_options_commands_examples_and_exit_codes(run):
    text = run("--help").stdout
    for part in ("--input", "--verify", "--format", "Commands:", "Examples:", "Exit codes:", *COMMANDS):
        assert part in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run, command):
    text = run(command, "--help").stdout
    assert f"convaudit {command}" in text or command == "audit"
    assert "Examples:" in text


def test_every_option_has_help():
    context = click.Context(cli)
    for name in COMMANDS:
        for parameter in cli.get_command(context, name).params:
            assert isinstance(parameter, click.Argument) or parameter.help, f"{name} {parameter.name}"


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    path = save_model(tmp_path / "m.onnx")
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [*PROGRAM, str(path)], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert result.stderr == ""
    assert result.returncode == 141


def test_a_terminal_that_knows_no_unicode_still_gets_the_names(tmp_path):
    path = save_model(tmp_path / "m.onnx", name="畳み込み")
    result = program(str(path), PYTHONIOENCODING="cp1252")
    assert result.returncode == 0
    assert "\\u7573" in result.stdout


def test_the_width_follows_columns(tmp_path):
    path = save_model(tmp_path / "m.onnx", name="n" * 120)
    assert max(map(len, program(str(path), COLUMNS="80").stdout.splitlines()[2:5])) <= 80
    assert "n" * 120 in program(str(path), COLUMNS="").stdout
