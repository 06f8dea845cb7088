"""Formulas of sizes: proven, or unknown."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from convaudit.analyzer import analyze
from convaudit.shapes import as_text
from tests.frontends.onnx.models import model, only_layer, walk

W4 = "float[4,4,1,1] w = {" + ",".join(["0"] * 16) + "}"
X = "float[N,4,H,W] x"


def conv_behind(nodes: str, stored: str = "", inputs: str = X) -> str:
    """A convolution of ``y``, which ``nodes`` make of ``x``."""
    stored = f"{W4}, {stored}" if stored else W4
    return f"g ({inputs}) => (float[a,b,c,d] z) <{stored}> {{ {nodes} z = Conv(y, w) }}"


def ints(name: str, *values: int) -> str:
    return f"int64[{len(values)}] {name} = {{{', '.join(map(str, values))}}}"


def slice_(start: int, end: int, axis: int, step: int = 1) -> str:
    stored = (ints("s", start), ints("e", end), ints("ax", axis), ints("st", step))
    return conv_behind("y = Slice(x, s, e, ax, st)", ", ".join(stored))


PROVEN = [
    pytest.param(slice_(0, 1000, 2), "Nx4x(min(H, 1000))xW", id="slice-clamped"),
    pytest.param(slice_(0, 2**31, 2), "Nx4x(min(H, 2147483648))xW", id="slice-far"),
    pytest.param(slice_(0, 2**63 - 1, 2), "Nx4xHxW", id="slice-to-the-end"),
    pytest.param(slice_(0, 8, 0), "(min(N, 8))x4xHxW", id="slice-of-the-batch"),
    pytest.param(slice_(0, 2**63 - 1, 2, 2), "Nx4x(ceil(H/2))xW", id="slice-by-two"),
    pytest.param(slice_(1, 2**63 - 1, 2, 2), "Nx4x(floor(H/2))xW", id="slice-odd-rows"),
    pytest.param(slice_(-1, -(2**63) + 1, 2, -1), "Nx4xHxW", id="slice-backwards"),
    pytest.param(slice_(0, -2, 3), "Nx4xHx(max(W - 2, 0))", id="slice-but-the-last"),
    pytest.param(
        conv_behind("y = MaxPool<kernel_shape=[2,2], strides=[3,3], ceil_mode=1>(x)"),
        "Nx4x(ceil(H/3))x(ceil(W/3))",
        id="ceil-mode",
    ),
    pytest.param(
        conv_behind(
            "s = Shape(x) hw = Slice(s, two, four, zero) half = Div(hw, two) nc = Slice(s, zero, two, zero)"
            ' to = Concat<axis=0>(nc, half) y = Resize<mode="nearest">(x, "", "", to)',
            ", ".join((ints("zero", 0), ints("two", 2), ints("four", 4))),
        ),
        "Nx4x(floor(H/2))x(floor(W/2))",
        id="shape-div-resize",
    ),
    pytest.param(
        conv_behind(
            "s = Shape(x) hw = Slice(s, two, four, zero) rest = Mod(hw, m) more = Sub(m, rest)"
            " pad = Mod(more, m) pads = Concat<axis=0>(none, pad) y = Pad(x, pads)",
            ", ".join(
                (ints("zero", 0), ints("two", 2), ints("four", 4), ints("m", 32), ints("none", *[0] * 6))
            ),
        ),
        "Nx4x(32*ceil(H/32))x(32*ceil(W/32))",
        id="mod-padding",
    ),
    pytest.param(
        conv_behind(
            "a = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)"
            " b = MaxPool<kernel_shape=[1,1], strides=[2,2]>(x) y = Add(a, b)"
        ),
        "Nx4x(ceil(H/2))x(ceil(W/2))",
        id="add-of-equal-sizes",
    ),
    pytest.param(
        conv_behind("y = com.microsoft.QuickGelu(x)"), "Nx4xHxW", id="op-of-onnxruntime-with-a-rule"
    ),
    pytest.param(
        conv_behind(
            "l = Loop(m, go, x) <body = b (int64 i, bool c) => (bool c) {}> y = Relu(x)",
            "int64 m = {3}, bool go = {1}",
        ),
        "Nx4xHxW",
        id="malformed-loop-spoils-only-itself",
    ),
]


@pytest.mark.parametrize(("source", "shape"), PROVEN)
def test_proven(source: str, shape: str) -> None:
    assert as_text(only_layer(source, allow_run=False).input_shape) == shape


UNKNOWN = [
    pytest.param(conv_behind("y = com.microsoft.NoSuchOp(x)"), "?", id="op-without-a-rule"),
    pytest.param(conv_behind("y = custom.Same(x)"), "?", id="foreign-op"),
    pytest.param(
        conv_behind('y = Resize<mode="nearest">(x, "", s)', "float[4] s = {1, 1, 0.7, 0.7}"),
        "Nx4x?x?",
        id="product-that-float32-rounds",
    ),
    *(
        pytest.param(
            conv_behind(
                f'y = Resize<mode="nearest", axes=[2,3], keep_aspect_ratio_policy="{policy}">(x, "", "", s)',
                ints("s", 16, 23),
            ),
            "Nx4x?x?",
            id=policy,
        )
        for policy in ("not_larger", "not_smaller")
    ),
    pytest.param(
        conv_behind("i = NonZero(f) y = Compress<axis=2>(x, f)", "bool[3] f = {1, 0, 1}"),
        "Nx4x?xW",
        id="data",
    ),
]


@pytest.mark.parametrize(("source", "shape"), UNKNOWN)
def test_unknown(source: str, shape: str) -> None:
    assert as_text(only_layer(source, allow_run=False).input_shape) == shape


STATIC = "float[1,4,18,23] x"
FIXED = [
    pytest.param("MaxPool<kernel_shape=[2,2], strides=[3,3], ceil_mode=1>(x)", (1, 4, 6, 8), id="ceil-mode"),
    pytest.param(
        "AveragePool<kernel_shape=[1,1], strides=[2,2], ceil_mode=1>(x)", (1, 4, 9, 12), id="ceil-1"
    ),
    pytest.param("ConvTranspose<output_shape=[9,9], strides=[1,1]>(x, w)", (1, 4, 9, 9), id="output-shape"),
]


@pytest.mark.parametrize(("op", "shape"), FIXED)
def test_onnx_is_corrected_on_static_models(op: str, shape: tuple[int, ...]) -> None:
    assert walk(conv_behind(f"y = {op}", inputs=STATIC), allow_run=False).layers[-1].input_shape == shape


@pytest.mark.parametrize(
    ("attributes", "bins"),
    [
        pytest.param("", 9, id="by-default"),
        pytest.param("<onesided=1>", 9, id="one-sided"),
        pytest.param("<onesided=0>", 16, id="two-sided"),
    ],
)
def test_bins_of_a_short_time_fourier_transform(attributes: str, bins: int) -> None:
    layer = only_layer(
        f"""g (float[1,128,1] x) => (float[a,b,c,d] y) <int64 step = {{8}}, int64 length = {{16}},
            float[1,2,1,1] w = {{0, 0}}> {{
            s = STFT{attributes}(x, step, "", length)
            t = Transpose<perm=[0,3,1,2]>(s)
            y = Conv(t, w)
        }}""",
        allow_run=False,
    )
    assert layer.input_shape == (1, 2, 15, bins)


BACKWARDS = [ints("ax", 2), ints("st", -1)]
DISAGREED = [
    pytest.param(
        conv_behind('y = MaxPool<auto_pad="SAME_UPPER", kernel_shape=[1,3], dilations=[1,2]>(x)', "", STATIC),
        "1x4x18x?",
        (1, 4, 18, 21),
        id="dilated-same",
    ),
    pytest.param(
        conv_behind(
            "y = Slice(x, s, e, ax, st)", ", ".join([ints("s", 1), ints("e", 2**63 - 1), *BACKWARDS])
        ).replace(X, STATIC),
        "1x4x?x23",
        (1, 4, 2, 23),
        id="backwards-to-the-largest",
    ),
    pytest.param(
        conv_behind(
            "y = Slice(x, s, e, ax, st)", ", ".join([ints("s", 1), ints("e", 2**31 - 1), *BACKWARDS])
        ).replace(X, STATIC),
        "1x4x?x23",
        (1, 4, 2, 23),
        id="backwards-to-the-largest-int32",
    ),
    pytest.param(
        conv_behind(
            'y = Resize<mode="nearest", axes=[-2], keep_aspect_ratio_policy="not_larger">(x, "", "", s)',
            ints("s", 27),
            STATIC,
        ),
        "1x4x?x23",
        (1, 4, 18, 23),
        id="policy-of-negative-axes",
    ),
    pytest.param(
        conv_behind(
            "q = SplitToSequence<axis=0, keepdims=0>(v, one) e = SequenceAt(q, nil) u = Unsqueeze(e, ax) "
            "y = Squeeze(u, ax)",
            "int64 one = {1}, int64 nil = {0}, int64[1] ax = {0}",
            "float[2,1,4,18,23] v",
        ),
        "?",
        (1, 4, 18, 23),
        id="split-without-its-axis",
    ),
]


@pytest.mark.parametrize(("source", "unknown", "ran"), DISAGREED)
def test_what_onnx_and_onnxruntime_read_differently_is_told_by_a_run(
    source: str, unknown: str, ran: tuple[int, ...]
) -> None:
    assert as_text(only_layer(source, allow_run=False).input_shape) == unknown
    assert only_layer(source).input_shape == ran


def quantized(op: str) -> ModelProto:
    """A quantised pooling in front of a quantised convolution."""
    return model(
        f"""g (uint8[N,4,8,8] x) => (uint8[a,b,c,d] z) <float s = {{1}}, uint8 p = {{0}},
            uint8[4,4,1,1] w = {{{",".join(["0"] * 16)}}}> {{
            y = com.microsoft.{op}
            z = QLinearConv(y, s, p, w, s, p, s, p)
        }}"""
    )


@pytest.mark.parametrize(
    ("op", "macs"),
    [
        pytest.param("QLinearGlobalAveragePool(x, s, p, s, p)", "16*N", id="global"),
        pytest.param(
            "QLinearAveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x, s, p, s, p)",
            "256*N",
            id="average",
        ),
        pytest.param("QLinearReduceMean<axes=[2,3], keepdims=1>(x, s, p, s, p)", "16*N", id="mean"),
        pytest.param("QLinearConcat<axis=2>(s, p, x, s, p, x, s, p)", "2048*N", id="concat"),
    ],
)
def test_quantised_operators(op: str, macs: str) -> None:
    report = analyze(walk(quantized(op), allow_run=False))
    assert str(report.layers[0].macs) == macs


def test_peak_of_a_stride_by_slicing() -> None:
    sliced = slice_(0, 2**63 - 1, 2, 2).replace(
        "z = Conv(y, w)", "v = Conv(y, w) p = GlobalAveragePool(v) z = Conv(p, w)"
    )
    report = analyze(walk(sliced, allow_run=False))
    assert str(report.totals.peak_activation_bytes) == "32*N*W*ceil(H/2)"


def test_the_costlier_arm_is_the_one_that_slices_by_two() -> None:
    arms = """y = If (c) <
        then_branch = t () => (float[e,f,g,i] u) { p = Slice(x, s, e, ax, st) u = Conv(p, w) },
        else_branch = o () => (float[j,k,l,m] v) { q = GlobalAveragePool(x) v = Conv(q, w) }
    >"""
    stored = (ints("s", 0), ints("e", 2**63 - 1), ints("ax", 2), ints("st", 2))
    source = conv_behind(arms, ", ".join(stored), f"{X}, bool c").replace("z = Conv(y, w)", "z = Relu(y)")
    report = analyze(walk(source, allow_run=False))
    assert str(report.totals.macs) == "16*N*W*ceil(H/2)"


def test_shift_by_one_and_stride_two_is_not_refused() -> None:
    twice = slice_(1, 2**63 - 1, 2, 2)
    layer = only_layer(twice, dims={"H": 9})
    assert layer.input_shape is not None
    assert layer.input_shape[2] == 4


MATRICES = [
    pytest.param('com.microsoft.FusedGemm<activation="Relu">(x, m)', "24*N", id="FusedGemm"),
    pytest.param("com.microsoft.DynamicQuantizeMatMul(x, q, s)", "24*N", id="DynamicQuantizeMatMul"),
]


@pytest.mark.parametrize(("op", "macs"), MATRICES)
def test_products_of_onnxruntime(op: str, macs: str) -> None:
    stored = "float[4,6] m = {" + ",".join(["0"] * 24) + "}, uint8[4,6] q = {" + ",".join(["0"] * 24) + "}"
    network = walk(
        f"g (float[N,4] x) => (float[a,b] y) <{stored}, float[1] s = {{1}}> {{ y = {op} }}", allow_run=False
    )
    assert str(network.other_ops[0].macs) == macs


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(" ".join(f"n{i + 1} = Mul(n{i}, n{i})" for i in range(60)), id="squares"),
        pytest.param(" ".join(f"n{i + 1} = Concat<axis=0>(n{i}, n{i})" for i in range(60)), id="doubled"),
        pytest.param(
            " ".join(
                f"m{i} = Add(n{i}, n0) k{i} = Div(m{i}, three) n{i + 1} = Mul(k{i}, m{i})" for i in range(60)
            ),
            id="nested-floors",
        ),
        pytest.param(
            " ".join(
                f"m{i} = Max(n{i}, three) k{i} = Sub(m{i}, n0) n{i + 1} = Min(k{i}, m{i})" for i in range(60)
            ),
            id="nested-extremes",
        ),
    ],
)
def test_hostile_arithmetic_ends(nodes: str) -> None:
    source = conv_behind(f"n0 = Shape(x) {nodes} y = Expand(x, n60)", ints("three", 3))
    layer = only_layer(source, allow_run=False)
    assert layer.weight_shape == (4, 4, 1, 1)


def test_absurd_dimensions_are_names() -> None:
    sizes = [f"(a{axis} + b + c + d)**7" for axis in range(4)]
    source = model(conv_behind("y = Relu(x)"))
    for dim, text in zip(source.graph.input[0].type.tensor_type.shape.dim, sizes, strict=True):
        dim.dim_param = text
    source.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    report = analyze(walk(source, allow_run=False))
    assert (
        str(report.layers[0].macs) == "16*[(a0 + b + c + d)**7]*[(a2 + b + c + d)**7]*[(a3 + b + c + d)**7]"
    )
