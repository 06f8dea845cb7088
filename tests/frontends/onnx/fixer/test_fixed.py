"""Networks with idle filters around each op, fixed: the same outputs, nothing fixable left, names kept."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

import convaudit
from convaudit.feeds import open_sizes, random_feeds
from tests.frontends.onnx.models import model, values, walk

pytestmark = pytest.mark.usefixtures("trusted_runtime")

ZERO = (1, 4)
"""Filters of ``w`` that are all zero, of 8: what they give is their bias."""
X = "float[1,3,6,6] x"
W, B = values("w", 8, 3, 3, 3), values("b", 8, scale=0.3)
V = values("v", 4, 8, 1, 1)
CONV = "[c] t = Conv <pads=[1,1,1,1]> (x, w, b)"
END = "[d] y = Conv (r, v)"


def idle(text: str, *, opset: int = 21) -> ModelProto:
    """A model in which some filters of ``w`` are zero; of integers, their zero point."""
    proto = model(text, opset=opset)
    for tensor in proto.graph.initializer:
        if tensor.name == "w":
            weight = numpy_helper.to_array(tensor).copy()
            weight[list(ZERO)] = 0
            tensor.CopyFrom(numpy_helper.from_array(weight, "w"))
    return proto


def run(proto: ModelProto, feeds: dict[str, np.ndarray], *, optimised: bool) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def graph(nodes: str, stored: str = "", x: str = X, y: str = "float[n,m,p,q] y", v: str = V) -> str:
    more = "".join(f", {one}" for one in (v, stored) if one)
    return f"g ({x}) => ({y}) <{W}, {B}{more}> {{ {nodes} }}"


def after(op: str, stored: str = "", **options: str) -> str:
    """The layer, ops that take ``t`` and give ``r``, and a layer that reads that."""
    return graph(f"{CONV} {op} {END}", stored, **options)


GRAPHS = [
    pytest.param(after("r = Relu (t)"), 6, id="relu"),
    pytest.param(after("s = Sigmoid (t) r = Mul (t, s)"), 6, id="swish"),
    pytest.param(
        after(
            "r = BatchNormalization (t, s, o, m, q)",
            ", ".join(values(name, 8, scale=0.1) for name in "som")
            + ", float[8] q = {1.0,2.0,1.0,0.5,1.0,2.0,3.0,1.0}",
        ),
        6,
        id="batch-norm",
    ),
    pytest.param(after("r = PRelu (t, s)", values("s", 8, 1, 1)), 6, id="prelu"),
    pytest.param(after("r = MaxPool <kernel_shape=[2,2]> (t)"), 6, id="max-pool"),
    pytest.param(after("r = GlobalAveragePool (t)"), 6, id="global-pool"),
    pytest.param(after("u = Add (t, s) r = Clip (u)", values("s", 8, 1, 1)), 6, id="add-constants"),
    pytest.param(
        after("u = Transpose <perm=[0,2,3,1]> (t) z = Relu (u) r = Transpose <perm=[0,3,1,2]> (z)"),
        6,
        id="transposed",
    ),
    pytest.param(
        after("a, c = Split <axis=1, num_outputs=2> (t) z = Relu (c) r = Concat <axis=1> (z, a)"),
        6,
        id="split-concat",
    ),
    pytest.param(
        after("a, c = Split <axis=1> (t, n) z = Relu (c) r = Concat <axis=1> (z, a)", "int64[2] n = {6, 2}"),
        6,
        id="split-sizes",
    ),
    pytest.param(
        after(
            "a = Slice (t, o, k, i) c = Slice (t, k, e, i) r = Concat <axis=1> (c, a)",
            "int64[1] o = {0}, int64[1] k = {4}, int64[1] e = {9223372036854775807}, int64[1] i = {1}",
        ),
        6,
        id="slices",
    ),
    pytest.param(
        after(
            "a = Slice (t, o, e, i, n) c = Slice (t, l, e, i, n) r = Concat <axis=1> (a, c)",
            "int64[1] o = {0}, int64[1] l = {1}, int64[1] e = {100}, int64[1] i = {1}, int64[1] n = {2}",
        ),
        6,
        id="slices-with-steps",
    ),
    pytest.param(
        after("r = Gather <axis=1> (t, i)", "int64[8] i = {7, 1, 5, 3, 4, -6, 6, 0}"), 6, id="gather"
    ),
    pytest.param(
        after(
            "p = Reshape (t, i) u = Transpose <perm=[0,2,1,3,4]> (p) r = Reshape (u, j)",
            "int64[5] i = {1, 2, 4, 6, 6}, int64[4] j = {1, 8, 6, 6}",
        ),
        6,
        id="shuffle",
    ),
    pytest.param(
        after(
            "n = Shape (t) h = Gather (n, o) k = Div (h, d) k2 = Mul (k, d) a = Slice (t, z, k, o)"
            "c = Slice (t, k, k2, o) r = Concat <axis=1> (c, a)",
            "int64[1] o = {1}, int64[1] d = {2}, int64[1] z = {0}",
        ),
        6,
        id="chunk",
    ),
    pytest.param(
        after(
            "l = Relu (t) p = GlobalAveragePool (l) [e] s = Conv (p, k) g = Sigmoid (s) r = Mul (l, g)",
            values("k", 8, 8, 1, 1),
        ),
        None,
        id="squeeze-excite",
    ),
    pytest.param(
        after(
            "l = Relu (t) [e] r = Conv <group=8, pads=[1,1,1,1]> (l, k, h)",
            f"{values('k', 8, 1, 3, 3)}, {values('h', 8)}",
        ),
        None,
        id="depthwise",
    ),
    pytest.param(
        graph(
            f"{CONV} r = Flatten (t) y = Gemm <transB=1> (r, k, h)",
            f"{values('k', 2, 288)}, {values('h', 2)}",
            v="",
            y="float[n,m] y",
        ),
        6,
        id="gemm",
    ),
    pytest.param(
        graph(f"{CONV} r = Flatten (t) y = Gemm (r, k)", values("k", 288, 2), v="", y="float[n,m] y"),
        6,
        id="gemm-without-bias",
    ),
    pytest.param(
        graph(
            f"{CONV} p = GlobalAveragePool (t) r = Squeeze (p, i) y = MatMul (r, k)",
            f"{values('k', 8, 2)}, int64[2] i = {{2, 3}}",
            v="",
            y="float[n,m] y",
        ),
        6,
        id="matmul",
    ),
    pytest.param(
        graph(
            f"{CONV} r = Reshape (t, i) y = Gemm (r, k)",
            f"{values('k', 288, 2)}, int64[2] i = {{0, -1}}",
            v="",
            y="float[n,m] y",
        ),
        6,
        id="reshape",
    ),
    pytest.param(
        graph(
            f"{CONV} r = Reshape (t, i) y = Gemm (r, k)",
            f"{values('k', 288, 2)}, int64[2] i = {{1, 288}}",
            v="",
            y="float[n,m] y",
        ),
        6,
        id="reshape-sizes",
    ),
    pytest.param(
        after("r = Resize (t, , , i)", "int64[4] i = {1, 8, 12, 12}"),
        6,
        id="resize-sizes",
    ),
    pytest.param(
        after("r = Pad (t, i)", "int64[8] i = {0, 0, 1, 1, 0, 0, 1, 1}"),
        8,
        id="padded-constants-stay",
    ),
    pytest.param(
        graph(f"{CONV} l = Relu (t) [d] y = ConvTranspose (l, k)", values("k", 8, 2, 2, 2), v=""),
        None,
        id="transposed-convolution",
    ),
    pytest.param(after("r = ConvTranspose (t, k)", values("k", 8, 8, 1, 1)), 6, id="transposed-pointwise"),
    pytest.param(
        after("r = Relu (t)", x="float[n,3,h,w] x"),
        6,
        id="open-sizes",
    ),
    pytest.param(
        graph(
            f"{CONV} [e] u = Conv (x, k) r = Add (t, z) z = Pad (u, i) {END}",
            "float[8,3,1,1] k = {" + ", ".join(["0.1"] * 24) + "}, int64[8] i = {0,0,0,0,0,0,0,0}",
        ),
        8,
        id="residual-stays",
    ),
    *(
        pytest.param(after(nodes, "int64[4] i = {1, 8, 6, 6}"), 8, id=f"{op}-stays")
        for op, nodes in {
            "expand": "p = GlobalAveragePool (t) r = Expand (p, i)",
            "constant-of-shape": "k = ConstantOfShape (i) r = Add (t, k)",
            "size": "n = Size (t) k = Cast <to=1> (n) r = Div (t, k)",
        }.items()
    ),
    pytest.param(after("r = Tile (t, i)", "int64[4] i = {1, 1, 2, 1}"), 8, id="tile-stays"),
]


@pytest.mark.parametrize(("text", "filters"), GRAPHS)
def test_outputs_stay_and_nothing_fixable_is_left(text: str, filters: int | None) -> None:
    proto = idle(text)
    before = proto.SerializeToString()
    if filters == 8:
        with pytest.raises(convaudit.errors.UsageError, match="nothing that was found can be fixed"):
            convaudit.fix(proto)
        return
    smaller = convaudit.fix(proto)
    assert proto.SerializeToString() == before
    onnx.checker.check_model(smaller, full_check=True)
    if filters is not None:
        assert {item.name: item.dims[0] for item in smaller.graph.initializer}["w"] == filters
    assert not [one for one in convaudit.lint(smaller) if one.fixable]
    assert (smaller.graph.input, smaller.graph.output) == (proto.graph.input, proto.graph.output)
    network = walk(proto)
    for seed in range(2):
        feeds = random_feeds(network, open_sizes(network), seed)
        for optimised in (False, True):
            pairs = zip(
                run(smaller, feeds, optimised=optimised), run(proto, feeds, optimised=optimised), strict=True
            )
            for ours, theirs in pairs:
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_layer_that_leads_nowhere_is_dropped() -> None:
    text = f"g ({X}) => (float[n,m,p,q] y) <{values('k', 1, 3, 1, 1)}> {{ t = Conv (x, k) y = Relu (x) }}"
    assert [node.op_type for node in convaudit.fix(model(text)).graph.node] == ["Relu"]
