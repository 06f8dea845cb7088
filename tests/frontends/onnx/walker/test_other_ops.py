"""The ops beside the convolutions: what the multiplying ones cost, and how the rest is listed."""

from __future__ import annotations

import re

import pytest
from onnx import defs

from convaudit.analyzer import analyze
from convaudit.frontends.onnx.ops import CONV_OPS, op_name
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS, NOT_MULTIPLYING
from convaudit.records import Branch
from tests.frontends.onnx.models import model, walk


def graph(node: str, inputs: str, output: str = "float[a] y") -> str:
    return f"g ({inputs}) => ({output}) {{ {node} }}"


COUNTED = [
    pytest.param("y = Gemm(a, b)", "float[4,5] a, float[5,6] b", 4 * 5 * 6, id="gemm"),
    pytest.param("y = Gemm<transA=1>(a, b)", "float[5,4] a, float[5,6] b", 4 * 5 * 6, id="gemm-transA"),
    pytest.param("y = Gemm<transB=1>(a, b)", "float[4,5] a, float[6,5] b", 4 * 5 * 6, id="gemm-transB"),
    pytest.param("y = Gemm(a, b, c)", "float[4,5] a, float[5,6] b, float[6] c", 4 * 5 * 6, id="gemm-bias"),
    pytest.param("y = MatMul(a, b)", "float[4,5] a, float[5,6] b", 4 * 5 * 6, id="matmul"),
    pytest.param(
        "y = MatMul(a, b)", "float[2,1,4,5] a, float[3,5,6] b", 2 * 3 * 4 * 5 * 6, id="matmul-broadcast"
    ),
    pytest.param("y = MatMul(a, b)", "float[5] a, float[5,6] b", 5 * 6, id="matmul-vector"),
    pytest.param("y = MatMul(a, b)", "float[5] a, float[5] b", 5, id="matmul-dot"),
    pytest.param("y = MatMulInteger(a, b)", "uint8[4,5] a, uint8[5,6] b", 4 * 5 * 6, id="matmul-integer"),
    pytest.param(
        "y = QLinearMatMul(a, s, z, b, s, z, s, z)",
        "uint8[4,5] a, float s, uint8 z, uint8[5,6] b",
        4 * 5 * 6,
        id="qlinear-matmul",
    ),
    pytest.param(
        "y = LSTM<hidden_size=6>(x, w, r)",
        "float[7,2,5] x, float[1,24,5] w, float[1,24,6] r",
        7 * 2 * 4 * 6 * (5 + 6),
        id="lstm",
    ),
    pytest.param(
        'y = GRU<hidden_size=6, direction="bidirectional">(x, w, r)',
        "float[7,2,5] x, float[2,18,5] w, float[2,18,6] r",
        7 * 2 * 2 * 3 * 6 * (5 + 6),
        id="gru-bidirectional",
    ),
    pytest.param(
        "y = RNN<hidden_size=6, layout=1>(x, w, r)",
        "float[2,7,5] x, float[1,6,5] w, float[1,6,6] r",
        7 * 2 * 6 * (5 + 6),
        id="rnn-batch-first",
    ),
    pytest.param(
        "y = Attention(q, k, v)",
        "float[2,8,10,16] q, float[2,8,12,16] k, float[2,8,12,20] v",
        2 * 8 * 10 * 12 * (16 + 20),
        id="attention",
    ),
    pytest.param(
        "y = Attention<q_num_heads=8, kv_num_heads=2>(q, k, v)",
        "float[2,10,128] q, float[2,12,32] k, float[2,12,40] v",
        2 * 8 * 10 * 12 * (16 + 20),
        id="attention-grouped-query",
    ),
    pytest.param(
        'y, pk, pv = Attention(q, k, v, "", a, b)',
        "float[1,8,1,16] q, float[1,8,1,16] k, float[1,8,1,16] v, float[1,8,99,16] a, float[1,8,99,16] b",
        8 * 100 * (16 + 16),
        id="attention-past",
    ),
    pytest.param(
        'y = Einsum<equation="bij,bjk->bik">(a, b)',
        "float[2,3,4] a, float[2,4,5] b",
        2 * 3 * 4 * 5,
        id="einsum",
    ),
    pytest.param(
        'y = Einsum<equation="...ij, ...jk">(a, b)',
        "float[2,3,4] a, float[7,1,4,5] b",
        7 * 2 * 60,
        id="einsum-ellipsis",
    ),
    pytest.param(
        'y = Einsum<equation="ij,j,i->">(a, b, c)', "float[3,4] a, float[4] b, float[3] c", 24, id="einsum-3"
    ),
    pytest.param('y = Einsum<equation="ij->ji">(a)', "float[3,4] a", 0, id="einsum-transpose"),
    pytest.param(
        "y = AffineGrid(t, s)", "float[2,2,3] t, int64[4] s", None, id="affine-grid-of-unknown-size"
    ),
    pytest.param("y = com.microsoft.FusedMatMul(a, b)", "float[4,5] a, float[5,6] b", 4 * 5 * 6, id="fused"),
]


