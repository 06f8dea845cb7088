"""What networks that the tests install carry for nothing: docs/lint.md publishes these figures."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

import convaudit
from tests.waste.oracle import session

OCR = Path(str(files("rapidocr_onnxruntime") / "models"))
VAD = Path(str(files("silero_vad") / "data"))
STFT = {("CA101", 2, 512), ("CA201", None, 256)}
PADDING = {("CA202", None, 4096), ("CA202", None, 16384)}
EIGHT_KHZ = {("CA101", 2, 256), ("CA201", None, 128)}

# the findings that save something for certain: rule, number of channels, parameters
SHIPPED = [
    pytest.param(OCR / "ch_PP-OCRv4_det_infer.onnx", set(), 1_171_336, id="ocr-detection"),
    pytest.param(OCR / "ch_ppocr_mobile_v2.0_cls_infer.onnx", set(), 123_672, id="ocr-orientation"),
    pytest.param(VAD / "silero_vad.onnx", STFT | EIGHT_KHZ, 281_090, id="vad"),
    pytest.param(VAD / "silero_vad_half.onnx", STFT, 177_537, id="vad-half"),
    pytest.param(VAD / "silero_vad_16k_op15.onnx", STFT, 177_537, id="vad-16k"),
    pytest.param(VAD / "silero_vad_16k_sequence.onnx", STFT | PADDING, 177_537, id="vad-sequence"),
    pytest.param(VAD / "silero_vad_openvino_16k.onnx", STFT | PADDING, 177_537, id="vad-openvino"),
    pytest.param(VAD / "silero_vad_op18_ifless.onnx", STFT | EIGHT_KHZ, 281_090, id="vad-ifless"),
]
DOCUMENT = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "expected", "params"), SHIPPED)
def test_what_is_found(path: Path, expected: set[tuple[str, int | None, int]], params: int) -> None:
    findings = convaudit.lint(path)
    found = {
        (one.rule, None if one.channels is None else len(one.channels), one.removable_params)
        for one in findings
        if one.certainty == "exact" and one.rule != "CA301"
    }
    assert found == expected
    assert findings.totals.params == params
    (row,) = (line for line in DOCUMENT.splitlines() if line.startswith(f"| {path.name} "))
    assert f"| {findings.totals.removable_params:,} of {params:,} " in row
    assert f"| {findings.totals.fixable_params:,} |" in row


def test_the_smaller_voice_detector() -> None:
    path = VAD / "silero_vad_16k_sequence.onnx"
    smaller = convaudit.fix(path)
    assert path.stat().st_size - smaller.ByteSize() > 20_480 * 4 - 200
    assert not any(finding.fixable for finding in convaudit.lint(smaller))


def test_unread_filters_of_the_recogniser() -> None:
    """Large random numbers in their place change no bit of the output; in the place of others they do."""
    path = OCR / "ch_PP-OCRv4_rec_infer.onnx"
    layers = {layer.name: layer for layer in convaudit.audit(path).layers}
    findings = convaudit.lint(path)
    unread = {one.layer: set(one.channels or ()) for one in findings if one.rule == "CA102"}
    assert {layer: len(channels) for layer, channels in unread.items()} == {
        "p2o.Conv.20": 1,
        "p2o.Conv.28": 14,
    }
    values = np.random.default_rng(0)
    x = {"x": values.standard_normal((1, 3, 48, 64)).astype(np.float32)}
    model = onnx.load(path)
    (honest,) = session(model).run(None, x)
    for layer, channels in unread.items():
        idle = [one.channels for one in findings if one.layer == layer and one.channels]
        others = set(range(layers[layer].out_channels)) - {channel for some in idle for channel in some}
        for filters, same in ((sorted(channels), True), (sorted(others)[:1], False)):
            (output,) = session(replaced(model, layers[layer].weight_name, filters, values)).run(None, x)
            assert np.array_equal(output, honest) is same, (layer, filters)


def replaced(model: ModelProto, name: str, filters: list[int], values: Any) -> ModelProto:
    """The model with other filters in a weight."""
    changed = ModelProto()
    changed.CopyFrom(model)
    tensors = [tensor for tensor in changed.graph.initializer if tensor.name == name]
    tensors += [node.attribute[0].t for node in changed.graph.node if name in node.output]
    (tensor,) = tensors
    weight = numpy_helper.to_array(tensor).copy()
    weight[filters] = values.standard_normal(weight[filters].shape) * 100
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    return changed
