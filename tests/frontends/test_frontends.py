"""The seam for front ends: a new one is a module and a row, and serves the API, checks and the program."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import convaudit
from convaudit import frontends
from convaudit.cli.group import cli
from convaudit.errors import UsageError
from convaudit.frontends import (
    FRONTENDS,
    Frontend,
    Request,
    VerifyRequest,
    front_ends,
    names_code,
    open_model,
)
from convaudit.records import Network, Verification, Verified
from tests.networks import RUNTIME, conv_layer, network


@dataclass(frozen=True)
class Toy:
    """A model of as many convolutions as its name says."""

    network: Network

    def verify(self, how: VerifyRequest) -> Verified:
        """Right in every layer."""
        verdicts = [Verification(status="exact", reason="a toy") for _ in self.network.layers]
        return Verified(verdicts=tuple(verdicts), runtime=RUNTIME)


class ToyFrontend:
    """Opens ``toy/NUMBER``."""

    accepted = ("a toy",)

    def accepts(self, source: object) -> bool:
        return isinstance(source, str) and source.startswith("toy/")

    def names_code(self, source: str) -> bool:
        return self.accepts(source)

    def providers(self) -> tuple[str, ...]:
        return ()

    def open(self, source: Any, request: Request) -> Toy:
        number = int(source.removeprefix("toy/"))
        return Toy(network(*(conv_layer(name=f"conv{i}") for i in range(number))))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Frontend:
    frontend = ToyFrontend()
    monkeypatch.setattr(frontends, "FRONTENDS", ("toy", *FRONTENDS))
    monkeypatch.setitem(sys.modules, "toy", SimpleNamespace(FRONTEND=frontend))
    return frontend


@pytest.mark.usefixtures("toy")
def test_a_row_serves_the_api_checks_and_the_program() -> None:
    report = convaudit.audit("toy/3", verify=True)
    assert [layer.name for layer in report.layers] == ["conv0", "conv1", "conv2"]
    assert {layer.verification.status for layer in report.layers if layer.verification} == {"exact"}
    assert not convaudit.check("toy/3", convaudit.Budgets(max_params="1M"))
    assert not convaudit.diff("toy/2", "toy/3").equal
    run = CliRunner().invoke(cli, ["toy/2", "--verify", "-f", "json"])
    assert run.exit_code == 0, run.output
    assert len(json.loads(run.stdout)["layers"]) == 2


@pytest.mark.usefixtures("toy")
def test_a_new_front_end_is_named_where_a_source_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"cannot audit an object of type int; pass a path, .*'torchvision:NAME'.* or a toy$"
    ):
        open_model(3, Request())


CODE = [
    pytest.param("package.module:factory", True, id="factory"),
    pytest.param("torchvision:resnet50", True, id="torchvision"),
    pytest.param("model.onnx", False, id="onnx"),
    pytest.param("model.pt2", False, id="torch-file"),
    pytest.param("nets/*.onnx", False, id="pattern"),
]


@pytest.mark.parametrize(("source", "expected"), CODE)
def test_names_code(source: str, expected: bool) -> None:
    assert names_code(source) is expected


def test_every_row_of_the_table_is_a_front_end() -> None:
    for frontend in front_ends():
        assert frontend.accepted
        assert not frontend.accepts(object())
