"""Each family of ops: what it makes of constants and of what is read; runs on random inputs agree."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from tests.frontends.onnx.channels.brute import disagreements
from tests.frontends.onnx.channels.facts import facts_of, known, wanted
from tests.frontends.onnx.models import model

N = None
A = "a = Conv(x, w, b)"
SOURCE = "float[4,2,1,1] w = {0,0, 0,0, 1,2, 3,4}, float[4] b = {5, 0, 6, -7}"
"""``a`` has four channels: 5, 0, and two that vary."""
ENDS = "float[1,4,1,1] v = {1,1,1,0}"
"""Reads the first three of four."""


def source_of(nodes: str, stored: str = "") -> ModelProto:
    """A model whose output has whatever element type it has."""
    source = model(
        f"g (float[1,2,4,4] x, bool c) => (float y) <{SOURCE}{', ' * bool(stored)}{stored}> {{ {A} {nodes} }}"
    )
    source.graph.output[0].ClearField("type")
    return source


def ints(name: str, *numbers: int) -> str:
    return f"int64[{len(numbers)}] {name} = {{{', '.join(map(str, numbers))}}}"


CONSTANTS = [
    pytest.param("y = Sub(a, s)", "float s = {1}", [4, -1, N, N], id="scalar"),
    pytest.param("y = Clip(a, , s)", "float s = {3}", [3, 0, N, N], id="clip"),
    pytest.param("y = HardSwish(a)", "", [5, 0, N, N], id="activation"),
    pytest.param("y = PRelu(a, s)", "float[4,1,1] s = {1,2,3,4}", [5, 0, N, N], id="prelu"),
    pytest.param("z = Relu(a) y = Div(a, z)", "", [1, N, N, N], id="division-by-zero"),
    pytest.param(
        "d = ReduceMax(x, s) e = Mul(d, z) y = Add(a, e)",
        f"{ints('s', 1)}, float z = {{0}}",
        [5, 0, N, N],
        id="broadcast",
    ),
    pytest.param("y = Where(s, a, t)", "bool[4,1,1] s = {1,0,0,1}, float t = {9}", [5, 9, 9, N], id="where"),
    pytest.param("y = Max(a, t)", "float t = {2}", [5, 2, N, N], id="max"),
    pytest.param("y = Cast<to=7>(a)", "", [5, 0, N, N], id="cast-to-integers"),
    pytest.param("y = Cast<to=16>(a)", "", [5, 0, N, N], id="bfloat16"),
    pytest.param("h = Cast<to=10>(a) y = Add(h, h)", "", [10, 0, N, N], id="float16"),
    pytest.param("i = Cast<to=3>(a) y = Mul(i, s)", "int8 s = {100}", [-12, 0, N, N], id="wraps"),
    pytest.param("y = Identity(a)", "", [5, 0, N, N], id="identity"),
    pytest.param("y = Dropout(a)", "", [5, 0, N, N], id="dropout"),
    pytest.param(
        "y = BatchNormalization(a, s, t, m, v)",
        "float[4] s = {2,1,0,1}, float[4] t = {1,2,3,4}, float[4] m = {4,0,0,0}, float[4] v = {1,1,1,1}",
        [3, 2, 3, N],
        id="batch-norm",
    ),
    pytest.param(
        "y = InstanceNormalization(a, s, t)",
        "float[4] s = {2,1,1,1}, float[4] t = {1,2,3,4}",
        [N, 2, N, N],
        id="instance-norm",
    ),
    pytest.param("y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(a)", "", [5, 0, N, N], id="max-pool"),
    pytest.param("y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(a)", "", [5, 0, N, N], id="average"),
    pytest.param(
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(a)",
        "",
        [N, 0, N, N],
        id="average-with-padding",
    ),
    pytest.param("y = GlobalAveragePool(a)", "", [5, 0, N, N], id="global-average"),
    pytest.param("y = LpPool<kernel_shape=[2,2]>(a)", "", [N, 0, N, N], id="lp-pool"),
    pytest.param("y = ReduceMean<keepdims=0>(a, s)", ints("s", 2, 3), [5, 0, N, N], id="mean-over-space"),
    pytest.param("y = ReduceSum<keepdims=0>(a, s)", ints("s", 2, 3), [80, 0, N, N], id="sum-over-space"),
    pytest.param("y = ReduceMean(a, s)", ints("s", 1), None, id="mean-over-channels"),
    pytest.param('y = Resize<mode="linear">(a, , s)', "float[4] s = {1,1,2,2}", [5, 0, N, N], id="linear"),
    pytest.param('y = Resize<mode="cubic">(a, , s)', "float[4] s = {1,1,2,2}", [N, 0, N, N], id="cubic"),
    pytest.param('y = Resize<mode="nearest">(a, , , s)', ints("s", 1, 4, 8, 8), [5, 0, N, N], id="nearest"),
    pytest.param("y = Resize(a, , s)", "float[4] s = {1,2,1,1}", None, id="resized-channels"),
    pytest.param("y = Pad(a, s)", ints("s", 0, 0, 1, 1, 0, 0, 1, 1), [N, 0, N, N], id="pad-space"),
    pytest.param(
        "y = Pad(a, s, t)",
        f"{ints('s', 0, 0, 1, 1, 0, 0, 1, 1)}, float t = {{5}}",
        [5, N, N, N],
        id="pad-value",
    ),
    pytest.param(
        'y = Pad<mode="edge">(a, s)', ints("s", 0, 0, 1, 1, 0, 0, 1, 1), [5, 0, N, N], id="pad-with-edge"
    ),
    pytest.param("y = Pad(a, s)", ints("s", 0, 1, 0, 0, 0, 1, 0, 0), [0, 5, 0, N, N, 0], id="pad-channels"),
    pytest.param("y = Pad(x, s)", ints("s", 0, 0, 0, 0, 0, 1, 0, 0), [N, N, 0], id="pad-what-varies"),
    pytest.param("y, z = Split<axis=1>(a, s)", ints("s", 1, 3), [5], id="split"),
    pytest.param(
        "y = Slice(a, s, e, t, u)",
        ", ".join([ints("s", -1), ints("e", -9), ints("t", 1), ints("u", -2)]),
        [N, 0],
        id="slice-backwards",
    ),
    pytest.param("y = Gather<axis=1>(a, s)", ints("s", 3, 0, -3), [N, 5, 0], id="gather"),
    pytest.param("y = Concat<axis=-3>(x, a)", "", [N, N, 5, 0, N, N], id="concat"),
    pytest.param("y = Transpose<perm=[0,2,3,1]>(a)", "", [5, 0, N, N], id="transpose"),
    pytest.param("p = GlobalMaxPool(a) y = Flatten(p)", "", [5, 0, N, N], id="flatten"),
    pytest.param(
        "p = Reshape(a, s) q = Transpose<perm=[0,2,1,3,4]>(p) y = Reshape(q, t)",
        f"{ints('s', 0, 2, 2, 4, 4)}, {ints('t', 0, -1, 4, 4)}",
        [5, N, 0, N],
        id="shuffle",
    ),
    pytest.param(
        "p = Unsqueeze(a, s) y = Squeeze(p, s)", ints("s", 2), [5, 0, N, N], id="unsqueeze-and-squeeze"
    ),
    pytest.param("y = Tile(a, s)", ints("s", 1, 2, 1, 1), [5, 0, N, N, 5, 0, N, N], id="tile"),
    pytest.param("p = GlobalMaxPool(a) y = Expand(p, s)", ints("s", 1, 4, 3, 3), [5, 0, N, N], id="expand"),
    pytest.param("y = DepthToSpace<blocksize=2>(a)", "", None, id="depth-to-space"),
    pytest.param("y = SpaceToDepth<blocksize=2>(a)", "", [5, 0, N, N] * 4, id="space-to-depth"),
    pytest.param(
        "y = Conv<pads=[1,1,1,1]>(a, v)", "float[1,4,1,1] v = {0,1,0,0}", [0], id="zero-into-padding"
    ),
    pytest.param("y = Conv<pads=[1,1,1,1]>(a, v)", "float[1,4,1,1] v = {1,0,0,0}", None, id="padding"),
    pytest.param("y = Conv<group=4>(a, v, b)", "float[4,1,1,1] v = {2,3,0,1}", [15, 0, 6, N], id="depthwise"),
    pytest.param("y = Conv<group=2>(a, v)", "float[2,2,1,1] v = {1,1,0,0}", [5, 0], id="grouped"),
    pytest.param(
        "y = ConvTranspose<strides=[2,2]>(a, v, t)",
        "float[4,2,3,3] v = {" + ", ".join(["1"] * 9 + ["0"] * 63) + "}, float[2] t = {8, 9}",
        [N, 9],
        id="transposed",
    ),
    pytest.param(
        'r = com.microsoft.FusedConv<activation="Relu">(a, v, t) y = Neg(r)',
        "float[2,4,1,1] v = {-1,0,0,0, 1,1,0,0}, float[2] t = {1,2}",
        [0, -7],
        id="fused",
    ),
    pytest.param(
        "p = GlobalMaxPool(a) f = Flatten(p) y = MatMul(f, v)",
        "float[4,3] v = {1,0,0, 2,0,1, 0,0,1, 0,0,1}",
        [5, 0, N],
        id="matmul",
    ),
    pytest.param(
        "p = GlobalMaxPool(a) f = Flatten(p) y = Gemm<transB=1, alpha=2.0, beta=3.0>(f, v, t)",
        "float[2,4] v = {1,1,0,0, 1,0,0,1}, float[2] t = {1,2}",
        [13, N],
        id="gemm",
    ),
    pytest.param(
        "q = QuantizeLinear(a, s, z) y = DequantizeLinear(q, s, z)",
        "float s = {0.5}, uint8 z = {3}",
        [5, 0, N, N],
        id="quantised-and-back",
    ),
    pytest.param(
        "q = QuantizeLinear<axis=1>(a, s, z) y = Cast<to=1>(q)",
        "float[4] s = {0.5, 1, 1, 1}, int8[4] z = {3, 4, 0, 0}",
        [13, 4, N, N],
        id="quantised-by-channel",
    ),
    pytest.param("y = RandomNormalLike(a)", "", None, id="random"),
    pytest.param(
        "s = Shape(a) z = ConstantOfShape<value=float[1]{3}>(s) y = Add(a, z)",
        "",
        [8, 3, N, N],
        id="constant-of-shape",
    ),
    pytest.param("z = Constant<value_float=2.0>() y = Mul(a, z)", "", [10, 0, N, N], id="constant-node"),
    pytest.param(
        "y = If(c) <then_branch = t () => (float d) { d = Add(a, a) }, else_branch = e () => (float e)"
        " { z = Constant<value_float=2.0>() e = Mul(a, z) }>",
        "",
        [10, 0, N, N],
        id="if-alike",
    ),
    pytest.param(
        "y = If(c) <then_branch = t () => (float d) { d = Add(a, a) }, else_branch = e () => (float e)"
        " { e = Identity(a) }>",
        "",
        [N, 0, N, N],
        id="if-different",
    ),
    pytest.param("p = Sigmoid(a) r = Softmax<axis=1>(p) y = Mul(r, a)", "", [N, 0, N, N], id="softmax"),
    pytest.param("y = NoSuchOp(a)", "", None, id="unknown-op"),
]


@pytest.mark.parametrize(("nodes", "stored", "expected"), CONSTANTS)
def test_constants(nodes, stored, expected):
    assert known(facts_of(source_of(nodes, stored)), "y") == expected


READ = [
    pytest.param("y = Conv(a, v)", ENDS, "1110", "0010", id="conv"),
    pytest.param("y = Conv<pads=[1,1,1,1]>(a, v)", ENDS, "1110", "1010", id="padded"),
    pytest.param("y = Conv(a, v, t)", f"{ENDS}, float[1] t = {{1}}", "1110", "0010", id="bias"),
    pytest.param(
        "t = ReduceMax<keepdims=0>(x) u = Reshape(t, s) y = Conv(a, v, u)",
        f"{ENDS}, {ints('s', 1)}",
        "1110",
        "1010",
        id="computed-bias",
    ),
    pytest.param(
        "y = ConvTranspose(a, v)",
        "float[4,1,3,3] v = {" + ", ".join(["1"] * 27 + ["0"] * 9) + "}",
        "1110",
        "1010",
        id="transposed",
    ),
    pytest.param(
        "d = Conv<group=4>(a, u) y = Conv(d, v)",
        f"{ENDS}, float[4,1,1,1] u = {{1,1,1,1}}",
        "1110",
        "0010",
        id="through-depthwise",
    ),
    pytest.param(
        "z = Mul(a, s) y = Conv(z, v)", f"{ENDS}, float[4,1,1] s = {{1,1,0,1}}", "1100", "0", id="times-zero"
    ),
    pytest.param(
        "p = GlobalAveragePool(a) s = Sigmoid(p) z = Mul(a, s) y = Conv(z, v)",
        ENDS,
        "1110",
        "0010",
        id="squeeze-excite",
    ),
    pytest.param("z = Add(a, a) y = Conv(z, v)", ENDS, "1110", "0010", id="residual"),
    pytest.param(
        "z = Concat<axis=1>(x, a) y = Conv(z, v)",
        "float[1,6,1,1] v = {1,1,0,1,0,1}",
        "0101",
        "0001",
        id="concat",
    ),
    pytest.param("p, q = Split<axis=1, num_outputs=2>(a) y = Neg(q)", "", "0011", "0011", id="split"),
    pytest.param("y = Gather<axis=1>(a, s)", ints("s", 0, -1, -1), "1001", "1001", id="gather"),
    pytest.param(
        "y = Slice(a, s, e, t)",
        ", ".join([ints("s", 1), ints("e", 9), ints("t", 1)]),
        "0111",
        "0111",
        id="slice",
    ),
    pytest.param(
        "p = Pad(a, s) y = Conv(p, v)",
        f"{ints('s', 0, 1, 1, 1, 0, 0, 1, 1)}, float[1,5,1,1] v = {{1,1,1,0,1}}",
        "1101",
        "1001",
        id="pad",
    ),
    pytest.param(
        "p = Reshape(a, s) q = Transpose<perm=[0,2,1,3,4]>(p) r = Reshape(q, t) y = Conv(r, v)",
        f"{ints('s', 0, 2, 2, 4, 4)}, {ints('t', 0, -1, 4, 4)}, {ENDS}",
        "1110",
        "0010",
        id="shuffle",
    ),
    pytest.param(
        "f = Flatten(a) y = MatMul(f, v)",
        "float[64,1] v = {" + ", ".join(["0"] * 16 + ["1"] * 16 + ["0"] * 31 + ["2"]) + "}",
        "0101",
        "0001",
        id="flatten-and-matmul",
    ),
    pytest.param(
        "t = Transpose<perm=[0,2,3,1]>(a) y = MatMul(t, v)",
        "float[4,2] v = {1,0, 0,0, 0,1, 0,0}",
        "1010",
        "0010",
        id="last-axis",
    ),
    pytest.param(
        "y = BatchNormalization(a, s, s, s, s)", "float[4] s = {1,1,0,1}", "1101", "1", id="batch-norm"
    ),
    pytest.param(
        "i = InstanceNormalization(a, s, s) y = Conv(i, v)",
        f"{ENDS}, float[4] s = {{1,1,1,1}}",
        "1110",
        "1010",
        id="instance-norm",
    ),
    pytest.param("p = MaxPool<kernel_shape=[2,2]>(a) y = Conv(p, v)", ENDS, "1110", "0010", id="max-pool"),
    pytest.param("p, y = MaxPool<kernel_shape=[2,2]>(a)", "", "1", "1", id="positions-of-maxima"),
    pytest.param("s = Softmax<axis=1>(a) y = Conv(s, v)", ENDS, "1", "1", id="softmax"),
    pytest.param("s = Softmax<axis=2>(a) y = Conv(s, v)", ENDS, "1110", "1110", id="softmax-over-space"),
    pytest.param("p = ReduceMean(a, s) y = Neg(p)", ints("s", 1), "1", "1", id="mean-over-channels"),
    pytest.param(
        "p = ReduceMean(a, s) y = Conv(p, v)", f"{ints('s', 2)}, {ENDS}", "1110", "0010", id="mean-over-space"
    ),
    pytest.param(
        "p = Resize(a, , s) y = Conv(p, v)", f"float[4] s = {{1,1,2,2}}, {ENDS}", "1110", "0010", id="resize"
    ),
    pytest.param(
        "d = SpaceToDepth<blocksize=2>(a) y = Conv(d, v)",
        "float[1,16,1,1] v = {" + ", ".join(["1,0,1,0"] + ["0"] * 12) + "}",
        "1010",
        "0010",
        id="to-depth",
    ),
    pytest.param('d = DepthToSpace<blocksize=2, mode="CRD">(a) y = Neg(d)', "", "1", "1", id="to-space"),
    pytest.param("y = Shape(a)", "", "0", "0", id="shape"),
    pytest.param("y = NoSuchOp(a)", "", "1", "1", id="unknown-op"),
    pytest.param("d = NoSuchOp(a) y = Neg(x)", "", "0", "0", id="nobody"),
    pytest.param(
        "z = If(c) <then_branch = t () => (float d) { d = Neg(a) },"
        " else_branch = e () => (float e) { e = Abs(a) }> y = Conv(z, v)",
        ENDS,
        "1110",
        "1010",
        id="if",
    ),
]


@pytest.mark.parametrize(("nodes", "stored", "read", "needed"), READ)
def test_what_is_read_and_needed(nodes, stored, read, needed):
    facts = facts_of(source_of(nodes, stored))
    assert (wanted(facts.read, "a"), wanted(facts.needed, "a")) == (read, needed)


Q = "q = QuantizeLinear(a, qs, qz)"
QUANTISED = (
    "float qs = {0.5}, uint8 qz = {3}, float ws = {0.25}, int8 wz = {1}, float ys = {1}, uint8 yz = {7}"
)
"""``q`` is 13, 3 and two that vary, of zero point 3; weights of 1 are zero."""
INTEGERS = [
    pytest.param(
        f"{Q} r = QLinearConv(q, qs, qz, v, ws, wz, ys, yz, t) y = Cast<to=1>(r)",
        "int8[3,4,1,1] v = {2,1,1,1, 1,1,1,1, 2,2,1,2}, int32[3] t = {8, -16, 0}",
        [9, 5, N],
        ("1101", "0001"),
        id="qlinear-conv",
    ),
    pytest.param(
        f"{Q} r = QLinearConv<pads=[1,1,1,1]>(q, qs, qz, v, ws, wz, ys, yz) y = Cast<to=1>(r)",
        "int8[3,4,1,1] v = {1,2,1,1, 2,1,1,1, 1,1,1,2}",
        [7, N, N],
        ("1101", "1001"),
        id="qlinear-conv-with-padding",
    ),
    pytest.param(
        f"{Q} r = ConvInteger(q, v, qz, wz) y = Cast<to=1>(r)",
        "int8[2,4,1,1] v = {2,3,1,1, 1,1,1,2}",
        [10, N],
        ("1101", "1001"),
        id="conv-integer",
    ),
    pytest.param(
        f"{Q} u = Transpose<perm=[0,2,3,1]>(q) r = MatMulInteger(u, v, qz, wz) y = Cast<to=1>(r)",
        "int8[4,2] v = {2,1, 3,1, 1,1, 1,2}",
        [10, N],
        ("1101", "1001"),
        id="matmul-integer",
    ),
    pytest.param(
        f"{Q} u = Transpose<perm=[0,2,3,1]>(q) r = QLinearMatMul(u, qs, qz, v, ws, wz, ys, yz)"
        " y = Cast<to=1>(r)",
        "int8[4,2] v = {5,1, 3,1, 1,1, 1,2}",
        [12, N],
        ("1101", "1001"),
        id="qlinear-matmul",
    ),
    pytest.param(
        f"{Q} p = MaxPool<kernel_shape=[4,4]>(q) u = Flatten(p)"
        " r = com.microsoft.QGemm<transB=1>(u, qs, qz, v, ws, wz, t, ys, yz) y = Cast<to=1>(r)",
        "int8[2,4] v = {5,3,1,1, 1,1,1,2}, int32[2] t = {8, 0}",
        [13, N],
        ("1101", "0001"),
        id="qgemm",
    ),
    pytest.param(
        "d = DequantizeLinear(v, ws, wz) y = Conv(a, d)",
        "int8[2,4,1,1] v = {2,1,1,1, 1,1,1,2}",
        [1.25, N],
        ("1001", "0001"),
        id="dequantised-weight",
    ),
]


@pytest.mark.parametrize(("nodes", "stored", "constant", "masks"), INTEGERS)
def test_integers(nodes, stored, constant, masks):
    source = source_of(nodes, f"{QUANTISED}, {stored}")
    facts = facts_of(source)
    assert known(facts, "y") == constant
    assert (wanted(facts.read, "a"), wanted(facts.needed, "a")) == masks
    assert disagreements(source, facts) == []


RUN = [
    pytest.param(*case.values[:2], id=case.id)
    for case in [*CONSTANTS, *READ]
    if case.id not in ("unknown-op", "nobody", "random", "bfloat16")
]


@pytest.mark.parametrize(("nodes", "stored"), RUN)
def test_runs_agree(nodes, stored):
    source = source_of(nodes, stored)
    assert disagreements(source, facts_of(source)) == []
