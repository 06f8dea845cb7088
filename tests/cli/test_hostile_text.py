"""Text from a file commands no terminal, spreadsheet, browser or CI runner, in any command and format."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import convaudit
from convaudit.cli.group import cli
from convaudit.reporters.csv import render_audit as render_csv
from convaudit.reporters.text import markdown_text, printable
from tests.cli.conftest import save_model

HOSTILE = [
    "::error file=a,line=1::broken", "  ::stop-commands::x", "text ::warning::after a blank", "##[error]text",
    "text ##[group]x", "##vso[task.setvariable variable=PATH]x", "##teamcity[buildStatus]", "%0A::error::x",
    "line\n::error::second", "line\r::error::second", "line\u2028::error::x", "line\x85::error::x",
    "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "\u2066x\u2069", "\x00", "\x7f",
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1", '=HYPERLINK("http://e.vil")',
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![](http://e.vil)",
    "http://e.vil", "www.e.vil", "@everyone", "a|b", "`code", "&lt;", "]]>", "-->",
]  # fmt: skip


def hostile_model(path: Path) -> Path:
    """Every name, type, dimension, domain and text of it is one of the above."""
    nodes, weights, value = [], [], HOSTILE[0] + "x"
    for i, name in enumerate(HOSTILE):
        weight = numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), f"{name}{i}")
        output = f"{name}:{i}"
        nodes.append(helper.make_node("Conv", [value, weight.name], [output], name, doc_string=name))
        weights.append(weight)
        value = output
    for i, name in enumerate(HOSTILE):
        nodes.append(helper.make_node(name, [value], [f"{i}{name}"], name, domain="::error::domain"))
    nodes.append(helper.make_node("Conv", [f"0{HOSTILE[0]}", weights[0].name], ["last"], "##[error]unknown"))
    graph = helper.make_graph(
        nodes,
        HOSTILE[0],
        [helper.make_tensor_value_info(HOSTILE[0] + "x", TensorProto.FLOAT, ["::error::n", 4, 8, 8])],
        [helper.make_tensor_value_info("last", TensorProto.FLOAT, None)],
        weights,
        doc_string="::error::",
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("::error::domain", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="::error::")
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    hostile_model(folder / "hostile.onnx")
    hostile_model(folder / "::error file=b::c.onnx")
    save_model(folder / "##[error]plain.onnx")
    (folder / "::error::no model.onnx").write_bytes(b"::error::")
    (folder / "::error::x.pt").write_text("::error::")
    return folder


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), env=variables)


OWN = re.compile(
    r"::(?:error|warning|notice) (?:file=[^:,]*,)?title=[^:,]*::"
)  # of --github, whose whole point they are


def commands(text: str) -> Iterator[str]:
    """What a terminal or a runner would obey."""
    for line in (line.lstrip("\t") for line in text.split("\n")):  # JUnit's indentation
        if re.search(r"##\w*\[", line):
            yield line
        if line.lstrip().startswith("::") and not OWN.match(line):
            yield line
        if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in line):
            yield line


COMMANDS = [
    ["hostile.onnx"], ["hostile.onnx", "-f", "csv"], ["hostile.onnx", "-f", "json"],
    ["hostile.onnx", "-f", "markdown"], ["hostile.onnx", "--table-style", "html"],
    ["hostile.onnx", "--table-style", "github"], ["hostile.onnx", "--strict"],
    ["hostile.onnx", "--verify-isolated"], ["hostile.onnx", "--verify", "--dim", "::error::n=1"],
    ["hostile.onnx", "--dim", "::error::m=1"], ["hostile.onnx", "-i", "::error::m=1x4x8x8"],
    ["hostile.onnx", "--columns", "::error::"], ["hostile.onnx", "--only", "::error::"],
    ["::error file=b::c.onnx", "##[error]plain.onnx"],
    ["::error file=b::c.onnx", "##[error]plain.onnx", "-f", "csv"],
    ["::error file=b::c.onnx", "##[error]plain.onnx", "-f", "json"],
    ["::error file=b::c.onnx", "##[error]plain.onnx", "-f", "markdown"],
    ["::error::no model.onnx", "::error::missing.onnx", "::error::x.pt", "::error:x", "##[error]::error"],
    ["::error::no model.onnx", "--debug"],
    ["check", "hostile.onnx", "--max-params", "1", "--max-layer-params", "1", "--forbid", "pointwise"],
    ["check", "hostile.onnx", "::error file=b::c.onnx", "::error::x.pt", "--max-params", "1", "--github"],
    ["check", "hostile.onnx", "--max-macs", "1", "--require-verified", "--dim", "::error::n=1"],
    ["check", "hostile.onnx", "--max-params", "1", "-f", "junit"],
    ["check", "hostile.onnx", "--max-params", "1", "-f", "sarif"],
    ["check", "hostile.onnx", "::error::x.pt", "--max-params", "1", "-f", "markdown"],
    ["check", "hostile.onnx", "--baseline", "::error::base.json", "--write-baseline"],
    ["check", "hostile.onnx", "--config", "::error::.toml"], ["check", "--nonsense", "##[error]"],
    ["lint", "hostile.onnx", "::error file=b::c.onnx", "::error::x.pt"],
    ["lint", "hostile.onnx", "-f", "markdown"], ["lint", "hostile.onnx", "-f", "sarif"],
    ["lint", "hostile.onnx", "::error::x.pt", "-f", "github"],
    ["lint", "hostile.onnx", "--select", "::error::"],
    ["lint", "hostile.onnx", "--fix", "-o", "::error::y.onnx"],
    ["diff", "hostile.onnx", "##[error]plain.onnx"],
    ["diff", "##[error]plain.onnx", "hostile.onnx", "-f", "json"],
    ["diff", "::error file=b::c.onnx", "##[error]plain.onnx", "-f", "markdown"],
]  # fmt: skip


@pytest.mark.parametrize("columns", ["40", ""])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_reaches_a_terminal_or_a_runner(
    arguments: list[str], columns: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CONVAUDIT_DEBUG", "")  # which --debug sets, and which is to be undone
    done = run(*arguments, COLUMNS=columns)
    assert "internal error" not in done.stderr
    assert done.stdout or done.stderr
    assert list(commands(done.stdout)) == []
    assert list(commands(done.stderr)) == []


def test_that_test_can_fail() -> None:
    assert len(list(commands("::a\n  ::b\nc ##[d]\n\x1b[1m\nfine :: here"))) == 4


def test_no_cell_is_a_formula(folder: Path) -> None:
    rows = csv.reader(io.StringIO(render_csv(convaudit.audit(folder / "hostile.onnx"))))
    texts = [cell.strip() for row in rows for cell in row if not re.fullmatch(r"-?[\d.]+", cell)]
    assert any(text.startswith("'=1+1") for text in texts)
    assert [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\uff1d"))] == []


def test_json_is_exact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    document = json.loads(run("hostile.onnx", "-f", "json").stdout)
    assert [layer["name"] for layer in document["layers"]][: len(HOSTILE)] == HOSTILE


def test_a_notebook_shows_text(folder: Path) -> None:
    html = convaudit.audit(folder / "hostile.onnx")._repr_html_()
    assert "&lt;script&gt;" in html
    ours = r"</?(?:p|b|ul|li|table|thead|tbody|tfoot|tr|th|td|div|span|br|style)(?: class=\"[a-z ]+\")?>"
    assert re.findall(r"<(?=[/!a-z])[^>]*>", re.sub(ours, "", html)) == []


@pytest.mark.parametrize(
    "command",
    [["hostile.onnx", "-f", "markdown"], ["diff", "hostile.onnx", "##[error]plain.onnx", "-f", "markdown"]],
)
def test_markdown_holds_no_markup_link_or_mention(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text = run(*command).stdout
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert re.findall(r"(?<!\\)\]\(|(?<!\\)<[a-z!]|://|www\.|@\w", outside) == []


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("::a::b", "\\x3a:a::b"), ("a ::b", "a \\x3a:b"), ("a::b", "a::b"), ("##[a]", "##\\x5ba]"),
        ("##vso[a]", "##vso\\x5ba]"), ("# #[a]", "# #[a]"), ("a\n::b", "a\\n::b"), ("::", "\\x3a:"),
    ],
)  # fmt: skip
def test_printable(text: str, safe: str) -> None:
    assert printable(text) == safe
    assert printable(safe) == safe


def test_markdown_text_breaks_links_and_mentions() -> None:
    assert markdown_text("@all http://x www.y a@b") == "@&#8203;all http:&#8203;//x www&#8203;.y a@&#8203;b"


def test_no_message_is_as_long_as_its_file(tmp_path: Path) -> None:
    path = save_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node[0].attribute.append(helper.make_attribute("kernel_shape", [3] * 10_000))
    onnx.save(model, path)
    done = CliRunner().invoke(cli, ["check", str(path), "--max-params", "5M"])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert len(line) < 1100
    assert len(done.output) < 2400
