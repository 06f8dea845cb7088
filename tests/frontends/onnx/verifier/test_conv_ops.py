"""Every row of the table of convolution ops can be verified, or says why not."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import convaudit
from convaudit.frontends.onnx.ops import CONV_OPS, ConvOp
from convaudit.records import Verification
from tests.frontends.onnx.verifier import cases

HONEST = {"exact", "within_rounding"}
NO_KERNEL = "onnxruntime: (Could not find an implementation for|.*is not a registered function/op)"
REFUSED = {
    "CausalConvWithState": "ai.onnx.*opset 27|Opset 27",
    "com.microsoft.NhwcConv": NO_KERNEL,
    "com.microsoft.NhwcFusedConv": NO_KERNEL,  # but in float16, on some machines
    "com.microsoft.nchwc.Conv": "its weight is reordered for one machine",
    "com.ms.internal.nhwc.Conv": NO_KERNEL,
    "com.ms.internal.nhwc.ConvTranspose": NO_KERNEL,
    "com.ms.internal.nhwc.QLinearConv": NO_KERNEL,
    "com.ms.internal.nhwc.QLinearConvTranspose": NO_KERNEL,
}
"""What onnxruntime does not run on this CPU, and how that is said."""


def one_node(name: str, op: ConvOp) -> ModelProto:
    """A model of one node of an op, its operands made from the row."""
    generator = np.random.default_rng(0)
    rank = 1 if op.causal else 2
    sizes = (9,) * rank
    x = (1, *sizes, 4) if op.layout == "channels_last" else (1, 4, *sizes)
    kernel = (3,) * rank
    out = (7,) * rank
    y = (1, *out, 4) if op.layout == "channels_last" else (1, 4, *out)
    integer = op.quantized
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "weight": generator.standard_normal((4, 1 if op.causal else 4, *kernel)).astype(np.float32),
        "bias": generator.standard_normal(4).astype(np.float32),
        "offset": generator.standard_normal((1, 18, *out)).astype(np.float32),
        "mask": generator.random((1, 9, *out)).astype(np.float32),
        "pads": np.array([1, 0, 0, 2], np.int64),
        "past_state": generator.standard_normal((1, 4, 2)).astype(np.float32),
        "residual": generator.standard_normal(y).astype(np.float32),
        "x_scale": np.float32(0.02),
        "w_scale": np.float32(0.03),
        "y_scale": np.float32(0.2),
        "x_zero_point": np.uint8(120),
        "w_zero_point": np.int8(3),
        "y_zero_point": np.uint8(128),
    }
    if integer:
        arrays["weight"] = generator.integers(-90, 90, (4, 4, *kernel)).astype(np.int8)
        arrays["bias"] = generator.integers(-900, 900, 4).astype(np.int32)
    domain, _, op_type = name.rpartition(".")
    outputs = ["y", "state"] if op.causal else ["y"]
    node = helper.make_node(op_type, op.roles, outputs, "conv", domain=domain)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8 if integer else TensorProto.FLOAT, x)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(arrays[role]), role) for role in op.roles if role != "x"],
    )
    newest = 27 if name == "CausalConvWithState" else 22
    opsets = [helper.make_opsetid("", newest), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def verdict(source: ModelProto, verify: Literal["in-situ", "isolated"]) -> Verification:
    """The verdict on the only layer; a model that does not run is a layer that was not executed."""
    try:
        (layer,) = convaudit.audit(source, verify=verify).layers
    except convaudit.ExecutionError as error:
        return Verification(status="not_executed", reason=str(error))
    assert layer.verification is not None
    return layer.verification


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
@pytest.mark.parametrize("name", CONV_OPS)
def test_every_op(name: str, verify: Literal["in-situ", "isolated"]) -> None:
    found = verdict(one_node(name, CONV_OPS[name]), verify)
    if name in REFUSED:
        assert found.status in {"not_executed", "not_supported"}
        assert re.search(REFUSED[name], found.reason), found.reason
    else:
        assert found.status in HONEST, found.reason


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
def test_a_new_row_is_all_that_an_op_needs(
    verify: Literal["in-situ", "isolated"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FusedConv under another name runs nowhere, which is what verifying it says."""
    monkeypatch.setitem(CONV_OPS, "com.microsoft.NewConv", ConvOp())
    source = cases.plain()
    source.graph.node[0].op_type, source.graph.node[0].domain = "NewConv", "com.microsoft"
    source.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = verdict(source, verify)
    assert found.status == "not_executed"
    assert "NewConv" in found.reason
