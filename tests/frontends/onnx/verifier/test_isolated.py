"""Isolated verification: every layer alone, with the weights that the model gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from convaudit.errors import LoadError
from convaudit.frontends.onnx.verifier import isolated, verify_isolated
from convaudit.records import Verification
from tests.frontends.onnx.models import model, walked
from tests.frontends.onnx.verifier import cases

HONEST = {"exact", "within_rounding"}


def verify(source: ModelProto | Path, **options: Any) -> list[Verification]:
    return list(verify_isolated(walked(source), **options).verdicts)


@pytest.mark.parametrize("source", [param for param in cases.EVERY_FORM if "zero" not in str(param.id)])
def test_every_form(source: ModelProto) -> None:
    (verdict,) = verify(source)
    assert verdict.status in HONEST, verdict.reason


@pytest.mark.parametrize(
    ("source", "layers"),
    [
        pytest.param(cases.if_model(), 2, id="both-branches"),
        pytest.param(cases.loop_model(), 1, id="loop"),
        pytest.param(cases.loop_model(trips=0), 1, id="loop-that-never-runs"),
        pytest.param(cases.scan_model(), 1, id="scan"),
        pytest.param(cases.nested_model(), 1, id="nested"),
        pytest.param(cases.function_model(), 4, id="functions"),
        pytest.param(cases.chain(6), 6, id="chain"),
    ],
)
def test_every_place(source: ModelProto, layers: int) -> None:
    verdicts = verify(source)
    assert len(verdicts) == layers
    assert {verdict.status for verdict in verdicts} <= HONEST


def test_weights_are_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are calculated from stored ones."""
    seen = []

    def record(evidence: Any, **_: Any) -> Verification:
        seen.append(evidence.weight)
        return Verification(status="exact", reason="stub")

    monkeypatch.setattr(isolated, "judge", record)
    source = cases.stored(
        "g (float[1,4,9,9] x, int8[6,4,3,3] q) => (float[n,c,h,l] y) <float s = {0.5}, int8 z = {3}>"
        " { w = DequantizeLinear(q, s, z) y = Conv(x, w) }",
        "q",
    )
    verify(source)
    stored = onnx.numpy_helper.to_array(source.graph.initializer[-1]).astype(np.float32)
    np.testing.assert_array_equal(seen[0], (stored - 3) * 0.5)


MADE_UP = [
    pytest.param(
        cases.stored(
            "g (float[1,4,9,9] f, int8[6,4,3,3] w, int8 z) => (int32[n,c,h,l] y) {"
            " x, s, zp = DynamicQuantizeLinear(f) y = ConvInteger <pads=[1,1,1,1]> (x, w, zp, z) }",
            "w",
        ),
        "x zero point, w zero point",
        id="integer",
    ),
    pytest.param(
        cases.stored(
            "g (float[1,4,9,9] f, int8[6,4,3,3] w, float ws, float ys, int8 wz, uint8 yz)"
            " => (uint8[n,c,h,l] y) { x, s, zp = DynamicQuantizeLinear(f) a = Abs(ws)"
            " y = QLinearConv <pads=[1,1,1,1]> (x, s, zp, w, a, wz, ys, yz) }",
            "w",
        ),
        "x scale, x zero point, w scale, w zero point, y scale, y zero point",
        id="quantised",
    ),
    pytest.param(
        model("g (float[1,4,9,9] x, float[6,4,3,3] w) => (float[n,c,h,l] y) { v = Neg(w) y = Conv(x, v) }"),
        "weight",
        id="weight",
    ),
]


@pytest.mark.parametrize(("source", "made_up"), MADE_UP)
def test_what_a_run_would_compute_is_made_up_and_named(source: ModelProto, made_up: str) -> None:
    (verdict,) = verify(source)
    assert verdict.status in HONEST, verdict.reason
    assert verdict.reason.endswith(f" (computed at run time, so made up here: {made_up})")


def test_layer_of_a_model_that_does_not_run_as_a_whole() -> None:
    proto = cases.plain()
    proto.graph.node.append(onnx.helper.make_node("Unknown", ["y"], ["z"], domain="custom"))
    (verdict,) = verify(proto)
    assert verdict.status in HONEST


def test_layer_that_the_runtime_refuses_does_not_stop_the_others() -> None:
    source = cases.stored(
        "g (double[1,4,9,9] x, double[6,4,3,3] w, float[6,6,1,1] v) => (float[n,c,h,l] z)"
        " { y = Conv(x, w) f = Cast <to=1> (y) z = Conv(f, v) }",
        *("w", "v"),
    )
    refused, fine = verify(source)
    assert refused.status == "not_executed"
    assert refused.reason.startswith("onnxruntime: ")
    assert fine.status in HONEST


def test_unknown_input_shape() -> None:
    proto = cases.plain()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    (verdict,) = verify(proto)
    assert verdict.status == "not_executed"
    assert "the shape of its x is not known" in verdict.reason


def test_missing_weights_are_a_load_error(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(cases.plain(x="1,32,9,9", w="64,32,3,3"), path, save_as_external_data=True, location="w.bin")
    (tmp_path / "w.bin").unlink()
    with pytest.raises(LoadError, match=r"tensor 'w': cannot be opened: No such file"):
        verify(path)


def test_a_name_that_an_operands_node_has() -> None:
    source = model(
        "g (float[1,4,9,9] x) => (float[1,4,7,7] y) <float[4,4,3,3] w = {"
        + ", ".join(map(str, range(144)))
        + "}> { u = Identity(w) y = Conv(x, u) }"
    )
    source.graph.node[0].name = "Conv_1"  # as the convolution without a name is listed
    (verdict,) = verify_isolated(walked(source)).verdicts
    assert verdict.verified, verdict.reason
