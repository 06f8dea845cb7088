"""The runtimes: one module starts sessions, and all others ask for them by the protocol."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

import convaudit
from convaudit.errors import DependencyError, UsageError
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime, OnnxSession
from convaudit.frontends.onnx.runtime import (
    CPU,
    Placement,
    Settings,
    find_provider,
    runtimes,
    usable_threads,
)
from tests.frontends.onnx.verifier import cases

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


NAMES = ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"]


@pytest.mark.parametrize("name", NAMES)
def test_providers_go_by_short_and_by_full_names(name: str) -> None:
    assert find_provider(name) == (next(runtimes()), CPU)


@pytest.mark.parametrize("name", ["", "gpu", "ExecutionProvider", "CPU Execution Provider", "x" * 1000])
def test_a_provider_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    here = rf"onnxruntime {re.escape(onnxruntime.__version__)} has (.*, )?cpu(;|$)"
    with pytest.raises(
        UsageError, match=rf"provider '.* is not available; as installed here, {here}"
    ) as caught:
        find_provider(name)
    assert len(str(caught.value)) < 300


class LayerSource:
    """A session that tells where nodes are, as onnxruntime-openvino 1.24.1 did of a small network."""

    def __init__(self, model: bytes, options: Any, *, providers: list[Any], enable_fallback: int) -> None:
        self.started_with = (providers, options.intra_op_num_threads, enable_fallback)

    def get_providers(self) -> list[str]:
        return ["OpenVINOExecutionProvider", CPU]

    def get_provider_graph_assignment_info(self) -> list[SimpleNamespace]:
        def part(provider: str, *names: str) -> SimpleNamespace:
            return SimpleNamespace(
                ep_name=provider, get_nodes=lambda: [SimpleNamespace(name=n) for n in names]
            )

        return [
            part("OpenVINOExecutionProvider", "stem", "relu", "expand"),
            part("OpenVINOExecutionProvider", "alone"),
            part(CPU, "deformable"),
            part(CPU, "twice"),
            part(CPU, "twice"),
        ]


PLACEMENTS = [
    pytest.param("expand", Placement("OpenVINOExecutionProvider", 3), id="compiled-with-others"),
    pytest.param("alone", Placement("OpenVINOExecutionProvider"), id="compiled-alone"),
    pytest.param("deformable", Placement(CPU), id="handed-back"),
    pytest.param("twice", None, id="two-of-that-name"),
    pytest.param("inside a body", None, id="not-told"),
]


@pytest.mark.parametrize(("node", "placement"), PLACEMENTS)
def test_placements_are_those_that_the_session_tells(
    node: str, placement: Placement | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", LayerSource)
    session = OnnxSession(b"", Settings(provider="OpenVINOExecutionProvider"))
    assert session.placement(node) == placement


def test_threads_and_device_are_those_that_the_record_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", LayerSource)
    settings = Settings(provider="OpenVINOExecutionProvider", threads=3)
    session: Any = OnnxSession(b"", settings)
    options = {"device_type": "CPU", "num_of_threads": "3"}
    assert session._session.started_with == ([(settings.provider, options), (CPU, {})], 3, 0)
    assert settings.runtime.device(settings.provider) == "cpu"


@pytest.mark.parametrize(("threads", "spinning"), [(1, ""), (usable_threads() + 1, "0")])
def test_more_threads_than_processors_do_not_spin(
    threads: int, spinning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,024 of them on two processors took minutes to start."""
    seen = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model: bytes, options: Any, **more: Any) -> None:
            seen.append(options)
            super().__init__(model, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    OnnxSession(cases.plain().SerializeToString(), Settings(threads=threads))
    (options,) = seen
    key = "session.intra_op.allow_spinning"
    assert (options.get_session_config_entry(key) if spinning else "") == spinning
    assert options.intra_op_num_threads == threads


def test_an_onnxruntime_that_does_not_tell_placements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(LayerSource, "get_provider_graph_assignment_info")
    monkeypatch.setattr(onnxruntime, "InferenceSession", LayerSource)
    assert OnnxSession(b"", Settings(provider="OpenVINOExecutionProvider")).placement("stem") is None


def test_on_the_cpu_every_node_is_the_cpus() -> None:
    session = OnnxSession(cases.plain().SerializeToString(), Settings())
    assert session.placement("any") == Placement(CPU)


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
def test_a_provider_that_does_not_start_is_an_error(verify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CUDA's without its libraries: onnxruntime goes on with the CPU, and says so only in its log."""

    class Broken(onnxruntime.InferenceSession):
        def __init__(self, model: bytes, options: Any, *, providers: list[Any], enable_fallback: int) -> None:
            super().__init__(model, options, providers=providers[1:], enable_fallback=enable_fallback)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Broken)
    with pytest.raises(DependencyError, match=r"cannot start CUDAExecutionProvider.*another --provider$"):
        convaudit.audit(cases.plain(), verify=verify, provider="cuda")


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="not in this build"
)
def test_a_real_provider_that_takes_no_convolution() -> None:
    (layer,) = convaudit.audit(cases.plain(), verify=True, provider="azure").layers
    assert layer.verification is not None
    assert layer.verification.verified
    assert layer.verification.provider == CPU
    assert layer.verification.reason.endswith(
        " (AzureExecutionProvider handed it back to CPUExecutionProvider)"
    )