@pytest.mark.parametrize(("node", "inputs", "macs"), COUNTED)
def test_counted(node: str, inputs: str, macs: int | None) -> None:
    network = walk(graph(node, inputs), opset=23, allow_run=False)
    (other,) = network.other_ops
    assert (other.count, other.macs) == (1, macs)
    assert other.reason == (None if macs is not None else "a shape is unknown")
    assert network.uncounted_ops == ()


# Of onnxruntime's ops the result's shape is known from the model's own claim.
MICROSOFT = [
    pytest.param(
        "FusedMatMul<transA=1>(a, b)", "float[3,5,4] a, float[3,5,6] b", (3, 4, 6), 3 * 4 * 5 * 6, id="transA"
    ),
    pytest.param(
        "FusedMatMul<transA=1, transBatchA=1>(a, b)",
        "float[5,3,4] a, float[3,5,6] b",
        (3, 4, 6),
        360,
        id="transBatchA",
    ),
    pytest.param("TransposeMatMul(a, b)", "float[4,5] a, float[5,6] b", (4, 6), 120, id="transpose-matmul"),
    pytest.param("FusedGemm<transA=1>(a, b)", "float[5,4] a, float[5,6] b", (4, 6), 120, id="fused-gemm"),
    pytest.param(
        "MatMulNBits<K=32, N=6, bits=4, block_size=32>(a, b, s)",
        "float[2,4,32] a, uint8[6,1,16] b, float[6] s",
        (2, 4, 6),
        2 * 4 * 32 * 6,
        id="matmul-nbits",
    ),
    pytest.param(
        "DynamicQuantizeMatMul(a, b, s)", "float[4,5] a, uint8[5,6] b, float s", (4, 6), 120, id="dynamic"
    ),
    pytest.param(
        "MultiHeadAttention<num_heads=2>(a, b, c)",
        "float[2,10,16] a, float[2,12,16] b, float[2,12,20] c",
        (2, 10, 20),
        2 * 10 * 12 * (16 + 20),
        id="multi-head-attention",
    ),
    pytest.param(
        "Attention<num_heads=2>(a, b, c)",
        "float[2,10,16] a, float[16,48] b, float[48] c",
        (2, 10, 16),
        2 * 10 * 16 * 48 + 2 * 10 * 10 * (16 + 16),
        id="attention",
    ),
    pytest.param(
        "Attention<num_heads=2, qkv_hidden_sizes=[16, 16, 8]>(a, b, c)",
        "float[2,10,16] a, float[16,40] b, float[40] c",
        (2, 10, 8),
        2 * 10 * 16 * 40 + 2 * 10 * 10 * (16 + 8),
        id="attention-hidden-sizes",
    ),
]


@pytest.mark.parametrize(("node", "inputs", "output", "macs"), MICROSOFT)
def test_counted_of_onnxruntime(node: str, inputs: str, output: tuple[int, ...], macs: int) -> None:
    shape = ",".join(map(str, output))
    network = walk(graph(f"y = com.microsoft.{node}", inputs, f"float[{shape}] y"), allow_run=False)
    (other,) = network.other_ops
    assert (other.op, other.macs) == (f"com.microsoft.{re.split('[<(]', node)[0]}", macs)


