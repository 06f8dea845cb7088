"""The runtimes: one module starts sessions, and all others ask for them by the protocol."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import convaudit
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime
from convaudit.frontends.onnx.runtime import CPU, Settings, runtimes

ROOT = Path(convaudit.__file__).parent


def imports(source: str, package: str) -> bool:
    """Whether a module imports a package, anywhere in it and by whatever statement or call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        else:
            continue
        if any(isinstance(name, str) and name.split(".")[0] == package for name in names):
            return True
    return False


def test_one_module_imports_onnxruntime() -> None:
    found = [path for path in ROOT.rglob("*.py") if imports(path.read_text(encoding="utf-8"), "onnxruntime")]
    assert [str(path.relative_to(ROOT)) for path in found] == ["frontends/onnx/onnxruntime.py"]


IMPORTS = [
    pytest.param("def f():\n    import onnxruntime as ort", id="in-a-function"),
    pytest.param("from onnxruntime import InferenceSession", id="a-name-of-it"),
    pytest.param("from onnxruntime.capi import onnxruntime_pybind11_state", id="a-part-of-it"),
    pytest.param("import_module('onnxruntime')", id="by-a-call"),
]


@pytest.mark.parametrize("source", IMPORTS)
def test_the_import_test_can_fail(source: str) -> None:
    assert imports(source, "onnxruntime")


def test_the_import_test_can_pass() -> None:
    assert not imports("from convaudit.frontends.onnx.onnxruntime import RUNTIME", "onnxruntime")


def test_the_default_is_onnxruntime_on_the_cpu() -> None:
    settings = Settings()
    assert isinstance(settings.runtime, OnnxRuntime)
    assert settings.runtime is next(runtimes())
    assert (settings.provider, settings.optimization, settings.profile) == (CPU, "all", None)
    assert CPU in settings.runtime.providers()
    assert settings.runtime.device(CPU) == "cpu"
