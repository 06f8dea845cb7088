"""The table of formats at the command line: what rows promise, what suffixes choose, how one is added."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from click.testing import Result

import convaudit.cli
from convaudit.reporters import FORMATS, Document, Format, View, formats_of
from tests.cli.conftest import save_model

Run = Callable[..., Result]
DOCUMENTS = get_args(Document)
COMMANDS = {name: import_module(f"convaudit.cli.{name}") for name in ("audit", "diff", "check")}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_function_for_each_document_that_it_promises(name: str) -> None:
    module = import_module(FORMATS[name].module)
    assert {document for document in DOCUMENTS if hasattr(module, f"render_{document}")} == set(
        FORMATS[name].documents
    )
    assert set(FORMATS[name].heeds) <= set(View.__dataclass_fields__)


def test_no_suffix_is_that_of_two_formats() -> None:
    suffixes = [suffix for form in FORMATS.values() for suffix in form.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)


CHOSEN = [
    pytest.param("out.json", [], "{", id="json"),
    pytest.param("OUT.JSON", [], "{", id="capitals"),
    pytest.param("out.csv", [], "name,op,", id="csv"),
    pytest.param("out.md", [], "### ", id="markdown"),
    pytest.param("out.txt", [], "model.onnx (onnx)", id="table"),
    pytest.param("out.log", [], "model.onnx (onnx)", id="log"),
    pytest.param("OUT.JSON", [], "{", id="capitals"),
    pytest.param("out.pdf", ["-f", "table"], "model.onnx (onnx)", id="a-suffix-of-none"),
    pytest.param("json", [], "model.onnx (onnx)", id="no-suffix"),
    pytest.param("out.csv", ["-f", "json"], "{", id="the-option-decides"),
]


@pytest.mark.parametrize(("output", "options", "start"), CHOSEN)
def test_the_suffix_chooses_the_format(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, options: list[str], start: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model.onnx")
    assert run("model.onnx", "-o", output, *options).exit_code == 0
    assert Path(output).read_text().startswith(start)


def test_the_suffix_chooses_for_several_models_and_a_difference(run: Run, model: str, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    assert run(model, model, "-o", str(output)).exit_code == 0
    assert [report["source"] for report in json.loads(output.read_text())] == [model, model]
    assert run("diff", model, model, "-o", str(output)).exit_code == 0
    assert json.loads(output.read_text())["equal"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["out.sarif"], "'out.sarif' is named as sarif, which is not written here", id="sarif"),
        pytest.param(["out.xml"], f"use --format {'|'.join(formats_of('audit'))}", id="junit"),
        pytest.param(["out.pdf"], "'out.pdf': no format is named .pdf; name the file .txt, .md", id="none"),
    ],
)
def test_a_suffix_of_another_documents_format_is_refused(
    run: Run, model: str, arguments: list[str], said: str
) -> None:
    result = run(model, "-o", *arguments)
    assert (result.exit_code, result.stdout, Path(arguments[0]).exists()) == (2, "", False)
    assert said in result.stderr
    choice = "|".join(formats_of("diff"))
    assert f"use --format {choice}" in run("diff", model, model, "-o", "out.csv").stderr


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that is added as any other is: a module, and a row. The commands are imported anew."""
    module = ModuleType("toy_format")
    module.render_audit = lambda report, view: f"toy audit of {report.totals.layers}, top {view.top}\n"  # type: ignore[attr-defined]
    module.render_models = lambda reports, view: f"toy of {len(reports)} models\n"  # type: ignore[attr-defined]
    module.render_diff = lambda difference, view: f"toy diff, equal {difference.equal}\n"  # type: ignore[attr-defined]
    module.render_check = lambda models, view: f"toy check, {len(models[0].failures)} failed\n"  # type: ignore[attr-defined]
    row = Format(module=module.__name__, documents=DOCUMENTS, about="toys", suffixes=(".toy",))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(FORMATS, "toy", row)
    for command, imported in COMMANDS.items():
        monkeypatch.setattr(convaudit.cli, command, imported)
        monkeypatch.delitem(sys.modules, imported.__name__)


@pytest.mark.usefixtures("toy")
def test_a_format_that_is_added_serves_every_command(run: Run, model: str, tmp_path: Path) -> None:
    assert run(model, "-f", "toy", "--top", "3").stdout == "toy audit of 1, top 3\n"
    assert run(model, model, "-f", "toy").stdout == "toy of 2 models\n"
    assert run("diff", model, model, "-f", "toy").stdout == "toy diff, equal True\n"
    output = tmp_path / "out.toy"
    assert run(model, "-o", str(output)).exit_code == 0
    assert output.read_text() == "toy audit of 1, top None\n"
    assert run("check", model, "--max-macs", "1", "--toy", str(output)).exit_code == 1
    assert output.read_text() == "toy check, 1 failed\n"
    with_columns = [name for name, form in formats_of("audit").items() if "columns" in form.heeds]
    assert (
        f"--columns is for --format {'|'.join(with_columns)}, not for toy"
        in run(model, "-f", "toy", "--columns", "name").stderr
    )


@pytest.mark.usefixtures("toy")
def test_help_offers_a_format_that_is_added(run: Run) -> None:
    for command in ("audit", "diff"):
        assert "|toy]" in run(command, "--help").stdout
    assert "Also write toys." in run("check", "--help").stdout


def test_help_offers_the_formats_of_its_document(run: Run) -> None:
    texts = [run(command, "--help").stdout for command in ("audit", "diff", "check")]
    assert f"[{'|'.join(formats_of('audit'))}]" in texts[0]
    assert f"[{'|'.join(formats_of('diff'))}]" in texts[1]
    assert not any("toys" in text for text in texts)
    assert all(f"--{name} FILE" in texts[2] for name in ("markdown", "junit", "sarif"))
    assert "--csv" not in texts[2]
    assert "--table" not in texts[2]