def test_formula() -> None:
    (other,) = walk(graph("y = MatMul(a, b)", "float[N,T,64] a, float[64,8] b")).other_ops
    assert str(other.macs) == "512*N*T"


def test_same_op_is_one_row() -> None:
    network = walk(
        "g (float[4,5] a, float[5,5] b) => (float[n,m] y)"
        " { t = MatMul(a, b) r = Relu(t) u = MatMul(r, b) y = Relu(u) }"
    )
    (other,) = network.other_ops
    assert (other.op, other.count, other.macs) == ("MatMul", 2, 200)
    assert network.uncounted_ops == (("Relu", 2),)


def test_one_unknown_makes_the_sum_unknown() -> None:
    network = walk(
        "g (float[4,5] a, float b, float[5,5] c) => (float[n,m] y) { y = MatMul(a, c) z = MatMul(b, c) }",
        allow_run=False,
    )
    (other,) = network.other_ops
    assert (other.count, other.macs, other.reason) == (2, None, "a shape is unknown")


def test_exclusive_branches_take_the_costlier_arm() -> None:
    network = walk("""
    g (bool c, float[4,5] a, float[5,6] b) => (float[n,m] y) {
        y = If (c) <
            then_branch = t () => (float[n,m] p) { p = MatMul(a, b) },
            else_branch = e () => (float[n,m] q) { q = Gemm(a, b)  r = Gemm(a, b) }
        >
    }""")
    assert [(other.op, other.macs, other.branches) for other in network.other_ops] == [
        ("MatMul", 120, (Branch(choice="If_0", arm="then_branch"),)),
        ("Gemm", 240, (Branch(choice="If_0", arm="else_branch"),)),
    ]
    assert analyze(network).totals.model_macs == 240
    assert network.uncounted_ops == (("If", 1),)


UNKNOWN = [
    pytest.param("custom.Mystery", "does not know", True, id="custom"),
    pytest.param("custom.DeformConv2d", "does not know", True, id="custom-convolution"),
    pytest.param("com.microsoft.MoE", "no counting rule", False, id="onnxruntime"),
    pytest.param("com.microsoft.EPContext", "does not know", True, id="compiled"),
    pytest.param("com.microsoft.VarlenCausalConvWithState", "does not know", True, id="convolution"),
    pytest.param("com.ms.internal.nhwc.ConvInteger", "does not know", True, id="layout-of-no-known-op"),
    pytest.param("com.ms.internal.nhwc.MatMul", "does not know", True, id="layout-of-a-multiplying-op"),
    pytest.param("com.microsoft.nchwc.Unheard", "does not know", True, id="reordered"),
    pytest.param("Unheard", "does not know", True, id="standard-domain"),
    pytest.param("Det", "algorithm", False, id="no-count"),
]


@pytest.mark.parametrize(("op", "reason", "opaque"), UNKNOWN)
def test_unknown(op: str, reason: str, *, opaque: bool) -> None:
    network = walk(graph(f"y = {op}(a)", "float[4,4] a"), allow_run=False)
    (other,) = network.other_ops
    assert (other.op, other.count, other.macs, other.opaque) == (op, 1, None, opaque)
    assert reason in str(other.reason)
    report = analyze(network)
    assert report.totals.model_macs is None
    assert (report.totals.macs is None) == opaque
    assert ("the model contains no convolution" in report.warnings) != opaque


NAMED = [
    pytest.param("custom.MyConv", True, id="custom"),
    pytest.param("com.microsoft.SuperConvNd", True, id="onnxruntime"),
    pytest.param("custom.ConvertLayout", False, id="convert"),
    pytest.param("my.conv.Mystery", False, id="domain"),
]


