"""Whatever convaudit reads has to be a file: a pipe, a device or a folder is refused, not waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from convaudit.cli.group import cli
from tests.cli.conftest import save_model


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def plug(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


USES = [
    pytest.param("x.onnx", ["x.onnx"], id="onnx"),
    pytest.param("x.onnxtxt", ["x.onnxtxt"], id="onnxtxt"),
    pytest.param("x.pt", ["x.pt"], id="pt"),
    pytest.param("x.pt2", ["x.pt2"], id="pt2"),
    pytest.param("x.npz", ["model.onnx", "--verify", "--data", "x.npz"], id="data"),
    pytest.param("x.toml", ["check", "model.onnx", "--config", "x.toml"], id="config"),
    pytest.param("pyproject.toml", ["check", "model.onnx"], id="found-config"),
    pytest.param("x.json", ["check", "model.onnx", "--baseline", "x.json"], id="baseline"),
]


HUGE = [
    use for use in USES if "x.onnx" not in use.values[1] and not {"x.pt", "x.pt2", "x.npz"} & {use.values[0]}
]


@pytest.mark.parametrize(("name", "arguments"), HUGE)
def test_no_text_of_any_size_is_read(
    name: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("convaudit.files._MOST_BYTES", 10_000)
    save_model(tmp_path / "model.onnx")
    Path(name).touch()
    os.truncate(name, 10_001)  # a hole: however large, it costs nothing to make
    done = CliRunner().invoke(cli, [*arguments, *(["--max-params", "5M"] if "check" in arguments else [])])
    assert done.exit_code == 2
    assert "has 10001 bytes; text is read up to 10000" in done.stderr


@pytest.mark.parametrize("make", [pipe, device, folder, plug])
@pytest.mark.parametrize(("name", "arguments"), USES)
def test_only_files_are_read(
    name: str,
    arguments: list[str],
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model.onnx")
    make(Path(name))
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "internal error" not in done.stderr
