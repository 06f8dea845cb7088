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
