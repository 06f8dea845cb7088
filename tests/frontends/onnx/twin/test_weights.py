"""Twins of single nodes: block-diagonal weights, and the same values from onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto

from convaudit.errors import ModelError
from convaudit.feeds import random_array
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.twin.weights import dense_node
from convaudit.frontends.onnx.verifier.extracted import Constants
from tests.frontends.onnx.models import model, walked
from tests.frontends.onnx.verifier.cases import plain, stored

QLINEAR = (
    "g (uint8[1,4,9,9] x, int8[6,2,3,3] w, int32[6] b) => (uint8[n,c,h,l] y)"
    " <float s = {{0.02}}, uint8 z = {{128}}, float[6] ws = {{0.01,0.03,0.02,0.01,0.01,0.02}}, int8[{n}] wz ="
    " {{{zeros}}}, float ys = {{2.0}}, uint8 yz = {{120}}>"
    " {{ y = QLinearConv <group=2, pads=[1,1,1,1]> (x, s, z, w, ws, wz, ys, yz, b) }}"
)
DEQUANTIZED = (
    "g (float[1,4,9,9] x, int8[6,2,3,3] q) => (float[n,c,h,l] y) <{constants}>"
    " {{ w = DequantizeLinear <{attributes}> (q, s, z) y = Conv <group=2> (x, w) }}"
)
TWINS = [
    pytest.param(plain("<group=2, pads=[1,0,2,1], strides=[2,1]>", w="6,2,3,3"), id="grouped"),
    pytest.param(plain("<group=4>", w="8,1,3,3"), id="depthwise-multiplier-2"),
    pytest.param(plain('<group=2, auto_pad="SAME_UPPER", strides=[2,2]>', w="6,2,3,3"), id="same-upper"),
    pytest.param(
        plain("<group=2, strides=[2,2], output_padding=[1,0]>", w="4,3,3,3", op="ConvTranspose"),
        id="transposed",
    ),
    pytest.param(
        stored(
            "g (float16[1,4,9,9] x, float16[6,2,3,3] w) => (float16[n,c,h,l] y)"
            " { y = Conv <group=2> (x, w) }",
            "w",
        ),
        id="float16",
    ),
    pytest.param(
        stored(
            "g (uint8[1,4,9,9] x, int8[6,2,3,3] w) => (int32[n,c,h,l] y) <uint8 z = {7}, int8 wz = {-5}>"
            " { y = ConvInteger <group=2, pads=[1,1,1,1]> (x, w, z, wz) }",
            "w",
        ),
        id="integer-with-a-zero-point",
    ),
    pytest.param(stored(QLINEAR.format(n=6, zeros="0,0,0,0,0,0"), "w", "b"), id="quantised-by-channel"),
    pytest.param(stored(QLINEAR.format(n=1, zeros="9"), "w", "b"), id="quantised-with-a-zero-point"),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, float[6,2,3,3] w, float[6] b, float[1,6,7,7] r) => (float[n,c,h,l] y)"
            ' { y = com.microsoft.FusedConv <activation="Relu", group=2> (x, w, b, r) }',
            *("w", "b"),
        ),
        id="fused-with-residual",
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
        stored(DEQUANTIZED.format(constants="float s = {0.01}, int8 z = {3}", attributes="axis=1"), "q"),
        id="dequantised",
    ),
    pytest.param(
        stored(
            DEQUANTIZED.format(
                constants="float[6] s = {1.0,2.0,3.0,4.0,5.0,6.0}, int8[6] z = {0,1,2,3,4,5}",
                attributes="axis=0",
            ),
            "q",
        ),
        id="dequantised-by-output-channel",
    ),
    pytest.param(
        stored(
            DEQUANTIZED.format(constants="float[2] s = {1.0,2.0}, int8[2] z = {4,5}", attributes="axis=1"),
            "q",
        ),
        id="dequantised-by-input-channel",
    ),
    pytest.param(
        stored(
            "g (float[1,4,9,9] x, float[6,2,3,3] w) => (float[n,c,h,l] y)"
            " { v = Transpose <perm=[0,1,3,2]> (w) y = Conv <group=2> (x, v) }",
            "w",
        ),
        id="calculated",
    ),
]


def both(source: ModelProto) -> tuple[np.ndarray, np.ndarray, list[NodeProto]]:
    """Outputs of the only layer and of its twin, on the same input, and the twin's nodes."""
    found = walked(source)
    (layer,) = found.network.layers
    graphs, address = Graphs(found.expanded.model), found.addresses[layer.name]
    constants = Constants(found.model, found.expanded.model, graphs, address[:-1])
    node = graphs.node(address)
    twin = dense_node(layer, node, constants)
    for name in node.input:
        constants.take(name)
    generator = np.random.default_rng(0)
    feeds = {value.name: random_array(generator, value.shape, value.dtype) for value in found.network.inputs}
    twin.node.output[0] += ".dense"
    proto = constants.model([node, *twin.makers, twin.node], feeds, [node.output[0], twin.node.output[0]])
    proto.graph.initializer.extend(twin.tensors)
    session = Settings().runtime.load(proto.SerializeToString(), Settings(optimization="disabled"))
    given, dense = session.run(feeds, [node.output[0], twin.node.output[0]]).values()
    return given, dense, [*twin.makers, twin.node]


@pytest.mark.parametrize("source", TWINS)
def test_a_twin_computes_the_same(source):
    given, dense, (*_, node) = both(source)
    assert [item.i for item in node.attribute if item.name == "group"] == [1]
    assert given.shape == dense.shape
    assert np.abs(given).max() > 0
    np.testing.assert_allclose(dense, given, rtol=1e-3 if given.dtype == np.float16 else 1e-5, atol=1e-2)


def test_integers_stay_integers():
    source = stored(DEQUANTIZED.format(constants="float s = {0.01}, int8 z = {3}", attributes="axis=1"), "q")
    assert [node.op_type for node in both(source)[2]] == ["DequantizeLinear", "Conv"]


WITHOUT = [
    pytest.param(
        stored(
            "g (float[2,4,9] x, float[4,1,3] w) => (float[n,c,l] y, float[n,c,k] s)"
            " { y, s = com.microsoft.CausalConvWithState (x, w) }",
            "w",
        ),
        r"CausalConvWithState is depthwise by definition: it has no form with groups=1",
        id="causal",
    ),
    pytest.param(
        model(
            "g (float[1,4,9,9] x, float[6,2,3,3] w) => (float[n,c,h,l] y)"
            " { v = Neg(w) y = Conv <group=2> (x, v) }"
        ),
        "its weight is computed at run time",
        id="weight-at-run-time",
    ),
    pytest.param(
        stored(
            "g (uint8[1,4,9,9] x, int8[6,2,3,3] w, int8 wz) => (int32[n,c,h,l] y) <uint8 z = {7}>"
            " { y = ConvInteger <group=2> (x, w, z, wz) }",
            "w",
        ),
        "its weight's zero point is computed at run time",
        id="zero-point-at-run-time",
    ),
]


@pytest.mark.parametrize(("source", "reason"), WITHOUT)
def test_what_has_no_twin_says_why(source, reason):
    with pytest.raises(ModelError, match=reason):
        both(source)
