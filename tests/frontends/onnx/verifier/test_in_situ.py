"""In-situ verification: what is captured is what the runtime computed, wherever the convolution is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from convaudit.errors import ExecutionError, LoadError, UsageError
from convaudit.feeds import random_array
from convaudit.frontends.onnx.onnxruntime import _refusal
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.verifier import in_situ, verify_in_situ, verify_isolated
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import Verification
from tests.frontends.onnx.models import model, walked
from tests.frontends.onnx.verifier import cases
from tests.frontends.onnx.verifier.runtimes import Watched

HONEST = {"exact", "within_rounding"}
TRUE, FALSE = np.array(True), np.array(False)


def verify(source: ModelProto | Path, **options: Any) -> list[Verification]:
    return list(verify_in_situ(walked(source), **options).verdicts)


def image(seed: int = 0, shape: Sequence[int] = (1, 4, 9, 9)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("source", cases.EVERY_FORM)
def test_every_form(source: ModelProto) -> None:
    (verdict,) = verify(source)
    empty = 0 in (source.graph.input[0].type.tensor_type.shape.dim[0].dim_value,)
    assert verdict.status in ({"vacuous"} if empty else HONEST), verdict.reason


@pytest.mark.parametrize("source", [param for param in cases.EVERY_FORM if "zero" not in str(param.id)])
def test_a_changed_weight_is_found(source: ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evidence is the runtime's: against another weight, the same output is a mismatch."""
    honest = in_situ.execution

    def changed(layer: Any, node: Any, values: Mapping[str, np.ndarray]) -> Any:
        weight = values["weight"].copy()
        first = weight[:1]
        first += np.asarray(64, weight.dtype) if weight.dtype.kind in "iu" else np.asarray(1, weight.dtype)
        return honest(layer, node, {**values, "weight": weight})

    monkeypatch.setattr(in_situ, "execution", changed)
    assert [verdict.status for verdict in verify(source)] == ["mismatch"]


def guessed(source: ModelProto, **changes: Any) -> Walked:
    """A model whose accounting is wrong about its first layer."""
    found = walked(source)
    first, *others = found.network.layers
    return replace(found, network=replace(found.network, layers=(replace(first, **changes), *others)))


GUESSED = [
    pytest.param(
        cases.plain(),
        {"input_shape": (8, 4, 9, 9), "output_shape": (8, 6, 7, 7)},
        r"claims input 8x4x9x9, output 8x6x7x7, 84,672 MACs, but input 1x4x9x9, output 1x6x7x7, 10,584 MACs",
        id="batch",
    ),
    pytest.param(
        cases.plain('<auto_pad="SAME_UPPER", strides=[2,2]>'),
        {"input_shape": (1, 4, 8, 8), "output_shape": (1, 6, 4, 4), "padding": ((0, 1), (0, 1))},
        r"claims input 1x4x8x8, output 1x6x4x4, 3,456 MACs, but input 1x4x9x9, output 1x6x5x5, 5,400 MACs",
        id="padding-that-depends-on-the-size",
    ),
    pytest.param(
        cases.plain('<auto_pad="SAME_LOWER", strides=[2,2], dilations=[2,2]>'),
        {"input_shape": (1, 4, 8, 8), "output_shape": (1, 6, 4, 4), "padding": ((2, 1), (2, 1))},
        r"claims input 1x4x8x8, but input 1x4x9x9 ran",
        id="padding-that-the-runtime-was-given",
    ),
    pytest.param(
        cases.plain("<strides=[2,2], output_shape=[18,17]>", w="4,3,3,3", op="ConvTranspose"),
        {"input_shape": (1, 4, 7, 9), "padding": ((0, 0), (1, 1))},
        r"claims input 1x4x7x9, 6,804 MACs, but input 1x4x9x9, 8,748 MACs ran",
        id="padding-that-depends-on-the-size-transposed",
    ),
    pytest.param(
        cases.plain(x="1,4,9,7"),
        {"input_shape": (1, 4, 7, 9), "output_shape": (1, 6, 5, 7)},
        r"claims input 1x4x7x9, output 1x6x5x7, but input 1x4x9x7, output 1x6x7x5 ran",
        id="the-same-macs",
    ),
]


