"""What a verification ran on, so that another person can repeat it."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import convaudit
from convaudit.frontends.onnx import onnxruntime as onnxruntime_module
from convaudit.frontends.onnx.runtime import CPU, Placement
from convaudit.frontends.onnx.verifier.exposure import unvarying
from convaudit.records import RuntimeInfo
from convaudit.reporters.lines import verdicts
from tests.frontends.onnx.verifier import cases
from tests.frontends.onnx.verifier.runtimes import NPU, Folding, Watched, WithNpu

OPEN = cases.stored("g (float[N,4,H,H] x, float[6,4,3,3] w) => (float[n,c,h,l] y) { y = Conv(x, w) }", "w")
UNSHAPED = cases.plain()
UNSHAPED.graph.input[0].type.tensor_type.ClearField("shape")
GIVEN = {"x": np.ones((2, 4, 9, 9), np.float32)}
RUNS = [
    pytest.param(cases.plain(), {}, {}, id="in-situ"),
    pytest.param(cases.plain(), {"verify": "isolated", "seed": 5}, {"seed": 5}, id="isolated"),
    pytest.param(cases.plain(), {"optimization": "basic"}, {"optimization": "basic"}, id="optimization"),
    pytest.param(cases.plain(), {"threads": 1}, {"threads": 1}, id="threads"),
    pytest.param(cases.plain(), {"provider": "cpu"}, {}, id="provider"),
    pytest.param(OPEN, {}, {"input_shapes": {"x": (1, 4, 64, 64)}}, id="open-sizes"),
    pytest.param(
        OPEN, {"verify": "isolated"}, {"input_shapes": {"x": (1, 4, 64, 64)}}, id="open-sizes-isolated"
    ),
    pytest.param(OPEN, {"data": GIVEN}, {"seed": None, "input_shapes": {"x": (2, 4, 9, 9)}}, id="given"),
    pytest.param(
        UNSHAPED, {"data": GIVEN}, {"seed": None, "input_shapes": {"x": (2, 4, 9, 9)}}, id="no-shape-given"
    ),
    pytest.param(UNSHAPED, {"verify": "isolated"}, {"input_shapes": {"x": None}}, id="no-shape-isolated"),
    pytest.param(cases.plain(), {"memory_bytes": 1}, {"optimization": "disabled"}, id="weights-on-disk"),
]


@pytest.mark.parametrize(("source", "asked", "expected"), RUNS)
def test_onnxruntime(
    source: onnx.ModelProto, asked: dict[str, Any], expected: dict[str, Any], tmp_path: Path
):
    path = tmp_path / "m.onnx"
    onnx.save(copy.deepcopy(source), path, save_as_external_data=True, location="w", size_threshold=0)
    report = convaudit.audit(path, **{"verify": True, **asked})
    usual = {
        "name": "onnxruntime",
        "version": onnxruntime.__version__,
        "provider": "CPUExecutionProvider",
        "threads": len(os.sched_getaffinity(0)),
        "optimization": "all",
        "device": "cpu",
        "seed": 0,
        "input_shapes": {"x": (1, 4, 9, 9)},
    }
    assert report.runtime == RuntimeInfo(**{**usual, **expected})


TORCH_RUNS = [
    pytest.param(
        {"input_shape": (1, 4, 9, 9), "seed": 3, "threads": 1}, {"seed": 3, "threads": 1}, id="threads"
    ),
    pytest.param({"input_shape": (1, 4, 9, 9), "seed": 3}, {"seed": 3}, id="in-situ"),
    pytest.param({"input_shape": (1, 4, 9, 9), "verify": "isolated"}, {"seed": 0}, id="isolated"),
    pytest.param({"inputs": np.ones((1, 4, 9, 9), np.float32)}, {"seed": None}, id="inputs"),
    pytest.param(
        {"input_shape": (1, 4, 9, 9), "data": {"input": np.ones((1, 4, 9, 9), np.float32)}},
        {"seed": None},
        id="data",
    ),
]


@pytest.mark.parametrize(("asked", "expected"), TORCH_RUNS)
def test_torch(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    report = convaudit.audit(torch.nn.Conv2d(4, 6, 3), **{"verify": True, **asked})
    assert torch.get_num_threads() == before
    usual = {
        "name": "torch",
        "version": torch.__version__,
        "provider": None,
        "threads": torch.get_num_threads(),
        "optimization": None,
        "device": "cpu",
        "input_shapes": {"input": (1, 4, 9, 9)},
    }
    assert report.runtime == RuntimeInfo(**{**usual, **expected})


def test_the_threads_are_those_that_the_runtime_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model: bytes, options: onnxruntime.SessionOptions, **more: Any) -> None:
            opened.append(options.intra_op_num_threads)
            super().__init__(model, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    report = convaudit.audit(cases.plain(), verify=True)
    assert report.runtime is not None
    assert opened == [report.runtime.threads]


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
def test_layers_that_ran_otherwise_say_so(verify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_module, "RUNTIME", Watched(refused=("all",)))
    report = convaudit.audit(cases.plain(), verify=verify)
    assert report.runtime is not None
    assert report.runtime.optimization == "disabled"
    (layer,) = report.layers
    assert layer.verification is not None
    assert layer.verification.reason.endswith("(onnxruntime ran with optimization disabled, not all)")


PLACED = [
    pytest.param(
        {"stem": Placement(NPU), "head": Placement(CPU)},
        [(NPU, 1, ""), (CPU, 1, " (NpuExecutionProvider handed it back to CPUExecutionProvider)")],
        "; 1 of 2 layers handed back to CPUExecutionProvider",
        id="handed-back",
    ),
    pytest.param(
        {"stem": Placement(NPU, 5), "head": Placement(NPU, 5)},
        [(NPU, 5, " (one of 5 nodes that NpuExecutionProvider compiled into one)")] * 2,
        "; 2 of 2 layers compiled together with others",
        id="compiled",
    ),
    pytest.param(
        {"head": Placement(NPU)},
        [(None, None, " (simulated 1.0 does not tell whether NpuExecutionProvider ran it)"), (NPU, 1, "")],
        "; simulated does not tell what ran 1 of 2 layers",
        id="not-told",
    ),
]


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
@pytest.mark.parametrize(("placements", "told", "line"), PLACED)
def test_each_layer_says_what_ran_it(
    placements: Any, told: list[Any], line: str, verify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime_module, "RUNTIME", WithNpu(placements))
    source = cases.chain(2)
    source.graph.node[0].name, source.graph.node[-2].name = "stem", "head"
    report = convaudit.audit(source, verify=verify, provider="npu")
    assert [layer.name for layer in report.layers] == ["stem", "head"]
    for layer, (provider, nodes, note) in zip(report.layers, told, strict=True):
        verdict = layer.verification
        assert verdict is not None
        assert verdict.verified
        assert (verdict.provider, verdict.compiled_nodes) == (provider, nodes)
        assert verdict.reason.endswith(note or " of its rounding bound")
    assert report.runtime is not None
    assert report.runtime.provider == NPU
    assert f"NpuExecutionProvider, {report.runtime.threads} thread" in verdicts(report)[0]
    assert verdicts(report)[0].endswith(line)


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
@pytest.mark.parametrize(("folded", "accused"), [("b", False), ("y", True)], ids=["operand", "output"])
def test_a_provider_is_accused_of_its_outputs_alone(
    folded: str, accused: bool, verify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exporters share equal biases by Identity; what a provider hands out for these proves nothing."""
    monkeypatch.setattr(onnxruntime_module, "RUNTIME", Folding(folded))
    source = cases.stored(
        "g (float[1,4,9,9] x, float[6,4,3,3] w, float[6] b0) => (float[n,c,h,l] y) "
        "{ b = Identity(b0) y = Conv(x, w, b) }",
        *("w", "b0"),
    )
    (layer,) = convaudit.audit(source, verify=verify, provider="npu").layers
    assert layer.verification is not None
    assert (layer.verification.failed, layer.verification.verified) == (accused, not accused)


