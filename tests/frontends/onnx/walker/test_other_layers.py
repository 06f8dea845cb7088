"""A row for each multiplying op of an ONNX model that is not a convolution."""

from __future__ import annotations

from typing import Any

import pytest

from convaudit.analyzer import analyze
from convaudit.records import Branch, OtherLayer
from tests.frontends.onnx.models import values, walk


def rows(source: str, **options: Any) -> dict[str, OtherLayer]:
    return {row.name: row for row in walk(source, **options).other_layers}


def only_row(node: str, inputs: str, stored: str = "", output: str = "float[a] y") -> OtherLayer:
    (row,) = rows(f"g ({inputs}) => ({output}) <{stored}> {{ {node} }}", allow_run=False).values()
    return row


W, B, R = values("w", 5, 6), values("b", 6), values("r", 1, 24, 6)
W8, B8 = values("w", 5, 6, dtype="uint8"), values("b", 6, dtype="int32")
PACKED = values("w", 6, 1, 16, dtype="uint8", scale=0)
QUANTISED = f"{W8}, float s = {{0.1}}, uint8 z = {{3}}"
PARAMETERS = [
    pytest.param("y = Gemm(x, w, b)", "float[4,5] x", f"{W}, {B}", 36, (5, 6), "w", id="bias"),
    pytest.param("y = MatMul(x, w)", "float[4,5] x", W, 30, (5, 6), "w", id="matmul"),
    pytest.param("y = MatMul(w, x)", "float[6,4] x", W, 30, (5, 6), "w", id="weight-first"),
    pytest.param("y = MatMul(x, c)", "float[4,5] x, float[5,6] c", "", 0, None, None, id="none"),
    pytest.param("y = Gemm(x, c, b)", "float[4,5] x, float[5,6] c", B, 6, None, None, id="only-a-bias"),
    pytest.param(
        "t = Transpose(w) y = MatMul(x, t)", "float[4,6] x", W, 30, (6, 5), "w", id="stored-transposed"
    ),
    pytest.param(
        "y = LSTM<hidden_size=6>(x, v, r)",
        "float[7,2,5] x",
        f"{values('v', 1, 24, 5)}, {R}",
        24 * 11,
        (1, 24, 5),
        "v",
        id="lstm",
    ),
    pytest.param(
        "y = MatMulInteger(x, w, z, z)",
        "uint8[4,5] x",
        f"{W8}, uint8 z = {{3}}",
        30,
        (5, 6),
        "w",
        id="integers",
    ),
    pytest.param(
        "d = DequantizeLinear(w, s, z) y = MatMul(x, d)",
        "float[4,5] x",
        QUANTISED,
        30,
        (5, 6),
        "w",
        id="dequantised",
    ),
    pytest.param("d = Cast<to=1>(w) y = MatMul(x, d)", "float[4,5] x", W8, 0, None, None, id="cast-integers"),
    pytest.param(
        "y = QLinearMatMul(x, s, z, w, s, z, s, z)", "uint8[4,5] x", QUANTISED, 30, (5, 6), "w", id="qlinear"
    ),
    pytest.param(
        "y = com.microsoft.MatMulNBits<K=32, N=6, bits=4, block_size=32>(x, w, s)",
        "float[2,4,32] x, float[6] s",
        PACKED,
        192,
        (6, 32),
        "w",
        id="packed",
    ),
]


@pytest.mark.parametrize(("node", "inputs", "stored", "params", "shape", "name"), PARAMETERS)
def test_parameters(node, inputs, stored, params, shape, name) -> None:
    row = only_row(node, inputs, stored)
    assert (row.params, row.weight_shape, row.weight_name) == (params, shape, name)