@pytest.mark.parametrize(("op", "convolves"), NAMED)
def test_an_unknown_convolution_is_said_to_be_one(op: str, *, convolves: bool) -> None:
    domain = op.rpartition(".")[0]
    source = model(graph("y = custom.X(a)", "float[4,4] a"))
    source.graph.node[0].domain, source.graph.node[0].op_type = domain, op.rpartition(".")[2]
    report = analyze(walk(source, allow_run=False))
    warning = report.warnings[-1]
    said = "a convolution by its name; it has no row, and the convolutions' totals are unknown"
    assert warning.startswith(f"1 {op}: {said if convolves else 'convolutions may run in it unseen'}")
    assert ("defined by a function in the file, it would be counted" in warning) == convolves
    assert report.totals.macs is None


@pytest.mark.parametrize(
    "op",
    [
        *("SimplifiedLayerNormalization", "EfficientNMS_TRT", "com.ms.internal.nhwc.MaxPool", "ai.onnx.Relu"),
        *("com.ms.internal.nhwc.QLinearAveragePool", "com.microsoft.nchwc.ReorderOutput"),
    ],
)
def test_ops_that_onnxruntime_writes_and_that_multiply_nothing(op: str) -> None:
    network = walk(graph(f"y = {op}(a)", "float[4,4] a"), allow_run=False)
    assert network.other_ops == ()
    assert analyze(network).totals.model_macs == 0


@pytest.mark.parametrize("equation", ["ij,jk->ik", "i...j...,jk", "ijk,jk", ""])
def test_wrong_equation_is_unknown(equation: str) -> None:
    network = walk(
        graph(f'y = Einsum<equation="{equation}">(a, b, b)', "float[3,4] a, float[4,5] b"), allow_run=False
    )
    assert network.other_ops[0].macs is None


def test_hostile_attributes_are_unknown() -> None:
    network = walk(
        graph("y = Attention<q_num_heads=0>(q, k, v)", "float[2,8,16] q, float[2,8,16] k, float[2,8,16] v"),
        opset=23,
        allow_run=False,
    )
    assert (network.other_ops[0].macs, network.other_ops[0].reason) == (None, "a shape is unknown")


def test_every_rule_is_for_an_op_that_exists() -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    existing = {
        schema.name if not schema.domain else f"{schema.domain}.{schema.name}"
        for schema in defs.get_all_schemas()
    }
    existing |= {f"{schema.domain}.{schema.name}" for schema in get_all_operator_schema()}
    existing |= {schema.name for schema in get_all_operator_schema() if not schema.domain}
    assert {*MULTIPLYING_OPS, *NOT_MULTIPLYING} - existing == set()
    assert not {*MULTIPLYING_OPS} & {*NOT_MULTIPLYING, *CONV_OPS}
    assert not {*CONV_OPS} & NOT_MULTIPLYING


@pytest.mark.parametrize("op", [op for op, row in MULTIPLYING_OPS.items() if not isinstance(row.macs, str)])
def test_settings_are_the_operands_that_onnxruntime_declares_as_such(op: str) -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    schemas = [schema for schema in get_all_operator_schema() if op_name(schema.domain, schema.name) == op]
    newest = max(schemas, key=lambda schema: schema.since_version)
    declared = {
        index
        for index, operand in enumerate(newest.inputs)
        if re.search("scale|zero_point|absmax|initial_|sequence_lens|past", operand.name)
    }
    assert MULTIPLYING_OPS[op].settings == declared


def test_no_multiplying_op_of_onnx_is_forgotten() -> None:
    names = {schema.name for schema in defs.get_all_schemas() if not schema.domain}
    words = ("Conv", "MatMul", "Gemm", "Attention", "LSTM", "GRU", "RNN", "FT", "Einsum")
    multiplying = {name for name in names if any(word in name for word in words)}
    assert multiplying - {*CONV_OPS, *MULTIPLYING_OPS} == set()


def test_model_without_convolutions() -> None:
    network = walk(model(graph("y = Relu(a)", "float[3] a")))
    assert network.layers == ()
    assert network.uncounted_ops == (("Relu", 1),)