CHANCE = [
    pytest.param("b = Identity(b0)", {"b"}, id="stored"),
    pytest.param("a = RandomNormalLike(b0) b = Neg(a)", set(), id="chance"),
    pytest.param("a = Neg(b0) b = Add(a, x)", {"a"}, id="an-input"),
]


@pytest.mark.parametrize(("nodes", "constant"), CHANCE)
def test_what_a_graph_makes_of_constants(nodes: str, constant: set[str]) -> None:
    graph = cases.stored(f"g (float[6] x, float[6] b0) => (float[6] b) {{ {nodes} }}", "b0").graph
    assert unvarying(graph, {"x"}) == constant


def test_what_ran_is_one_line() -> None:
    report = convaudit.audit(cases.plain(), verify=True, seed=7)
    threads = len(os.sched_getaffinity(0))
    assert verdicts(report)[0] == (
        f"verified with onnxruntime {onnxruntime.__version__}, CPUExecutionProvider, "
        f"{threads} thread{'s' * (threads != 1)}, optimisation all, seed 7, input x 1x4x9x9"
    )
    given = convaudit.audit(cases.plain(), verify=True, data={"x": np.ones((1, 4, 9, 9), np.float32)})
    assert verdicts(given)[0].endswith("optimisation all, given inputs, input x 1x4x9x9")


@pytest.mark.parametrize("front_end", ["onnx", "torch"])
def test_values_of_inputs_belong_to_what_ran(front_end: str) -> None:
    source: Any = cases.plain()
    if front_end == "torch":
        torch = pytest.importorskip("torch")
        source = torch.export.export(torch.nn.Conv2d(4, 6, 3), (torch.ones(1, 4, 9, 9),))
    report = convaudit.audit(source, input_shape="0.5", verify=True)
    (name,) = report.to_dict()["runtime"]["input_shapes"]
    assert report.to_dict()["runtime"]["input_values"] == {name: 0.5}
    assert verdicts(report)[0].endswith(f"input {name} 1x4x9x9 of 0.5")


def test_nothing_ran_without_verification() -> None:
    report = convaudit.audit(cases.plain())
    assert report.runtime is None
    assert report.to_dict()["runtime"] is None
