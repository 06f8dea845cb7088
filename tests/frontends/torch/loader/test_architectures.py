"""Architectures of libraries: without weights, without a network, at the size that timm says."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import pytest
from torch import nn

import convaudit
from convaudit.errors import DependencyError, LoadError
from convaudit.frontends.torch.loader.architectures import without_network
from convaudit.frontends.torch.loader.source import load_torch_source


def test_timm_says_its_own_size() -> None:
    report = convaudit.audit("timm:test_efficientnet")
    assert report.inputs[0].shape == (1, 3, 160, 160)
    assert "timm's own for it, 1x3x160x160" in report.warnings[0]
    assert report.totals.macs
    given = convaudit.audit("timm:test_efficientnet", input_shape=(1, 3, 64, 64), kwargs={"in_chans": 3})
    assert given.totals.model_params == report.totals.model_params
    assert not any("timm" in warning for warning in given.warnings)


def test_timm_in_formulas() -> None:
    named = convaudit.audit("timm:test_resnet", input_shape=("N", 3, "H", "W"))
    numbers = convaudit.audit("timm:test_resnet", input_shape=(1, 3, 96, 160))
    assert named.totals.macs.substitute({"N": 1, "H": 96, "W": 160}) == numbers.totals.macs  # type: ignore[union-attr]


def test_no_weights_take_memory() -> None:
    model = load_torch_source("timm:test_vit", weights=False)
    assert isinstance(model, nn.Module)
    assert all(parameter.is_meta for parameter in model.parameters())


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DependencyError, match=r"timm is not installed; pip install 'convaudit\[timm\]'"):
        load_torch_source("timm:resnet18")


def downloading(name: str) -> None:
    socket.create_connection((name, 443))


@pytest.mark.parametrize("name", ["127.0.0.1", "example.org"])
def test_no_connection_is_opened(name: str) -> None:
    with pytest.raises(LoadError, match="x: it would download something"), without_network("x"):
        downloading(name)


def test_a_library_that_downloads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(timm, "create_model", lambda **_kwargs: downloading("example.org"))
    with pytest.raises(LoadError, match="timm:resnet18: it would download"):
        load_torch_source("timm:resnet18")


def test_other_threads_keep_their_connections(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()
    errors: list[BaseException] = []

    def connect() -> None:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "s"))
        except BaseException as error:
            errors.append(error)

    before = vars(socket.socket).get("connect")
    with server, without_network("x"):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    assert not errors
    assert vars(socket.socket).get("connect") is before
