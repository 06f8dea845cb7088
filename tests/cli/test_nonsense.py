"""Every option of every command with values that make no sense: one line and exit 2, or an honest audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from convaudit.cli.group import COMMANDS, cli
from tests.cli.conftest import save_model

NONSENSE = [
    *("", " ", "-1", "0", "0.5", "nan", "1e400", "9" * 40, "true", "null", "[]", "{}", "[1]", '""'),
    *("=", "=1", "x=", "x=y=1", "x=1x4x8x8:int63", "1x4x8x8:int8", "x=value:", "x=shape:1:2", "--", "%%"),
    *("\x1b[31m", "\udcff", "\N{SNOWMAN}", "a\nb", "x" * 5000, "../..", "/", "/dev/null", "*", "m.onnx"),
]
NEEDED = {
    "audit": ["m.onnx"],
    "check": ["m.onnx", "--max-macs", "1G"],
    "diff": ["m.onnx", "m.onnx"],
    "example": [],
    "explain": ["m.onnx", "--dim", "x=1"],
    "lint": ["m.onnx", "--dim", "x=1"],
    "sweep": ["m.onnx", "--layer", "conv", "--dim", "x=1", "--time-budget", "10ms"],
    "twin": ["m.onnx", "-o", "d.onnx"],
}
"""What each command needs to do anything."""


def options() -> list[object]:
    context = click.Context(cli)
    return [
        pytest.param(name, parameter, id=f"{name}{parameter.opts[-1]}")
        for name in COMMANDS
        for parameter in cli.get_command(context, name).params
        if isinstance(parameter, click.Option) and not parameter.is_flag
    ]


@pytest.mark.parametrize(("command", "option"), options())
def test_nonsense_is_refused_in_one_line(
    command: str,
    option: click.Option,
    run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.onnx", batch="x")
    needs = option.name in ("data", "seed", "memory", "opt_level") and command in ("audit", "check")
    needed = ["--verify"] if needs else []
    codes = set()
    for value in NONSENSE:
        given = [option.opts[-1], value]
        result = run(command, *NEEDED[command], *needed, *given)
        assert result.exception is None or isinstance(result.exception, SystemExit), (value, result.exc_info)
        assert "internal error" not in result.stderr, (value, result.stderr)
        assert result.exit_code in (0, 1, 2), value
        if result.exit_code == 2:
            assert result.stderr.startswith("error: "), value
            assert result.stderr.count("\n") == 1, (value, result.stderr)
            assert "\x1b" not in result.stderr
        codes.add(result.exit_code)
    assert 2 in codes
