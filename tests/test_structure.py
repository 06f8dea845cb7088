"""The structure that README promises: imports point down, heavy packages load late, few public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convaudit
from tests.cli.conftest import save_model

ROOT = Path(convaudit.__file__).parent
LAYERS = (
    {"errors", "version"},
    {"arguments", "formulas"},
    {"growth"},
    {"units"},
    {"apart"},
    {"shapes"},
    {"records"},
    {"loaders", "walkers", "analyzer", "engine"},
    {"verifier"},
    {"subjects"},
    {"checks"},
    {"reporters"},
    {"report"},
    {"api"},
    {"testing"},
    {"cli"},
    {"__main__", "__init__"},
)
HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}
ALLOWED_SIBLINGS = {("walkers", "loaders")}  # walkers read loaders' native types


def part_of(path: Path) -> str:
    """``engine`` for convaudit/engine/conv.py, ``api`` for convaudit/api.py."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported_parts(source: str) -> Iterator[str]:
    """Parts of convaudit that a module imports, anywhere in it: at the top, in functions, for typing."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            modules = ["convaudit.<relative>"]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            if node.module == "convaudit":
                modules = [f"convaudit.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            package, _, rest = module.partition(".")
            if package == "convaudit":
                yield rest.split(".")[0] or "__init__"


def violations(part: str, source: str) -> list[str]:
    """Imports of ``source``, a module of ``part``, that do not point strictly down."""
    return [
        f"{part} imports {imported}"
        for imported in imported_parts(source)
        if imported != part
        and (part, imported) not in ALLOWED_SIBLINGS
        and HEIGHT.get(imported, len(LAYERS)) >= HEIGHT[part]
    ]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    assert violations(part_of(path), path.read_text(encoding="utf-8")) == []


UPWARD = [
    pytest.param("records", "from convaudit.analyzer import analyze", id="up"),
    pytest.param("shapes", "def f():\n    from convaudit.records import Network", id="in-a-function"),
    pytest.param("analyzer", "import convaudit.engine.conv", id="sibling"),
    pytest.param("loaders", "from convaudit.walkers.onnx import walk_onnx", id="loader-to-walker"),
    pytest.param("engine", "from ..records import Network", id="relative"),
    pytest.param("engine", "from convaudit import audit", id="through-the-package"),
    pytest.param("reporters", "if TYPE_CHECKING:\n    from convaudit.report import Report", id="for-typing"),
    pytest.param("api", "from convaudit.newcomer import thing", id="part-without-a-layer"),
]


@pytest.mark.parametrize(("part", "source"), UPWARD)
def test_the_import_test_can_fail(part, source):
    assert len(violations(part, source)) == 1


def test_walkers_may_import_loaders():
    assert violations("walkers", "from convaudit.loaders.onnx_file import OnnxModel") == []


def loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after ``code``."""
    script = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


HEAVY = {"torch", "torchvision", "onnx", "onnxruntime", "numpy", "pandas", "sympy", "jsonschema", "tabulate"}
LATE = [
    pytest.param("import convaudit", HEAVY | {"click"}, id="import"),
    pytest.param("from convaudit import Report, UsageError, Formula", HEAVY | {"click"}, id="names"),
    pytest.param(
        "import click.testing, convaudit.cli\n"
        "from convaudit.cli.group import cli\n"
        "assert click.testing.CliRunner().invoke(cli, ['--help']).exit_code == 0",
        HEAVY,
        id="help",
    ),
]


@pytest.mark.parametrize(("code", "absent"), LATE)
def test_heavy_packages_load_late(code, absent):
    assert loaded_by(code) & absent == set()


def test_an_onnx_audit_imports_only_what_it_needs(tmp_path):
    path = save_model(tmp_path / "model.onnx")
    loaded = loaded_by(f"import convaudit; print(convaudit.audit({str(path)!r}))")
    assert {"onnx", "tabulate"} <= loaded
    assert (
        loaded & {"torch", "torchvision", "onnxruntime", "pandas", "sympy", "jsonschema", "onnx_ir"} == set()
    )


def test_the_loading_test_can_fail():
    assert "numpy" in loaded_by("import numpy")


def test_public_names_are_exactly_those_listed():
    assert convaudit.__all__ == sorted(convaudit.__all__, key=str)
    assert dir(convaudit) == convaudit.__all__
    for name in convaudit.__all__:
        assert getattr(convaudit, name) is not None
    with pytest.raises(AttributeError, match="module 'convaudit' has no attribute 'audit_all'"):
        _ = convaudit.audit_all


def test_type_checkers_see_the_same_public_names():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(convaudit.__all__) <= imported
