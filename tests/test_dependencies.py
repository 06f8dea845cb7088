"""What pyproject.toml declares: everything that is imported, each with the lowest version that was tested."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import tomllib
from packaging.requirements import Requirement

import convaudit
from tests import smoke

PACKAGE = Path(convaudit.__file__).parent
ROOT = PACKAGE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"google": "protobuf", "vl-convert": "vl-convert-python"}
"""What brings a package that is called otherwise."""


def normal(name: str) -> str:
    name = name.lower().replace("_", "-")
    return DISTRIBUTIONS.get(name, name)


def imported(source: str) -> Iterator[str]:
    """Top-level packages that a module imports, anywhere in it, but for convaudit's and Python's own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        packages = {name.partition(".")[0] for name in names}
        yield from packages - sys.stdlib_module_names - {"convaudit"}


def declared(*extras: str) -> set[str]:
    requirements = [*PROJECT["dependencies"]]
    for extra in extras:
        requirements += PROJECT["optional-dependencies"][extra]
    return {normal(Requirement(text).name) for text in requirements}


MODULES = [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("path", MODULES)
def test_what_is_imported_is_declared(path: Path) -> None:
    names = set(map(normal, imported(path.read_text(encoding="utf-8"))))
    assert names <= declared("torch", "timm", "html", "pandas")


def test_the_core_asks_for_nothing_that_it_does_not_import() -> None:
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert declared() <= {normal(name) for source in sources for name in imported(source)}


@pytest.mark.parametrize("source", ["import sympy", "from sympy.core import Add", "def f():\n import sympy"])
def test_imports_are_found(source: str) -> None:
    assert set(imported(source)) == {"sympy"}


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lowest", ROOT / ".ci" / "lowest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lowest_versions(script: ModuleType) -> None:
    pins = script.lowest(["b>=1.2", "a-b[x]>=3,<4; python_version >= '3'", "old>=2; python_version < '3'"])
    assert pins == ["b==1.2", "a-b==3"]
    assert {pin.partition("==")[0] for pin in script.lowest(PROJECT["dependencies"])} >= {"onnx", "numpy"}


@pytest.mark.parametrize("requirement", ["a", "a<2", "a==1"])
def test_a_dependency_without_a_lower_bound_is_refused(script: ModuleType, requirement: str) -> None:
    with pytest.raises(ValueError, match=r"needs one lower bound, such as a>=1\.0"):
        script.lowest([requirement])


@pytest.mark.parametrize("check", smoke.CHECKS, ids=lambda check: check.__name__)
def test_what_the_lowest_versions_have_to_do_the_newest_do(check: smoke.Check) -> None:
    check()