@pytest.mark.parametrize(("source", "changes", "reason"), GUESSED)
def test_a_wrong_accounting_is_not_the_runtimes_fault(
    source: ModelProto, changes: dict[str, Any], reason: str
) -> None:
    (verdict,) = verify_in_situ(guessed(source, **changes)).verdicts
    assert verdict.status == "miscounted"
    assert re.match(f"the accounting {reason}", verdict.reason), verdict.reason
    assert "the values of that size are right (within rounding: " in verdict.reason


@pytest.mark.parametrize("verify", [verify_in_situ, verify_isolated], ids=["in-situ", "isolated"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_transposed_same_of_few_taps_ends_as_the_runtime_ends(verify: Any, dilation: int) -> None:
    """SAME of a kernel that is shorter than its stride: onnxruntime ends where the last tap does."""
    attributes = f'<auto_pad="SAME_UPPER", strides=[4,4], dilations=[{dilation},{dilation}]>'
    (verdict,) = verify(walked(cases.plain(attributes, w="4,4,2,2", op="ConvTranspose"))).verdicts
    assert verdict.status in HONEST, verdict.reason


def test_what_the_runtime_refuses_is_rewritten_in_the_layers_of_other_batches() -> None:
    dilated = '<auto_pad="SAME_UPPER", dilations=[2,2]>'
    source = cases.stored(
        "g (float[1,4,9,9] x, float[4,4,3,3] w) => (float[n,c,h,l] z)"
        f" {{ y = Conv {dilated} (x, w) z = Conv {dilated} (y, w) }}",
        "w",
    )
    assert {verdict.status for verdict in verify(source, memory_bytes=1)} <= HONEST


# --- bodies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("condition", "expected"), [(TRUE, [True, False]), (FALSE, [False, True])])
def test_branch_taken_and_not(condition: np.ndarray, expected: list[bool]) -> None:
    verdicts = verify(cases.if_model(), data={"c": condition, "x": image()})
    assert [verdict.status in HONEST for verdict in verdicts] == expected
    (skipped,) = [verdict for verdict in verdicts if verdict.status not in HONEST]
    assert skipped.status == "not_executed"
    assert "did not run on this input" in skipped.reason
    assert "_branch" in skipped.reason


def test_loop_gives_its_last_iteration() -> None:
    (verdict,) = verify(cases.loop_model())
    assert verdict.status in HONEST
    (verdict,) = verify(cases.loop_model(trips=0))
    assert verdict.status == "not_executed"


def test_loop_state_is_the_last_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(in_situ, "judge", lambda evidence, **_: seen.append(evidence) or PASSED)
    verify(cases.loop_model(trips=1), data={"x": image()})
    verify(cases.loop_model(trips=2), data={"x": image()})
    np.testing.assert_array_equal(seen[0].x, image())
    np.testing.assert_array_equal(seen[1].x, seen[0].output)


PASSED = Verification(status="exact", reason="stub")


def test_scan_and_nested_bodies() -> None:
    assert {verdict.status for verdict in verify(cases.scan_model())} <= HONEST
    (taken,) = verify(cases.nested_model(), data={"c": TRUE, "x": image()})
    assert taken.status in HONEST
    (skipped,) = verify(cases.nested_model(), data={"c": FALSE, "x": image()})
    assert skipped.status == "not_executed"


def test_a_dequantised_weight_in_a_body() -> None:
    """The accounting's type of it is the stored one's."""
    source = cases.stored(
        "g (bool c, float[1,4,9,9] x, int8[4,4,3,3] q) => (float[n,m,h,l] y) <float s = {0.01}> {"
        " y = If (c) <then_branch = t () => (float[n,m,h,l] a) {"
        "  w = DequantizeLinear(q, s) a = Conv(x, w) },"
        " else_branch = e () => (float[n,m,h,l] b) { b = Relu(x) }> }",
        "q",
    )
    (verdict,) = verify(source, data={"c": TRUE, "x": image()})
    assert verdict.status in HONEST, verdict.reason


def test_a_body_that_hands_out_nothing_is_not_a_model_that_does_not_run() -> None:
    """An If before opset 11 wants one shape of both arms."""
    source = cases.if_model()
    source.opset_import[0].version = 10
    verdicts = verify(source, data={"c": TRUE, "x": image()})
    assert {verdict.status for verdict in verdicts} == {"not_executed"}
    assert all("it cannot be observed in its body: onnxruntime: " in verdict.reason for verdict in verdicts)


def test_a_model_of_bodies_that_does_not_run() -> None:
    source = cases.if_model()
    (arm,) = [item.g for item in source.graph.node[0].attribute if item.name == "then_branch"]
    arm.node.append(onnx.helper.make_node("Unknown", ["a"], ["b"], domain="custom"))
    arm.output[0].name = "b"
    with pytest.raises(ExecutionError, match=r"the model does not run: onnxruntime: .*Unknown"):
        verify(source, data={"c": TRUE, "x": image()})


@pytest.mark.parametrize("level", ["ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_bodies_that_onnxruntime_optimised(level: str, tmp_path: Path) -> None:
    """It fuses into operators whose element types onnx does not infer."""
    import onnxruntime

    source = cases.stored(
        "g (bool c, float[1,4,9,9] x, float[4,4,3,3] w) => (float[n,m,h,l] y) {"
        " y = If (c) <then_branch = t () => (float[n,m,h,l] a) {"
        "  p = Conv(x, w) q = LeakyRelu(p) r = Conv(q, w) s = HardSigmoid(r) a = Conv(s, w) },"
        " else_branch = e () => (float[n,m,h,l] b) { b = Relu(x) }> }",
        "w",
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(source.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = walked(tmp_path / "optimised.onnx")
    assert [layer.op for layer in found.network.layers].count("com.microsoft.FusedConv") == 2
    verdicts = verify_in_situ(found, data={"c": TRUE, "x": image()}).verdicts
    assert {verdict.status for verdict in verdicts} <= HONEST, verdicts


def test_local_functions_and_branches_inside() -> None:
    verdicts = verify(cases.function_model(), data={"c": TRUE, "x": image()})
    assert len(verdicts) == 4
    assert {verdict.status for verdict in verdicts} <= HONEST
    verdicts = verify(cases.function_model(), data={"c": FALSE, "x": image()})
    assert [verdict.status in HONEST for verdict in verdicts] == [True, False, True, False]


def test_a_body_that_cannot_be_observed_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = cases.if_model()
    proto.graph.node.append(onnx.helper.make_node("Conv", ["x", "w"], ["z"], name="outside"))

    def refuse(*_: object) -> str:
        raise ExecutionError("no way out")

    monkeypatch.setattr(in_situ.Exposure, "_through_if", refuse)
    verdicts = verify(proto, data={"c": TRUE, "x": image()})
    assert [verdict.status in HONEST for verdict in verdicts] == [False, False, True]
    assert "it cannot be observed in its body: no way out" in verdicts[0].reason


# --- memory, weights, optimization ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory", "batches"),
    [(2**30, [11]), (47_400, [7, 4]), (11_850, [1, 2, 2, 2, 2, 2]), (1, [1, 2, 2, 2, 2, 2])],
    ids=["all-at-once", "two-batches", "one-by-one", "less-than-a-layer"],
)
def test_batches(memory: int, batches: list[int]) -> None:
    """Six layers; outputs per run are the layers' inputs and outputs, without the model's own input.

    These take 2592 bytes each, and may take 7 of 16 parts of the memory.
    """
    runtime = Watched()
    verdicts = verify(cases.chain(6), memory_bytes=memory, settings=Settings(runtime=runtime))
    assert {verdict.status for verdict in verdicts} <= HONEST
    assert len(verdicts) == 6
    assert [len(proto.graph.output) for proto, _ in runtime.loaded] == batches


def test_weights_beyond_memory_are_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "wide.onnx"
    onnx.save(cases.plain(x="1,64,9,9", w="64,64,3,3"), path)
    runtime = Watched()
    (verdict,) = verify(path, memory_bytes=64 * 64 * 9 * 4 - 1, settings=Settings(runtime=runtime))
    ((_, settings),) = runtime.loaded
    assert settings == Settings(runtime=runtime, optimization="disabled", copy_weights=False)
    assert verdict.status in HONEST
    assert verdict.reason.endswith("(onnxruntime ran with optimization disabled, not all)")


def test_a_layer_too_large_for_a_second_layout_runs_without_one() -> None:
    runtime = Watched()
    verdicts = verify(cases.chain(2), memory_bytes=10_000, settings=Settings(runtime=runtime))
    assert runtime.optimizations == ["extended", "extended"]
    assert {verdict.status for verdict in verdicts} <= HONEST
    assert all("optimization extended, not all" in verdict.reason for verdict in verdicts)
    runtime.loaded.clear()
    disabled = Settings(runtime=runtime, optimization="disabled")
    verify(cases.chain(2), memory_bytes=10_000, settings=disabled)
    assert runtime.optimizations == ["disabled", "disabled"]


def test_only_what_a_layer_needs_is_run() -> None:
    runtime = Watched()
    verify(cases.chain(3), memory_bytes=1, settings=Settings(runtime=runtime))
    sizes = [(len(proto.graph.node), len(proto.graph.initializer)) for proto, _ in runtime.loaded]
    assert sizes == [(1, 1), (3, 2), (5, 3)]


@pytest.mark.parametrize("names", [("", "Conv_0", "last"), ("same", "same", "same")], ids=["made", "given"])
def test_a_name_that_another_node_has(names: tuple[str, ...]) -> None:
    """onnxruntime refuses two nodes of one name, which converters write; the copy that runs has none."""
    source = model(
        "g (float[1,4,9,9] x) => (float[1,4,9,9] z)"
        "{ y = Conv<pads = [1, 1, 1, 1]>(x, w) t = Relu(y) z = Conv<pads = [1, 1, 1, 1]>(t, w) }"
    )
    source.graph.initializer.append(numpy_helper.from_array(image(1, (4, 4, 3, 3)), "w"))
    for node, name in zip(source.graph.node, names, strict=True):
        node.name = name
    assert [verdict.status in HONEST for verdict in verify(source)] == [True, True]


def test_initializers_that_are_inputs_too() -> None:
    """As before IR version 4; what a batch does not need is neither stored nor asked for."""
    proto = cases.chain(3)
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert {verdict.status for verdict in verify(proto, memory_bytes=1)} <= HONEST


def test_optimization_level_and_its_fallback() -> None:
    runtime = Watched()
    verify(cases.plain(), settings=Settings(runtime=runtime, optimization="basic"))
    assert runtime.optimizations == ["basic"]
    refusing = Watched(refused=("all",))
    (verdict,) = verify(cases.plain(), settings=Settings(runtime=refusing))
    assert refusing.optimizations == ["all", "disabled"]
    assert verdict.status in HONEST
    assert "onnxruntime ran with optimization disabled, not all" in verdict.reason


@pytest.mark.parametrize("how", ["embedded", "external", "linked", "float_data", "int32_data", "json"])
def test_weights_are_mapped_from_wherever_they_are(tmp_path: Path, how: str) -> None:
    proto = cases.plain(x="1,32,9,9", w="64,32,3,3")
    (weight,) = proto.graph.initializer
    values = numpy_helper.to_array(weight)
    path = tmp_path / ("m.json" if how == "json" else "m.onnx")
    if how == "float_data":
        weight.CopyFrom(onnx.helper.make_tensor("w", TensorProto.FLOAT, values.shape, values.ravel()))
    if how == "int32_data":
        proto = cases.stored(
            "g (uint8[1,32,9,9] x, int8[64,32,3,3] w) => (int32[n,c,h,l] y) { y = ConvInteger(x, w) }", "w"
        )
        (weight,) = proto.graph.initializer
        values = numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.helper.make_tensor("w", TensorProto.INT8, values.shape, values.ravel()))
    onnx.save(proto, path, save_as_external_data=how == "external", location="w.bin", size_threshold=0)
    if how == "linked":
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "link.onnx").symlink_to(path)
        path = tmp_path / "folder" / "link.onnx"
    (verdict,) = verify(path)
    assert verdict.status in HONEST, verdict.reason


def test_missing_weights_are_a_load_error(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(cases.plain(x="1,32,9,9", w="64,32,3,3"), path, save_as_external_data=True, location="w.bin")
    (tmp_path / "w.bin").unlink()
    with pytest.raises(LoadError, match=r"tensor 'w': cannot be opened: No such file"):
        verify(path)


# --- input ----------------------------------------------------------------------------------------------


def test_seed_decides_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(in_situ, "judge", lambda evidence, **_: seen.append(evidence.x) or PASSED)
    for seed in (0, 0, 1):
        verify(cases.plain(), seed=seed)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_data_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(in_situ, "judge", lambda evidence, **_: seen.append(evidence.x) or PASSED)
    np.savez(tmp_path / "data.npz", x=image(7).astype(np.float64))
    verify(cases.plain(), data=tmp_path / "data.npz")
    np.testing.assert_array_equal(seen[0], image(7))


def test_a_text_is_made_up_as_a_whole_number() -> None:
    source = cases.stored(
        """g (float[1,4,9,9] x, string[2] text, float[6,4,3,3] w) => (float[n,c,h,l] y, string[2] z) {
            y = Conv(x, w) z = Identity(text)
        }""",
        "w",
    )
    (_, text) = walked(source).network.inputs
    assert random_array(np.random.default_rng(0), (2,), text.dtype).tolist() == ["1", "1"]
    (verdict,) = verify(source)
    assert verdict.status in HONEST


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param({}, "data are needed for the inputs x, got none", id="none"),
        pytest.param({"x": image(), "q": image()}, "inputs x, got q, x", id="more"),
        pytest.param(
            {"x": image(shape=(1, 4, 9, 8))}, "audited as 1x4x9x9, its data are 1x4x9x8", id="shape"
        ),
        pytest.param({"x": image(shape=(4, 9, 9))}, "audited as 1x4x9x9, its data are 4x9x9", id="rank"),
        pytest.param({"x": np.array("text")}, "input 'x' is float32, its data are <U4", id="dtype"),
    ],
)
def test_data_that_do_not_fit(data: Mapping[str, np.ndarray], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        verify(cases.plain(), data=data)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"PK\x03\x04nonsense"], ids=["empty", "nonsense", "broken-zip"]
)
def test_unreadable_data_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"data\.npz: not a readable \.npz file(?!.*unsafely)"):
        verify(cases.plain(), data=path)


