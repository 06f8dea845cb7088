"""Where the weight comes from: everything that semantics.md lists under "finding the weight"."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import convaudit
from convaudit.analyzer import analyze
from tests.frontends.onnx.models import model, only_layer, walk

INPUT = "float[1,2,9] x"
OUTPUT = "float[n,c,l] y"
SHAPE = (4, 2, 3)
ZEROS = "{" + ",".join(["0"] * 24) + "}"


def behind(nodes: str, initializers: str = "") -> ModelProto:
    """A convolution whose weight ``w`` the given nodes make; zeros in all stored tensors."""
    return model(f"g ({INPUT}) => ({OUTPUT}) <{initializers}> {{ {nodes} y = Conv(x, w) }}")


W = f"float[4,2,3] s = {ZEROS}"

# what makes the weight, the initializers, the stored tensor's name and its element type
STORED = [
    pytest.param(f"w = Constant<value = float[4,2,3] {ZEROS}>()", "", "w", "float32", id="constant-tensor"),
    pytest.param("w = Identity(s)", W, "s", "float32", id="identity"),
    pytest.param("w = Cast<to=1>(s)", f"float16[4,2,3] s = {ZEROS}", "s", "float16", id="cast"),
    pytest.param(
        "w = Transpose<perm=[2,1,0]>(s)", f"float[3,2,4] s = {ZEROS}", "s", "float32", id="transpose"
    ),
    pytest.param(
        "w = Unsqueeze(s, a)", f"float[4,2,3] s = {ZEROS}, int64[0] a = {{}}", "s", "float32", id="unsqueeze"
    ),
    pytest.param(
        "w = Reshape(s, a)", f"float[24] s = {ZEROS}, int64[3] a = {{4,2,3}}", "s", "float32", id="reshape"
    ),
    pytest.param(
        "w = Squeeze(s, a)", f"float[1,4,2,3] s = {ZEROS}, int64[1] a = {{0}}", "s", "float32", id="squeeze"
    ),
    pytest.param("a = Identity(s) b = Cast<to=10>(a) w = Cast<to=1>(b)", W, "s", "float32", id="chain"),
    pytest.param(
        "w = DequantizeLinear(s, a)",
        f"int8[4,2,3] s = {ZEROS}, float a = {{1}}",
        "s",
        "int8",
        id="dequantize-int8",
    ),
    pytest.param(
        "w = DequantizeLinear(s, a, z)",
        f"uint8[4,2,3] s = {ZEROS}, float a = {{1}}, uint8 z = {{128}}",
        "s",
        "uint8",
        id="dequantize-uint8",
    ),
    pytest.param(
        "w = com.microsoft.DequantizeLinear(s, a)",
        f"int8[4,2,3] s = {ZEROS}, float a = {{1}}",
        "s",
        "int8",
        id="dequantize-microsoft",
    ),
    pytest.param(
        "q = QuantizeLinear(s, a) w = DequantizeLinear(q, a)",
        f"{W}, float a = {{1}}",
        "s",
        "float32",
        id="quantisation-aware-training",
    ),
    pytest.param("w = ConstantOfShape(a)", "int64[3] a = {4,2,3}", "w", "float32", id="constant-of-shape"),
]


@pytest.mark.parametrize(("nodes", "initializers", "name", "dtype"), STORED)
def test_stored(nodes: str, initializers: str, name: str, dtype: str) -> None:
    network = walk(behind(nodes, initializers))
    (layer,) = network.layers
    assert (layer.weight_name, layer.weight_dtype, layer.weight_shape) == (name, dtype, SHAPE)
    assert layer.dtype == "float32"
    assert network.model_params == 24
    assert analyze(network).totals.params == 24


QUANTIZED_AT_RUN_TIME = f"""g (uint8[1,2,9] x, uint8 zero) => (int32[n,c,l] y) <{W}> {{
    w, scale, of_weight = DynamicQuantizeLinear(s)
    y = ConvInteger(x, w, zero, of_weight)
}}"""


def test_a_weight_that_is_quantised_at_run_time_is_stored() -> None:
    network = walk(QUANTIZED_AT_RUN_TIME)
    assert (network.layers[0].weight_name, network.layers[0].weight_shape) == ("s", SHAPE)
    assert network.model_params == 24
    assert analyze(network).totals.params == 24


@pytest.mark.parametrize("verify", ["in-situ", "isolated"])
def test_a_weight_that_is_quantised_at_run_time_can_be_verified(
    verify: Literal["in-situ", "isolated"],
) -> None:
    source = model(QUANTIZED_AT_RUN_TIME)
    source.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.random.default_rng(0).random(SHAPE, np.float32), "s")
    )
    report = convaudit.audit(source, verify=verify)
    assert [layer.verification.status for layer in report.layers if layer.verification] == ["exact"]


def test_its_scale_is_not_stored() -> None:
    layer = only_layer(
        f"g (float[1,1,9] x) => (float[n,c,l] y) <{W}, int64[3] a = {{1,1,1}}>"
        " { q, scale, zero = DynamicQuantizeLinear(s) w = Reshape(scale, a) y = Conv(x, w) }"
    )
    assert layer.weight_name is None


@pytest.mark.parametrize(
    ("data_type", "dtype"),
    [
        (TensorProto.INT4, "int4"),
        (TensorProto.UINT4, "uint4"),
        (TensorProto.FLOAT8E4M3FN, "float8_e4m3fn"),
        (TensorProto.FLOAT8E5M2, "float8_e5m2"),
    ],
    ids=["int4", "uint4", "float8e4m3fn", "float8e5m2"],
)
def test_narrow_weight_behind_dequantize(data_type: int, dtype: str) -> None:
    source = behind("w = DequantizeLinear(s, a)", "float a = {1}")
    source.graph.initializer.append(helper.make_tensor("s", data_type, SHAPE, [0] * 24))
    layer = only_layer(source)
    assert (layer.weight_name, layer.weight_dtype, layer.weight_shape) == ("s", dtype, SHAPE)


@pytest.mark.parametrize("form", ["value_floats", "value_float"])
def test_constant_of_numbers(form: str) -> None:
    value = "[" + ",".join(["0.5"] * 24) + "]" if form == "value_floats" else "0.5"
    shape = "int64[3] a = {4,2,3}" if form == "value_floats" else "int64[3] a = {1,2,3}"
    # a single number is spread by Expand: then the weight is not stored
    spread = "Reshape" if form == "value_floats" else "Expand"
    layer = only_layer(behind(f"s = Constant<{form} = {value}>() w = {spread}(s, a)", shape))
    assert layer.weight_shape == ((4, 2, 3) if form == "value_floats" else (1, 2, 3))
    assert layer.weight_name == ("s" if form == "value_floats" else None)


def test_sparse_constant() -> None:
    values = numpy_helper.from_array(np.ones(5, np.float32))
    indices = numpy_helper.from_array(np.arange(5, dtype=np.int64))
    sparse = helper.make_sparse_tensor(values, indices, SHAPE)
    source = behind("w = Identity(s)")
    source.graph.node.insert(0, helper.make_node("Constant", [], ["s"], sparse_value=sparse))
    layer = only_layer(source)
    assert (layer.weight_name, layer.weight_shape) == ("s", SHAPE)
    assert layer.stored_params == 5


def test_sparse_bias() -> None:
    """What the convolutions hold is never more than what the model does."""
    source = model(
        f"g (float[1,2,5] x) => (float[n,c,l] y) <float[4,2,3] w = {{{','.join(['1'] * 24)}}}>"
        " { y = Conv(x, w, b) }"
    )
    values = helper.make_tensor("b", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    source.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    report = analyze(walk(source))
    assert report.layers[0].params == 28
    assert report.totals.params == report.totals.model_params == 25


def test_sparse_initializer() -> None:
    values = numpy_helper.from_array(np.ones(5, np.float32), "w")
    indices = numpy_helper.from_array(np.arange(5, dtype=np.int64), "w_indices")
    source = behind("")
    source.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, SHAPE))
    network = walk(source)
    (layer,) = network.layers
    assert (layer.weight_name, layer.weight_shape, layer.weight_dtype) == ("w", SHAPE, "float32")
    assert layer.stored_params == network.model_params == 5


def test_initializer_that_is_an_input_too() -> None:
    # as every model before IR version 4 has it
    source = model(
        f"g ({INPUT}, float[4,2,3] w) => ({OUTPUT}) <float[4,2,3] w = {ZEROS}> {{ y = Conv(x, w) }}"
    )
    source.ir_version = 3
    network = walk(source)
    assert [tensor.name for tensor in network.inputs] == ["x"]
    assert network.layers[0].weight_name == "w"


DYNAMIC = [
    pytest.param("w = Relu(s)", W, id="computed"),
    pytest.param("w = Mul(s, s)", W, id="weight-norm"),
    pytest.param("h = Shape(x) t = Concat<axis=0>(h) w = ConstantOfShape(t)", "", id="shape-at-run-time"),
]


@pytest.mark.parametrize(("nodes", "initializers"), DYNAMIC)
def test_dynamic(nodes: str, initializers: str) -> None:
    source = behind(nodes, initializers)
    if not initializers:
        source.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2
    layer = only_layer(source)
    assert layer.weight_name is None
    assert layer.weight_shape is not None
    assert "its weight is computed at run time" in layer.notes


def test_weight_that_is_an_input() -> None:
    network = walk(f"g ({INPUT}, float[4,2,3] w) => ({OUTPUT}) {{ y = Conv(x, w) }}")
    (layer,) = network.layers
    assert layer.weight_name is None
    assert (layer.weight_shape, layer.output_shape) == (SHAPE, (1, 4, 7))
    report = analyze(network)
    assert report.layers[0].params == 24
    assert report.totals.params == network.model_params == 0
    assert any("not stored" in warning for warning in report.warnings)


def test_unknown_weight_keeps_what_is_known() -> None:
    layer = only_layer(
        f"g ({INPUT}, float w) => ({OUTPUT}) {{ v = custom.Make(w) y = Conv<kernel_shape=[3]>(x, v) }}"
    )
    assert layer.weight_shape is None
    assert (layer.kernel_size, layer.in_channels, layer.out_channels) == ((3,), 2, None)
    assert layer.output_shape == (1, None, 7)


def test_tied_weight_counts_once() -> None:
    network = walk(
        f"g ({INPUT}) => (float[n,c,l] z) <float[2,2,3] w = {{{','.join('0' * 12)}}}>"
        " { y = Conv(x, w) i = Identity(w) z = Conv(y, i) }"
    )
    assert [layer.weight_name for layer in network.layers] == ["w", "w"]
    assert network.model_params == analyze(network).totals.params == 12


@pytest.mark.parametrize(
    ("operands", "bias", "name"),
    [("x, w", False, None), ('x, w, ""', False, None), ("x, w, b", True, "b")],
    ids=["left-out", "empty", "given"],
)
def test_bias(operands: str, bias: bool, name: str | None) -> None:
    stored = f"float[4,2,3] w = {ZEROS}, float[4] b = {{0,0,0,0}}"
    layer = only_layer(model(f"g ({INPUT}) => ({OUTPUT}) <{stored}> {{ y = Conv({operands}) }}"))
    assert (layer.bias, layer.bias_name) == (bias, name)
    assert layer.bias_dtype == ("float32" if bias else None)


def test_shape_of_a_shape_of_a_shape() -> None:
    # deeper than Python's stack
    nodes = " ".join(f"s{i + 1} = ConstantOfShape(s{i})" for i in range(2000))
    layer = only_layer(behind(f"{nodes} w = ConstantOfShape(s2000)", "int64[1] s0 = {1}"), allow_run=False)
    assert layer.weight_name is None


def test_endless_chain_ends() -> None:
    # no valid graph has a cycle; an invalid one must not hang the audit
    layer = only_layer(behind("w = Identity(v) v = Identity(w)"), allow_run=False)
    assert layer.weight_name is None
