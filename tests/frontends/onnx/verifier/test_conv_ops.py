"""Every row of the table of convolution ops can be verified, or says why not."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

import convaudit
import convaudit.frontends.onnx as onnx_room
from convaudit.frontends.onnx.ops import CONV_OPS, NEW_OPSET, NO_KERNEL, ConvOp
from convaudit.records import Verification
from tests.frontends.onnx.models import only_layer, walk

HONEST = {"exact", "within_rounding"}
SAID = {NO_KERNEL: "Could not find an implementation", NEW_OPSET: "Opset 27 is under development"}
"""How onnxruntime says why its CPU provider does not run an op."""


def one_node(name: str, op: ConvOp, *, stored: Sequence[str] = ()) -> ModelProto:
    """A model of one node of an op, its operands made from the row, and stored: all of them, or some."""
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
    tensors = [numpy_helper.from_array(np.asarray(arrays[role]), role) for role in op.roles if role != "x"]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8 if integer else TensorProto.FLOAT, x)],
        [helper.make_empty_tensor_value_info("y")],
        [tensor for tensor in tensors if not stored or tensor.name in stored],
    )
    graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in tensors
        if stored and tensor.name not in stored
    )
    version = 11 if domain == "com.ms.internal.nhwc" else 1
    newest = 27 if name == "CausalConvWithState" else 22
    opsets = [helper.make_opsetid("", newest), *([helper.make_opsetid(domain, version)] if domain else [])]
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
    op = CONV_OPS[name]
    found = verdict(one_node(name, op), verify)
    if op.not_supported is not None:
        assert (found.status, found.reason) == ("not_supported", op.not_supported)
    elif op.not_on_cpu is not None:
        assert found.status == "not_executed"
        assert SAID[op.not_on_cpu] in found.reason
    else:
        assert found.status in HONEST, found.reason


RUNNING = [name for name, op in CONV_OPS.items() if not (op.not_supported or op.not_on_cpu)]


@pytest.mark.parametrize("name", RUNNING)
def test_every_operand_can_be_made_up(name: str) -> None:
    """Alone, an op runs although the model computes all of its operands but the weight."""
    found = verdict(one_node(name, CONV_OPS[name], stored=["weight"]), "isolated")
    assert found.status in HONEST, found.reason
    assert ("made up here" in found.reason) == (len(CONV_OPS[name].roles) > 2)


@pytest.mark.parametrize("dilation", [1, 3])
def test_made_up_state_reaches_as_far_as_the_kernel(dilation: int) -> None:
    source = one_node("com.microsoft.CausalConvWithState", CONV_OPS["com.microsoft.CausalConvWithState"])
    (conv,) = source.graph.node
    conv.attribute.append(helper.make_attribute("dilation", dilation))
    (state,) = [tensor for tensor in source.graph.initializer if tensor.name == "past_state"]
    source.graph.initializer.remove(state)
    source.graph.input.append(helper.make_tensor_value_info("past_state", 1, [1, 4, 2 * dilation]))
    found = verdict(source, "isolated")
    assert found.status in HONEST, found.reason


@pytest.mark.parametrize("name", CONV_OPS)
def test_shape_rules_agree_with_the_walker(name: str) -> None:
    """What follows a convolution has as many elements as the walker says of its output."""
    source = one_node(name, CONV_OPS[name])
    sizes = [size for size in only_layer(source, allow_run=False).output_shape or () if isinstance(size, int)]
    source.graph.node.append(helper.make_node("MatMul", ["y", "m"], ["z"]))
    source.graph.input.append(helper.make_tensor_value_info("m", TensorProto.FLOAT, [sizes[-1], 1]))
    (product,) = walk(source, allow_run=False).other_ops
    assert product.macs == prod(sizes) >= 36


ROLES = {"input": "x", "w": "weight", "b": "bias", "z": "residual", "sum": "residual"}
"""Roles that onnxruntime's schemas call otherwise, by their names in lower case."""


@pytest.mark.parametrize("name", CONV_OPS)
def test_every_row_is_what_onnxruntime_declares(name: str) -> None:
    op = CONV_OPS[name]
    domain, _, op_type = name.rpartition(".")
    schemas = [item for item in get_all_operator_schema() if (item.domain, item.name) == (domain, op_type)]
    assert schemas, f"onnxruntime has no {name}: hold its row against what defines it, in a test of its own"
    for schema in schemas:
        declared = {ROLES.get(item.name.lower(), item.name.lower()): item for item in schema.inputs}
        assert (*declared,) == op.roles
        output = schema.outputs[0]
        if op.output_dtype in op.roles:
            assert output.typeStr == declared[op.output_dtype].typeStr
        else:
            assert output.types == {f"tensor({op.output_dtype})"}
        assert ("channels_last" in schema.attributes) == (op.layout_attribute == "channels_last")
        assert ("output_padding" in schema.attributes) == op.transposed
        assert ("group" in schema.attributes) != op.causal


def test_no_other_module_knows_an_op_by_its_name() -> None:
    """But the table of what onnx's own inference gets wrong."""
    names = {name.rpartition(".")[2] for name in CONV_OPS}
    naming = {
        path.name
        for path in Path(onnx_room.__file__).parent.rglob("*.py")
        for constant in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(constant, ast.Constant) and str(constant.value).rpartition(".")[2] in names
    }
    assert naming == {"ops.py", "misinferred.py"}


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
def test_a_row_is_all_that_an_op_needs(
    verify: Literal["in-situ", "isolated"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its row an op is unknown; a row that says only its operands has it counted and verified."""
    name = "com.microsoft.FusedConv"
    source = one_node(name, CONV_OPS[name])
    roles = CONV_OPS[name].roles
    monkeypatch.delitem(CONV_OPS, name)
    unknown = walk(source, allow_run=False)
    assert unknown.layers == ()
    assert unknown.other_ops[0].opaque
    monkeypatch.setitem(CONV_OPS, name, ConvOp(roles=roles))
    assert only_layer(source, allow_run=False).output_shape == (1, 4, 7, 7)
    assert verdict(source, verify).status in HONEST