def test_a_row_says_what_a_call_costs() -> None:
    row = only_row("y = Gemm(x, w, b)", "float[N,5] x", f"{W}, {B}")
    assert (row.name, row.op, str(row.macs), str(row.flops)) == ("Gemm_0", "Gemm", "30*N", "60*N")
    assert (str(row.input_shape[0]), row.output_shape[1], row.dtype) == ("N", 6, "float32")
    assert [(tensor.name, tensor.shape) for tensor in row.stored] == [("w", (5, 6)), ("b", (6,))]
    assert (row.calls, row.scope, row.branches, row.notes) == (1, "", (), ())


def test_attention_is_one_row() -> None:
    row = only_row(
        "y = com.microsoft.MultiHeadAttention<num_heads=2>(q, k, v)",
        "float[2,10,16] q, float[2,12,16] k, float[2,12,20] v",
        output="float[2,10,20] y",
    )
    assert (row.params, row.macs, row.input_shape) == (0, 2 * 10 * 12 * 36, (2, 10, 16))


def test_the_first_output_may_be_absent() -> None:
    inputs = "float[7,2,5] x, float[1,24,5] w, float[1,24,6] r"
    row = only_row('"", y = LSTM<hidden_size=6>(x, w, r)', inputs)
    assert row.output_shape == (1, 2, 6)


def test_names_are_unique_among_convolutions_too() -> None:
    network = walk(f"""g (float[1,5,3,3] x) => (float[n,m] y) <{values("k", 5, 5, 1, 1)}, {W}> {{
        [MatMul_2] a = Conv(x, k)
        f = Flatten(a)
        y = MatMul(f, f)
    }}""", allow_run=False)  # fmt: skip
    assert [layer.name for layer in network.layers] == ["MatMul_2"]
    assert [row.name for row in network.other_layers] == ["MatMul_2#2"]


def test_two_rows_may_share_a_tensor() -> None:
    found = rows(
        f"g (float[4,5] x) => (float[n,m] y) <{values('w', 5, 5)}>"
        " { t = MatMul(x, w) u = Relu(t) y = MatMul(u, w) }"
    )
    assert [(row.params, row.weight_name) for row in found.values()] == [(25, "w"), (25, "w")]


def test_rows_in_branches_and_loops() -> None:
    found = rows("""
    g (bool c, int64 n, float[4,5] a, float[5,5] b) => (float[p,q] y, float[r,s] z) {
        y = If (c) <
            then_branch = t () => (float[p,q] p) { p = MatMul(a, b) },
            else_branch = e () => (float[p,q] q) { q = Gemm(a, b) }
        >
        z = Loop (n, "", a) <
            body = l (int64 i, bool k, float[r,s] u) => (bool k2, float[r,s] v)
                { k2 = Identity(k) v = MatMul(a, b) }
        >
    }""")
    assert [(row.branches, row.calls, row.macs) for row in found.values()] == [
        ((Branch(choice="If_0", arm="then_branch"),), 1, 100),
        ((Branch(choice="If_0", arm="else_branch"),), 1, 100),
        ((), None, 100),
    ]
    assert [row.notes for row in found.values()] == [(), (), ("in a loop of unknown length",)]
    assert [row.scope for row in found.values()] == ["If_0/then_branch", "If_0/else_branch", "Loop_1/body"]


UNKNOWN = [
    pytest.param("y = MatMul(a, b)", "float a, float[5,6] b", "a shape is unknown: of 'y'", id="shape"),
    pytest.param("y = com.microsoft.MoE(a)", "float[4,4] a", "no counting rule", id="no-rule"),
    pytest.param("y = Det(a)", "float[4,4] a", "depends on the algorithm", id="algorithm"),
]


@pytest.mark.parametrize(("node", "inputs", "reason"), UNKNOWN)
def test_what_is_unknown_says_why(node: str, inputs: str, reason: str) -> None:
    row = only_row(node, inputs)
    assert (row.macs, row.notes) == (None, (reason,))


def test_an_op_that_nobody_knows_has_no_row() -> None:
    network = walk("g (float[4,4] a) => (float[n] y) { y = custom.Mystery(a) }", allow_run=False)
    assert network.other_layers == ()
    assert analyze(network).opaque_ops != ()
