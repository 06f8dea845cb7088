"""What breaks a rule of convolution is refused in one line: who, where, which value, which rule."""

from __future__ import annotations

import pytest
from onnx import ModelProto, TensorProto, helper

from convaudit.analyzer import analyze
from convaudit.errors import ConvauditError, GroupsError, ModelError, ShapeError
from tests.frontends.onnx.models import model, only_layer, walk


def node(text: str, x: str = "1,6,8,8", w: str = "6,6,3,3") -> ModelProto:
    return model(f"g (float[{x}] x, float[{w}] w) => (float[n, c, h, l] y) {{ y = {text} }}")


GROUPS = [
    pytest.param(
        "Conv<group=4>(x, w)",
        "1,6,8,8",
        "6,1,3,3",
        r"Conv_0 \(Conv, node 0 of the main graph\): in_channels must be divisible by groups, "
        r"got in_channels=6, groups=4",
        id="in-channels",
    ),
    pytest.param(
        "Conv<group=2>(x, w)",
        "1,6,8,8",
        "3,3,3,3",
        r"out_channels must be divisible by groups, got out_channels=3, groups=2",
        id="out-channels",
    ),
    pytest.param(
        "ConvTranspose<group=4>(x, w)",
        "1,6,8,8",
        "6,2,3,3",
        r"in_channels must be divisible by groups, got in_channels=6, groups=4",
        id="transposed",
    ),
    pytest.param("Conv<group=0>(x, w)", "1,6,8,8", "6,6,3,3", r"positive integer, got groups=0", id="zero"),
    pytest.param(
        "Conv<group=-2>(x, w)", "1,6,8,8", "6,3,3,3", r"positive integer, got groups=-2", id="negative"
    ),
    pytest.param(
        "Conv<group=4611686018427387904>(x, w)",
        "1,6,8,8",
        "6,3,3,3",
        r"in_channels must be divisible by groups, got in_channels=6, groups=4611686018427387904",
        id="huge",
    ),
]


@pytest.mark.parametrize(("text", "x", "w", "match"), GROUPS)
def test_groups(text: str, x: str, w: str, match: str) -> None:
    with pytest.raises(GroupsError, match=match):
        walk(node(text, x, w))


SHAPES = [
    pytest.param("Conv(x, w)", "1,5,8,8", "6,6,3,3", r"6 input channels, the input has 5", id="channels"),
    pytest.param(
        "Conv<group=2>(x, w)",
        "1,8,8,8",
        "6,3,3,3",
        r"groups=2 needs 6 input channels, .* has 8",
        id="grouped",
    ),
    pytest.param(
        "ConvTranspose(x, w)", "1,5,8,8", "6,6,3,3", r"6 input channels, the input has 5", id="transposed"
    ),
    pytest.param(
        "Conv<kernel_shape=[3, 5]>(x, w)", "1,6,8,8", "6,6,3,3", r"kernel_shape.*\[3, 5\]", id="kernel"
    ),
    pytest.param(
        "Conv<kernel_shape=[3]>(x, w)", "1,6,8,8", "6,6,3,3", r"kernel_shape.*\[3\]", id="kernel-rank"
    ),
    pytest.param(
        "Conv(x, w)", "1,6,8,8", "6,6,3,9", r"spans 9 .*more than the padded input's 8", id="kernel-too-large"
    ),
    pytest.param(
        "Conv<pads=[0, 1, 0, 0], dilations=[1, 5]>(x, w)",
        "1,6,8,8",
        "6,6,3,3",
        r"spans 11 \(kernel_size=3, dilation=5\), more than the padded input's 9",
        id="dilated-kernel-too-large",
    ),
    pytest.param("Conv(x, w)", "1,6,8", "6,6,3,3", r"same rank, got input 1x6x8, weight 6x6x3x3", id="rank"),
    pytest.param("Conv(x, w)", "1,6", "6,6", r"a kernel, got 6x6", id="no-kernel"),
    pytest.param("Conv(x, w)", "1,6,8,8", "6,6,3,0", r"a kernel, got 6x6x3x0", id="empty-kernel"),
    pytest.param(
        "ConvTranspose<pads=[9, 9, 9, 9]>(x, w)",
        "1,6,8,8",
        "6,6,3,3",
        r"output size would be -8",
        id="no-output",
    ),
]


