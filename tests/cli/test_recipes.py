"""What CONTRIBUTING.md promises: a new thing is one row of the table that it names.

A format is tried in test_formats.py, a column in tests/reporters/test_table.py, a kind of source in
tests/frontends/test_frontends.py.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace

import click
import onnx
import pytest
from click.testing import Result

import convaudit
from convaudit.cli.group import COMMANDS, Command
from convaudit.frontends.onnx.ops import CONV_OPS, ConvOp
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS, MultiplyingOp
from tests.programs import ROOT

Run = Callable[..., Result]
RECIPES = re.compile(r"^\| ([^|]+) \| `(\w+)` in `convaudit/([\w/]+)\.py` \|", re.M)
TABLES = [
    pytest.param(table, f"convaudit.{path.replace('/', '.').removesuffix('.__init__')}", id=thing)
    for thing, table, path in RECIPES.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("table", "module"), TABLES)
def test_a_recipe_names_a_table_that_there_is(table: str, module: str) -> None:
    assert getattr(importlib.import_module(module), table)


def test_there_is_a_recipe_for_each_extension() -> None:
    things = {str(parameter.id) for parameter in TABLES}
    for word in ("op of ONNX", "column", "format", "budget", "rule", "runtime", "kind of source", "command"):
        assert any(word in thing for thing in things), word


def test_a_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command(cls=Command)
    def hello() -> None:
        click.echo("hello")

    monkeypatch.setitem(sys.modules, "toy", SimpleNamespace(hello=hello))
    monkeypatch.setitem(COMMANDS, "hello", ("toy:hello", "Greet."))
    assert run("hello").stdout == "hello\n"
    assert re.search(r"^  hello +Greet\.$", run("--help").stdout, re.M)
    assert "did you mean 'hello'?" in run("helo").stderr


def renamed(model: str, op: str) -> str:
    """The model's one node as an op of the domain ``custom``."""
    proto = onnx.load(model)
    proto.graph.node[0].domain, proto.graph.node[0].op_type = "custom", op
    onnx.save(proto, model)
    return model


def test_a_convolution_op(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = convaudit.audit(model).layers[0]
    unknown = convaudit.audit(renamed(model, "OurConv"))
    assert (unknown.layers, unknown.totals.macs) == ((), None)
    monkeypatch.setitem(CONV_OPS, "custom.OurConv", ConvOp(stand_in="Conv"))
    (layer,) = convaudit.audit(model).layers
    assert (layer.op, layer.macs, layer.params) == ("custom.OurConv", expected.macs, expected.params)


def test_another_multiplying_op(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MULTIPLYING_OPS, "custom.OurProduct", MultiplyingOp("nobody has counted it yet"))
    (other,) = convaudit.audit(renamed(model, "OurProduct")).other_ops
    assert (other.op, other.macs, other.reason) == ("custom.OurProduct", None, "nobody has counted it yet")