def test_single_array_file(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", image())
    with pytest.raises(UsageError, match="one array without a name"):
        verify(cases.plain(), data=tmp_path / "data.npy")


def test_open_dimensions_are_filled_and_counted() -> None:
    source = cases.stored(
        "g (float[N,4,H,H] x, float[6,4,3,3] w) => (float[n,c,h,l] y) { y = Conv(x, w) }", "w"
    )
    (verdict,) = verify(source)
    assert verdict.executed_macs == 6 * 62 * 62 * 4 * 9
    (verdict,) = verify(source, data={"x": image(shape=(2, 4, 9, 9))})
    assert verdict.executed_macs == 2 * 6 * 7 * 7 * 4 * 9


def test_input_without_a_shape() -> None:
    proto = cases.plain()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(UsageError, match="input 'x' has the shape \\?: too little for random input"):
        verify(proto)
    assert {verdict.status for verdict in verify(proto, data={"x": image()})} <= HONEST


# --- refusals -------------------------------------------------------------------------------------------


def test_model_that_the_runtime_refuses() -> None:
    source = cases.stored(
        "g (double[1,4,9,9] x, double[6,4,3,3] w) => (double[n,c,h,l] y) { y = Conv(x, w) }", "w"
    )
    with pytest.raises(
        ExecutionError, match=r"the model does not run: onnxruntime: .*--verify-isolated"
    ) as caught:
        verify(source)
    assert "\n" not in str(caught.value)


def test_messages_of_the_runtime_have_no_cpp_address() -> None:
    refused = RuntimeError(
        "[ONNXRuntimeError] : 1 : FAIL : /src/model_load.h:46 void onnxruntime::Check(const map<a, b>&, int) "
        "Only opset 26 is supported.\nmore"
    )
    assert str(_refusal(refused)) == "onnxruntime: Only opset 26 is supported."
    wrapped = RuntimeError(
        "[ONNXRuntimeError] : 2 : INVALID : While running If. Status Message: Pad is too large"
    )
    assert str(_refusal(wrapped)) == "onnxruntime: Pad is too large"
    member = RuntimeError(
        "/src/conv.cc:52 virtual Status onnxruntime::Conv::Compute(Context*) const Is1D(w) was false."
    )
    assert str(_refusal(member)) == "onnxruntime: Is1D(w) was false."


def test_a_run_that_only_an_optimised_kernel_refuses() -> None:
    (verdict,) = verify(cases.plain(x="1,0,9,9", w="6,0,3,3"))
    assert verdict.status == "vacuous"
    assert "onnxruntime ran with optimization disabled, not all" in verdict.reason


def test_reordered_weights_are_never_verified() -> None:
    proto = cases.plain(x="1,16,9,9", w="16,16,3,3")
    proto.graph.node[0].domain = "com.microsoft.nchwc"
    proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft.nchwc", 1))
    (verdict,) = verify(proto)
    assert verdict.status == "not_supported"


def test_no_layers_no_runs() -> None:
    runtime = Watched()
    found = walked(cases.plain())
    found = replace(found, network=replace(found.network, layers=()))
    assert verify_in_situ(found, settings=Settings(runtime=runtime)).verdicts == ()
    assert runtime.loaded == []