@pytest.mark.parametrize(("text", "x", "w", "match"), SHAPES)
def test_shapes(text: str, x: str, w: str, match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        walk(node(text, x, w))


ATTRIBUTES = [
    pytest.param("Conv<strides=[0, 1]>(x, w)", r"strides must be between 1 and", id="zero-stride"),
    pytest.param("Conv<strides=[-1, 1]>(x, w)", r"strides must be between 1 and", id="negative-stride"),
    pytest.param("Conv<strides=[2]>(x, w)", r"strides must have 2 values, got \[2\]", id="too-few"),
    pytest.param("Conv<dilations=[0, 0]>(x, w)", r"dilations must be between 1 and", id="zero-dilation"),
    pytest.param("Conv<dilations=[4611686018427387904, 1]>(x, w)", r"dilations must be between", id="huge"),
    pytest.param("Conv<pads=[1, 1]>(x, w)", r"pads must have 4 values, got \[1, 1\]", id="pads-too-few"),
    pytest.param("Conv<pads=[0, 0, 0, -1]>(x, w)", r"pads must be between 0", id="negative-pads"),
    pytest.param("Conv<kernel_shape=[0, 3]>(x, w)", r"kernel_shape must be between 1", id="zero-kernel"),
    pytest.param('Conv<auto_pad="SAME">(x, w)', r"auto_pad must be one of .*got 'SAME'", id="auto-pad"),
    pytest.param("Conv<auto_pad=1>(x, w)", r"auto_pad must be of type STRING, not INT", id="int-for-string"),
    pytest.param("Conv<group=[1]>(x, w)", r"group must be of type INT, not INTS", id="ints-for-int"),
    pytest.param("Conv<strides=2>(x, w)", r"strides must be of type INTS, not INT", id="int-for-ints"),
    pytest.param("Conv<strides=[1.5, 1.5]>(x, w)", r"strides must be of type INTS, not FLOATS", id="floats"),
    pytest.param(
        "ConvTranspose<strides=[2, 2], output_padding=[2, 0]>(x, w)",
        r"output_padding must be smaller than stride or dilation, got output_padding=2, stride=2, dilation=1",
        id="output-padding",
    ),
    pytest.param(
        "ConvTranspose<output_shape=[1, 6, 9, 9]>(x, w)", r"output_shape must have 2 values", id="full-shape"
    ),
    pytest.param(
        "ConvTranspose<output_shape=[0, 9]>(x, w)", r"output_shape must be between 1", id="empty-shape"
    ),
    pytest.param("Conv(x)", r"has no weight \(input 1\)", id="no-weight"),
    pytest.param('Conv(x, "")', r"has no weight \(input 1\)", id="absent-weight"),
]


@pytest.mark.parametrize(("text", "match"), ATTRIBUTES)
def test_attributes(text: str, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        walk(node(text))
    assert "\n" not in str(caught.value)
    assert "node 0 of the main graph" in str(caught.value)


def test_error_says_where_in_a_branch() -> None:
    text = """
    g (bool c, float[1,6,8,8] x, float[6,1,3,3] w) => (float[n, k, h, l] y) {
        y = If (c) <
            then_branch = a () => (float[n, k, h, l] p) { p = Conv<group=4>(x, w) },
            else_branch = b () => (float[n, k, h, l] q) { q = Relu(x) }
        >
    }"""
    with pytest.raises(GroupsError, match=r"Conv_0 \(Conv, node 0 of If_0/then_branch\): in_channels"):
        walk(text)


# Sizes that no memory holds: refused, or counted exactly, but never wrapped around.
@pytest.mark.parametrize(
    "x", ["4611686018427387904,6,8,8", "65536,6,65536,65536", "2,6,9223372036854775807,2"]
)
def test_input_beyond_any_memory(x: str) -> None:
    with pytest.raises(ShapeError, match=r"input 'x': no memory holds a tensor of "):
        walk(node("Conv(x, w)", x=x))


def test_counts_beyond_64_bits_are_exact() -> None:
    size, channels = 2**40, 2**20
    network = walk(
        f"g (float[1,1,{size}] x, float[{channels},1,1] w, float[{channels},{channels},1] v)"
        " => (float[n,c,l] z) { y = Conv(x, w) z = Conv(y, v) }"
    )
    assert analyze(network).totals.macs == size * channels + size * channels**2 > 2**64


@pytest.mark.parametrize("size", [-1, -(2**62)])
def test_negative_input_size_is_an_open_one(size: int) -> None:
    source = node("Conv(x, w)")
    source.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    assert str(only_layer(source).output_shape[0]) == "x_dim0"  # type: ignore[index]


def test_negative_weight_size() -> None:
    source = node("Conv(x, w)")
    source.graph.input[1].type.tensor_type.shape.dim[2].dim_value = -3
    layer = only_layer(source)
    assert layer.weight_shape is not None


NEGATIVE = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4, 4, 3, 3])


