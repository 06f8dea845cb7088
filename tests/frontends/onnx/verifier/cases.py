"""Models whose convolutions sit in every place and form that a run can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from tests.frontends.onnx.models import model


def stored(text: str, *weights: str, opset: int = 21, seed: int = 0) -> ModelProto:
    """The model of a text, in which the named inputs of the main graph are stored, random tensors."""
    proto = model(text, opset=opset)
    generator = np.random.default_rng(seed)
    for value in [value for value in proto.graph.input if value.name in weights]:
        proto.graph.input.remove(value)
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            array = generator.integers(max(limits.min, -100), min(limits.max, 100), shape).astype(dtype)
        else:
            array = generator.standard_normal(shape).astype(dtype)
        proto.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return proto


def plain(attributes: str = "", *, x: str = "1,4,9,9", w: str = "6,4,3,3", op: str = "Conv") -> ModelProto:
    """One convolution with a stored weight."""
    return stored(
        f"g (float[{x}] x, float[{w}] w) => (float[n,c,h,l] y) {{ y = {op} {attributes} (x, w) }}", "w"
    )


EVERY_FORM = [
    pytest.param(plain(), id="dense"),
    pytest.param(plain("<group=2, pads=[1,0,2,1], strides=[2,1]>", w="6,2,3,3"), id="grouped"),
    pytest.param(plain("<group=4>", w="8,1,3,3"), id="depthwise"),
    pytest.param(plain(x="0,4,9,9"), id="zero-batch"),
    pytest.param(plain('<auto_pad="SAME_UPPER", strides=[2,2]>'), id="same-upper"),
    pytest.param(
        plain('<auto_pad="SAME_LOWER", dilations=[2,2]>'), id="same-dilated-which-onnxruntime-refuses"
    ),
    pytest.param(plain('<auto_pad="VALID", pads=[0,0,0,0]>'), id="auto-pad-beside-pads"),
    pytest.param(
        plain("<group=2, strides=[2,2], output_padding=[1,0]>", w="4,3,3,3", op="ConvTranspose"),
        id="transposed",
    ),
    pytest.param(
        plain("<strides=[2,2], output_shape=[18,17]>", w="4,3,3,3", op="ConvTranspose"), id="output-shape"
    ),
    pytest.param(
        plain('<auto_pad="SAME_LOWER", strides=[3,3], dilations=[2,2]>', w="4,4,3,3", op="ConvTranspose"),
        id="transposed-same-dilated",
    ),
    pytest.param(
        plain(
            '<auto_pad="VALID", strides=[4,4], dilations=[2,2], output_shape=[39,38]>',
            w="4,4,3,3",
            op="ConvTranspose",
        ),
        id="transposed-valid-dilated-with-a-larger-output",
    ),
    pytest.param(
        plain(
            '<auto_pad="SAME_UPPER", pads=[0,0,0,0], strides=[2,2], output_shape=[18,18]>',
            w="4,4,3,3",
            op="ConvTranspose",
        ),
        id="transposed-auto-pad-beside-pads",
    ),
    pytest.param(
        stored(
            "g (float[2,3,20] x, float[4,3,5] w, float[4] b) => (float[n,c,l] y) { y = Conv(x, w, b) }",
            "w",
            "b",
        ),
        id="1d-with-bias",
    ),
    pytest.param(
        stored("g (float[1,2,5,6,7] x, float[3,2,2,3,2] w) => (float[n,c,d,h,l] y) { y = Conv(x, w) }", "w"),
        id="3d",
    ),
    pytest.param(
        stored("g (float16[1,4,9,9] x, float16[6,4,3,3] w) => (float16[n,c,h,l] y) { y = Conv(x, w) }", "w"),
        id="float16",
    ),
    pytest.param(
        stored(
            "g (uint8[1,4,9,9] x, int8[6,4,3,3] w) => (int32[n,c,h,l] y)"
            " <uint8 z = {7}> { y = ConvInteger <pads=[1,1,1,1]> (x, w, z) }",
            "w",
        ),
        id="integer",
    ),
    pytest.param(
        stored(
            "g (uint8[1,4,9,9] x, int8[2,2,3,3] w, int32[2] b) => (uint8[n,c,h,l] y)"
            " <float s = {0.02}, uint8 z = {128}, float[2] ws = {0.01, 0.03}, int8[2] wz = {0, 0},"
            " float ys = {0.05}, uint8 yz = {120}>"
            " { y = QLinearConv <group=2, pads=[1,1,1,1]> (x, s, z, w, ws, wz, ys, yz, b) }",
            "w",
            "b",
        ),
        id="quantised",
    ),
    pytest.param(
        stored(
            "g (uint8[1,9,9,4] x, int8[2,2,3,3] w) => (uint8[n,h,l,c] y)"
            " <float s = {0.02}, uint8 z = {128}, float ws = {0.01}, int8 wz = {0},"
            " float ys = {0.05}, uint8 yz = {1}>"
            " { y = com.microsoft.QLinearConv <group=2, channels_last=1> (x, s, z, w, ws, wz, ys, yz) }",
            "w",
        ),
        id="quantised-channels-last",
    ),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, float[6,4,3,3] w, float[6] b, float[1,6,7,7] r) => (float[n,c,h,l] y)"
            ' { y = com.microsoft.FusedConv <activation="Relu"> (x, w, b, r) }',
            *("w", "b"),
        ),
        id="fused-with-residual",
    ),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, float[6,4,3,3] w) => (float[n,c,h,l] y)"
            ' { y = com.microsoft.FusedConv <activation="LeakyRelu", activation_params=[0.1]> (x, w) }',
            "w",
        ),
        id="fused-leaky",
    ),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, float[6,4,3,3] w) => (float[n,c,h,l] y)"
            " { v = Transpose <perm=[0,1,3,2]> (w) y = Conv(x, v) }",
            "w",
        ),
        id="weight-transposed-first",
    ),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, int8[6,4,3,3] q) => (float[n,c,h,l] y) <float s = {0.01}, int8 z = {3}>"
            " { w = DequantizeLinear(q, s, z) y = Conv(x, w) }",
            "q",
        ),
        id="weight-dequantised",
    ),
    pytest.param(
        model(
            "g (float[1,1,4,4] x) => (float[n,c,h,l] y)"
            " { w = Constant <value = float[1,1,2,2] {1.0, 2.0, 3.0, 4.0}> () y = Conv(x, w) }"
        ),
        id="weight-in-a-constant",
    ),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, float[6,2,3,3] w, float[1,36,7,7] o) => (float[n,c,h,l] y)"
            " { y = DeformConv <group=2, offset_group=2> (x, w, o) }",
            "w",
            opset=22,
        ),
        id="deformable",
    ),
    pytest.param(
        stored(
            "g (float[2,4,9] x, float[4,1,3] w, float[4] b) => (float[n,c,l] y, float[n,c,k] s)"
            ' { y, s = com.microsoft.CausalConvWithState <activation="silu"> (x, w, b) }',
            *("w", "b"),
        ),
        id="causal",
    ),
    pytest.param(
        stored(
            "g (float[2,4,9] x, float[4,1,3] w, float[2,4,2] p) => (float[n,c,l] y, float[n,c,k] s)"
            " { y, s = com.microsoft.CausalConvWithState (x, w, , p) }",
            "w",
        ),
        id="causal-with-state",
    ),
    pytest.param(
        model("g (float[1,4,9,9] x, float[6,4,3,3] w) => (float[n,c,h,l] y) { v = Neg(w) y = Conv(x, v) }"),
        id="dynamic-weight",
    ),
]


def if_model() -> ModelProto:
    """Two branches, each with a convolution of its own."""
    return stored(
        "g (bool c, float[1,4,9,9] x, float[4,4,3,3] w, float[4,1,3,3] v) => (float[n,m,h,l] y) {"
        " y = If (c) <then_branch = t () => (float[n,m,h,l] a) { a = Conv(x, w) },"
        " else_branch = e () => (float[n,m,h,l] b) { p = Relu(x) b = Conv <group=4> (p, v) }> }",
        *("w", "v"),
    )


def loop_model(trips: int = 3) -> ModelProto:
    """A convolution applied to its own output, some times."""
    return stored(
        "g (float[1,4,9,9] x, float[4,4,3,3] w) => (float[1,4,9,9] y)"
        f" <int64 trips = {{{trips}}}, bool go = {{1}}> {{"
        " y = Loop (trips, go, x) <body = b (int64 i, bool c, float[1,4,9,9] s) => (bool d, float[1,4,9,9] t)"
        " { d = Identity(c) t = Conv <pads=[1,1,1,1]> (s, w) }> }",
        "w",
    )


def scan_model() -> ModelProto:
    """A convolution of every element of a sequence."""
    return stored(
        "g (float[5,1,4,9,9] xs, float[4,4,3,3] w) => (float[5,1,4,7,7] ys) {"
        " ys = Scan <num_scan_inputs = 1,"
        " body = b (float[1,4,9,9] x) => (float[1,4,7,7] y) { y = Conv(x, w) }> (xs) }",
        "w",
    )


def nested_model() -> ModelProto:
    """A convolution in a branch in a loop in a branch."""
    return stored(
        "g (bool c, float[1,4,9,9] x, float[4,4,3,3] w) => (float[1,4,9,9] y)"
        " <int64 trips = {2}, bool go = {1}> {"
        " y = If (c) <then_branch = t () => (float[1,4,9,9] o) {"
        "  o = Loop (trips, go, x) <"
        "   body = b (int64 i, bool k, float[1,4,9,9] s) => (bool d, float[1,4,9,9] u) {"
        "   d = Identity(k) u = If (c) <"
        "    then_branch = tt () => (float[1,4,9,9] p) { p = Conv <pads=[1,1,1,1]> (s, w) },"
        "    else_branch = ee () => (float[1,4,9,9] q) { q = Neg(s) }> }> },"
        " else_branch = e () => (float[1,4,9,9] r) { r = Abs(x) }> }",
        "w",
    )


def function_model() -> ModelProto:
    """A local function called twice, with a convolution outside and one inside a branch."""
    return stored(
        "g (bool c, float[1,4,9,9] x, float[4,4,3,3] w) => (float[n,m,h,l] y)"
        " { a = local.F <padding=1> (c, x, w) y = local.F <padding=0> (c, a, w) }\n"
        '<domain: "local", opset_import: ["" : 21]> F <padding> (c, x, w) => (y) {'
        " v = Constant <value = float[4,1,1,1] {1.0, 2.0, 3.0, 4.0}> ()"
        " s = Conv <group=4> (x, v)"
        " y = If (c) <then_branch = t () => (a) { a = Conv <pads=[1,1,1,1]> (s, w) },"
        " else_branch = e () => (b) { b = Identity(s) }> }",
        "w",
    )


def chain(layers: int) -> ModelProto:
    """Convolutions and activations in a row; each layer's input and output have 2592 bytes."""
    steps = "".join(
        f" a{i} = Conv <pads=[1,1,1,1]> (x{i}, w{i}) x{i + 1} = Relu(a{i})" for i in range(layers)
    )
    weights = [f"w{i}" for i in range(layers)]
    declared = "".join(f", float[8,8,3,3] {name}" for name in weights)
    return stored(f"g (float[1,8,9,9] x0{declared}) => (float[n,c,h,l] x{layers}) {{{steps} }}", *weights)


def statuses(verdicts: Sequence[object]) -> list[str]:
    return [verdict.status for verdict in verdicts]  # type: ignore[attr-defined]
