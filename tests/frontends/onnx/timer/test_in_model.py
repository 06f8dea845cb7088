"""Convolutions timed in runs of their model: every event has a home, and the parts add up."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from onnx import ModelProto

from convaudit.errors import ExecutionError, UsageError
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx import onnxruntime
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime, OnnxSession
from convaudit.frontends.onnx.runtime import CPU, Placement, Settings
from convaudit.frontends.onnx.timer import in_model, profile, time_model
from convaudit.records.timing import Timed
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.verifier import cases
from tests.frontends.onnx.verifier.runtimes import NPU

QUICK = TimeRequest(budget_seconds=0.2, alone=False)
BLOCKED = """m (float[1, 32, 14, 14] x, float[32, 32, 3, 3] w1, float[32, 4, 3, 3] w2, float[32, 32, 1, 1] w3)
    => (float[1, 32, 14, 14] y) {
        [first] a = Conv<pads = [1, 1, 1, 1]>(x, w1)
        [first_relu] b = Relu(a)
        [grouped] c = Conv<pads = [1, 1, 1, 1], group = 8>(b, w2)
        [last] d = Conv(c, w3)
        [sum] e = Add(d, b)
        y = Relu(e)
    }"""
"""Where the blocked layout needs 8 channels a group, the second one has too few."""


def timed(text: str, settings: Settings | None = None) -> Timed:
    """Of weights that are drawn."""
    model = cases.stored(text, "w1", "w2", "w3")
    return time_model(walked(model), {}, settings or Settings(threads=1), QUICK)


MODELS = [
    pytest.param(cases.stored(BLOCKED, "w1", "w2", "w3"), id="blocked"),
    pytest.param(cases.if_model(), id="if"),
    pytest.param(cases.loop_model(20), id="loop"),
    pytest.param(cases.scan_model(), id="scan"),
    pytest.param(cases.nested_model(), id="nested"),
    pytest.param(cases.function_model(), id="functions"),
    pytest.param(cases.chain(30), id="chain"),
]


@pytest.mark.parametrize("model", MODELS)
def test_the_parts_add_up_to_the_runs(model: ModelProto) -> None:
    """What was counted twice, of a body and of the loop around it, would be more than the run."""
    found = time_model(walked(model), {}, Settings(threads=1), QUICK)
    for index, run in enumerate(found.runs):
        layers = sum(layer.in_model[index] for layer in found.layers if layer.in_model)
        assert layers + sum(part.seconds[index] for part in found.parts) == pytest.approx(run)


def test_a_profiler_that_slows_the_model_down_is_told() -> None:
    enough = replace(QUICK, budget_seconds=2.0)
    slow = time_model(walked(cases.loop_model(100)), {}, Settings(threads=1), enough)
    (line,) = slow.warnings
    assert re.search(r"onnxruntime's profiler slows a run down: .* with it, .* without; ", line)


def test_each_convolution_has_the_time_of_its_kernel_in_every_run() -> None:
    found = timed(BLOCKED)
    assert [len(layer.in_model) for layer in found.layers] == [len(found.runs)] * 3
    assert all(min(layer.in_model) > 0 and layer.reason is None for layer in found.layers)
    assert not [part for part in found.parts if part.kind == "unattributed"]


def test_reorders_belong_to_the_convolution_outside_of_the_blocked_layout() -> None:
    first, grouped, last = timed(BLOCKED).layers
    if first.kernel != "Conv (NCHWc)":
        pytest.skip("onnxruntime has no blocked layout on this machine")
    assert (grouped.reorders, last.reorders, grouped.kernel) == (2, 0, "Conv")
    assert all(0 < part < whole for part, whole in zip(grouped.reordering, grouped.in_model, strict=True))


def test_a_runtime_that_tells_no_times_is_refused() -> None:
    class Silent(OnnxRuntime):
        name = "silent"
        profiles = False

    with pytest.raises(UsageError, match=r"silent does not tell how long its kernels take"):
        timed(BLOCKED, replace(Settings(), runtime=Silent()))


def test_a_model_that_does_not_run_is_refused_with_the_reason() -> None:
    text = """m (float[1, 4, 8, 8] x, int64[2] s, float[4, 4, 3, 3] w1) => (float[N, C, H, W] y) {
        z = Conv(x, w1)
        y = Reshape(z, s)
    }"""
    with pytest.raises(ExecutionError, match=r"the model does not run: onnxruntime: .*--input or --data"):
        time_model(walked(cases.stored(text, "w1")), {}, Settings(threads=1), QUICK)


class Compiling(OnnxRuntime):
    """Its other provider compiles some nodes into one, and cannot write the graph that it runs."""

    def __init__(self, compiled: tuple[str, ...]) -> None:
        self._compiled = compiled

    def load(self, model: bytes, settings: Settings) -> OnnxSession:
        """As onnxruntime does."""
        if settings.optimized_model is not None:
            raise ExecutionError("it contains compiled nodes")
        session = OnnxSession(model, replace(settings, provider=CPU))
        place, end = Placement(NPU, len(self._compiled)), session.end_profiling
        session.placement = dict.fromkeys(self._compiled, place).get  # type: ignore[method-assign]

        def compiled() -> Path:
            path = end()
            events = json.loads(path.read_text())
            for event in events:
                if event["name"].removesuffix("_kernel_time") in self._compiled:
                    event["name"] = "NPU-subgraph_1_0_kernel_time"
                    event["args"] |= {"op_name": "NPU-subgraph_1", "provider": NPU}
            path.write_text("\n".join(json.dumps(event) for event in events))
            return path

        session.end_profiling = compiled  # type: ignore[method-assign]
        return session


def test_nodes_that_a_provider_compiled_into_one_cannot_be_told_apart() -> None:
    runtime = Compiling(("first", "grouped"))
    found = timed(BLOCKED, Settings(threads=1, runtime=runtime, provider=NPU, optimization="basic"))
    *compiled, last = found.layers
    for layer in compiled:
        assert layer.reason == (
            "it is one of 2 nodes that npu compiled into one: their times cannot be told apart"
        )
    assert last.in_model
    assert [part.name for part in found.parts if part.kind == "unattributed"] == ["NPU-subgraph_1_0"]


def test_the_model_is_also_run_without_the_profiler() -> None:
    found = timed(BLOCKED)
    assert len(found.plain) == len(found.runs)
    assert min(found.plain) > 0


def test_what_a_processor_spent_on_a_run_is_known_of_one_thread() -> None:
    found = timed(BLOCKED)
    assert len(found.busy) == len(found.plain)
    assert timed(BLOCKED, Settings(threads=2)).busy == ()


def test_runs_that_waited_for_a_processor_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_model, "process_time", lambda: 0.0)
    (warning,) = (line for line in timed(BLOCKED).warnings if "other work" in line)
    assert warning.startswith("other work kept the processor from the runs: of a run's ")
    assert warning.endswith(" it spent 0.00 ns on it; time it again while nothing else runs")


def test_weights_are_not_held_twice_beyond_the_memory_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(cases.stored(BLOCKED, "w1", "w2", "w3").SerializeToString())
    found = time_model(walked(path), {}, Settings(threads=1), replace(QUICK, memory_bytes=1000))
    assert found.plain == ()
    assert found.runs


def test_a_full_folder_for_what_is_temporary_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(profile.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UsageError, match=r"no room for the profile of a run: .* is full; .* set TMPDIR"):
        timed(BLOCKED)
    (tmp_path / "cut.json").write_text('[\n{"cat": "Node"},\n{"cat": "No', encoding="utf-8")
    with pytest.raises(ExecutionError, match=r"not written as a whole: .* is full"):
        list(profile.written_events(tmp_path / "cut.json"))


def test_no_copy_of_the_weights_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[int] = []
    read = in_model.onnx.load

    def look(path: Path, **options: object) -> object:
        written.extend(file.stat().st_size for file in path.parent.iterdir())
        return read(path, **options)

    monkeypatch.setattr(in_model.onnx, "load", look)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = (
        "m (float[1, 256, 4, 4] x, float[256, 256, 3, 3] w1) => (float[1, 256, 2, 2] y) { y = Conv(x, w1) }"
    )
    timed(text)
    assert 0 < len(written) <= 3
    assert sum(written) < 99 * 99 * 9 * 4
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_for_the_weights_kernels_are_told_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime, "_NOWHERE", "/nowhere/at/all")
    assert all(layer.in_model for layer in timed(BLOCKED).layers)