def initializer(op: str) -> ModelProto:
    source = model(f"g (float[1,4,8,8] x) => (float[n,c,h,l] y) {{ y = {op}(x, w) }}")
    source.graph.initializer.append(NEGATIVE)
    return source


def constant() -> ModelProto:
    source = model("g (float[1,4,8,8] x) => (float[n,c,h,l] y) { y = Conv(x, w) }")
    source.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=NEGATIVE))
    return source


def sparse() -> ModelProto:
    source = model("g (float[1,4,8,8] x) => (float[n,c,h,l] y) { y = Conv(x, w) }")
    values = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], float_data=[1.0])
    indices = TensorProto(data_type=TensorProto.INT64, dims=[1], int64_data=[0])
    source.graph.sparse_initializer.add(values=values, indices=indices, dims=NEGATIVE.dims)
    return source


def with_attribute(op: str, x: str, w: str) -> ModelProto:
    return model(f"g ({x} x, {w} w) => (float y) {{ y = com.microsoft.{op}(x, w) }}")


NOT_NEGATIVE = r"dims must not be negative, got \[-4, 4, 3, 3\]"
HOSTILE_SIZES = [
    pytest.param(initializer("Conv"), r"'w': " + NOT_NEGATIVE, id="weight"),
    pytest.param(initializer("MatMul"), r"'w': " + NOT_NEGATIVE, id="weight-of-another-op"),
    pytest.param(constant(), NOT_NEGATIVE, id="constant"),
    pytest.param(sparse(), r"'w': " + NOT_NEGATIVE, id="sparse"),
    pytest.param(
        with_attribute("CausalConvWithState<dilation=-2>", "float[2,6,9]", "float[6,1,4]"),
        r"dilation must be between 1 and \d+, got -2",
        id="causal-dilation",
    ),
]


@pytest.mark.parametrize(("source", "match"), HOSTILE_SIZES)
def test_hostile_sizes_are_refused(source: ModelProto, match: str) -> None:
    with pytest.raises(ConvauditError, match=match):
        walk(source)


@pytest.mark.parametrize(
    "op",
    [
        pytest.param("MatMulNBits<K=-32, N=6>(x, w, s)", id="packed"),
        pytest.param("Attention<num_heads=2, qkv_hidden_sizes=[-8, -8, 8]>(x, w, s)", id="hidden-sizes"),
    ],
)
def test_hostile_attribute_makes_the_count_unknown(op: str) -> None:
    network = walk(
        f"g (float[2,4,32] x, float[32,8] w, float[6] s) => (float y) {{ y = com.microsoft.{op} }}",
        allow_run=False,
    )
    assert [other.macs for other in network.other_ops] == [None]


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "QLinearConv", "DeformConv"])
def test_node_without_inputs(op: str) -> None:
    source = helper.make_model(helper.make_graph([helper.make_node(op, [], ["y"])], "g", [], []))
    with pytest.raises(ConvauditError, match=r"has no weight"):
        walk(source)
