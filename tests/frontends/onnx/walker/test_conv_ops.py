"""Every conv-like op: where it has its operands, its layout, its types."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from convaudit.analyzer import analyze
from convaudit.errors import ShapeError
from tests.frontends.onnx.models import only_layer, walk


def zeros(count: int) -> str:
    return "{" + ",".join(["0"] * count) + "}"


def test_conv_integer() -> None:
    layer = only_layer(
        f"g (uint8[1,2,9] x, uint8 z) => (int32[n,c,l] y) <int8[4,2,3] w = {zeros(24)}>"
        " { y = ConvInteger(x, w, z) }"
    )
    assert (layer.dtype, layer.weight_dtype, layer.output_dtype) == ("uint8", "int8", "int32")
    assert (layer.weight_name, layer.bias, layer.output_shape) == ("w", False, (1, 4, 7))


def qlinear(op: str, attributes: str, x: str) -> str:
    return f"""
    g (uint8[{x}] x, float s, uint8 z) => (uint8[n,c,h,l] y)
            <int8[4,2,3,3] w = {zeros(72)}, int32[4] b = {zeros(4)}> {{
        y = {op}{attributes}(x, s, z, w, s, z, s, z, b)
    }}"""


def test_qlinear_conv() -> None:
    layer = only_layer(qlinear("QLinearConv", "<group=2>", "1,4,9,9"))
    assert (layer.dtype, layer.weight_dtype, layer.bias_dtype) == ("uint8", "int8", "int32")
    assert (layer.weight_name, layer.bias_name, layer.groups) == ("w", "b", 2)
    assert (layer.output_shape, layer.output_dtype) == ((1, 4, 7, 7), "uint8")


def test_qlinear_conv_channels_last() -> None:
    network = walk(qlinear("com.microsoft.QLinearConv", "<group=2, channels_last=1>", "1,9,9,4"))
    (layer,) = network.layers
    assert layer.layout == "channels_last"
    assert (layer.in_channels, layer.out_channels) == (4, 4)
    assert layer.input_shape == (1, 9, 9, 4)
    assert layer.output_shape == (1, 7, 7, 4)
    assert analyze(network).totals.macs == 7 * 7 * 72
    assert layer.output_dtype == "uint8"


def test_qlinear_conv_of_onnxruntime_channels_first() -> None:
    layer = only_layer(qlinear("com.microsoft.QLinearConv", "<group=2>", "1,4,9,9"))
    assert (layer.layout, layer.output_shape) == ("channels_first", (1, 4, 7, 7))


def test_deform_conv() -> None:
    layer = only_layer(
        f"g (float[1,4,9,9] x, float[1,36,7,7] o) => (float[n,c,h,l] y) <float[4,2,3,3] w = {zeros(72)},"
        f" float[4] b = {zeros(4)}> {{ y = DeformConv<group=2, offset_group=2>(x, w, o, b) }}",
        opset=22,
    )
    assert layer.deformable
    assert layer.kind == "deformable"
    assert (layer.groups, layer.bias_name, layer.output_shape) == (2, "b", (1, 4, 7, 7))


def test_deform_conv_without_bias() -> None:
    layer = only_layer(
        f"g (float[1,4,9,9] x, float[1,18,7,7] o, float[1,9,7,7] m) => (float[n,c,h,l] y)"
        f' <float[4,2,3,3] w = {zeros(72)}> {{ y = DeformConv<group=2>(x, w, o, "", m) }}',
        opset=22,
    )
    assert not layer.bias


def causal(op: str, attributes: str = "") -> str:
    return f"""
    g (float[2,6,9] x, float[2,6,3] past) => (float[n,c,l] y, float[n,c,k] present)
            <float[6,1,4] w = {zeros(24)}, float[6] b = {zeros(6)}> {{
        y, present = {op}{attributes}(x, w, b, past)
    }}"""


@pytest.mark.parametrize("op", ["CausalConvWithState", "com.microsoft.CausalConvWithState"])
def test_causal_conv(op: str) -> None:
    network = walk(causal(op), opset=27)
    (layer,) = network.layers
    assert (layer.kind, layer.groups, layer.in_channels, layer.out_channels) == ("depthwise", 6, 6, 6)
    assert (layer.padding, layer.stride, layer.output_shape) == (((3, 0),), (1,), (2, 6, 9))
    assert analyze(network).totals.macs == 2 * 6 * 9 * 4


def test_causal_conv_dilated() -> None:
    layer = only_layer(
        causal("com.microsoft.CausalConvWithState", "<dilation=2>").replace("2,6,3", "2,6,6"), opset=27
    )
    assert (layer.dilation, layer.padding, layer.output_shape) == ((2,), ((6, 0),), (2, 6, 9))


def test_causal_conv_with_channels_over_several_axes() -> None:
    network = walk(
        f"g (float[2,9,3,2] x) => (float[n,l,a,b] y) <float[6,1,4] w = {zeros(24)}>"
        " { y = com.microsoft.CausalConvWithState<channels_last=1>(x, w) }"
    )
    (layer,) = network.layers
    assert (layer.layout, layer.input_shape, layer.output_shape) == ("channels_last", (2, 9, 6), (2, 9, 6))
    assert analyze(network).totals.macs == 2 * 6 * 9 * 4


def test_causal_conv_of_two_axes() -> None:
    network = walk(
        f"g (float[2,6,5,9] x) => (float[n,c,h,l] y) <float[6,1,2,4] w = {zeros(48)}>"
        " { y = com.microsoft.CausalConvWithState<ndim=2, dilation=2>(x, w) }"
    )
    (layer,) = network.layers
    assert (layer.dilation, layer.padding, layer.output_shape) == ((1, 2), None, (2, 6, 5, 9))


FLOAT = f"<float[4,2,3] w = {zeros(24)}, float[4] b = {zeros(4)}>"


def test_fused_conv_with_residual() -> None:
    network = walk(
        f"g (float[N,2,9] x, float[N,4,7] z, float[3,4,1] e) => (float[n,c,l] u) {FLOAT} {{"
        ' y = com.microsoft.FusedConv<activation="Relu">(x, w, b, z)'
        " u = com.microsoft.FusedConv(y, e) }",
        allow_run=False,
    )
    first, second = network.layers
    assert (first.op, first.bias_name) == ("com.microsoft.FusedConv", "b")
    # onnx does not know the op; the next layer knows its input's shape nevertheless
    assert str(second.input_shape[0]) == "N"  # type: ignore[index]
    assert second.input_shape[1:] == (4, 7)  # type: ignore[index]


@pytest.mark.parametrize(
    "op",
    [
        *("com.microsoft.NhwcConv<kernel_shape=[3,3],", "com.microsoft.NhwcFusedConv<"),
        "com.ms.internal.nhwc.Conv<",
    ],
)
def test_channels_last(op: str) -> None:
    network = walk(
        f"g (float[1,8,9,2] x) => (float[n,h,l,c] y) <float[4,2,3,3] w = {zeros(72)}>"
        f" {{ y = {op}strides=[1,2]>(x, w) }}",
        allow_run=False,
    )
    (layer,) = network.layers
    assert layer.layout == "channels_last"
    assert layer.output_shape == (1, 6, 4, 4)
    assert (layer.in_channels, layer.out_channels, layer.kernel_size) == (2, 4, (3, 3))
    assert analyze(network).totals.macs == 6 * 4 * 72


def test_reordered_weight_is_reported() -> None:
    layer = only_layer(
        f"g (float[1,8,9,9] x) => (float[n,c,h,l] y) <float[8,8,3,3] w = {zeros(576)}>"
        " { y = com.microsoft.nchwc.Conv(x, w) }",
        allow_run=False,
    )
    assert layer.layout == "reordered"
    assert any("reordered" in note for note in layer.notes)


def test_cost_of_the_walk_is_linear_in_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes are looked up per layer, not per pair of layers: counted, not timed."""
    from convaudit.frontends.onnx.shapes.inferred import Inferred

    lookups = 0
    original = Inferred.shape

    def counted(self: Inferred, *arguments: object) -> object:
        nonlocal lookups
        lookups += 1
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Inferred, "shape", counted)
    per_layer = []
    for layers in (50, 500):
        lookups = 0
        nodes = " ".join(f"t{i + 1} = Conv<pads=[1,1]>(t{i}, w)" for i in range(layers))
        text = f"g (float[1,2,9] t0) => (float[n,c,l] t{layers}) <float[2,2,3] w = {zeros(12)}> {{ {nodes} }}"
        assert len(walk(text).layers) == layers
        per_layer.append(lookups / layers)
    assert per_layer[1] <= per_layer[0] < 10


def nhwc(attributes: str, x: str, weight: str) -> str:
    elements = prod(int(size) for size in weight.split(","))
    return (
        f"g (float[{x}] x) => (float[n,h,l,c] y) <float[{weight}] w = {zeros(elements)}>"
        f" {{ y = com.microsoft.NhwcConv<{attributes}>(x, w) }}"
    )


WEIGHT_LAYOUTS = [
    pytest.param("kernel_shape=[3,3]", "1,9,9,4", "8,3,3,4", (8, 4, 3, 3), (1, 7, 7, 8), id="last"),
    pytest.param("kernel_shape=[3,3]", "1,9,9,4", "8,4,3,3", (8, 4, 3, 3), (1, 7, 7, 8), id="second"),
    pytest.param("group=1", "1,9,9,4", "8,2,3,4", (8, 4, 2, 3), (1, 8, 7, 8), id="last-by-channels"),
    pytest.param("group=2", "1,9,9,4", "8,2,3,5", (8, 2, 3, 5), (1, 7, 5, 8), id="second-by-channels"),
    pytest.param("group=1", "1,9,9,3", "8,3,3,3", (8, 3, 3, 3), (1, 7, 7, 8), id="one-and-the-same"),
    pytest.param(
        "kernel_shape=[5,3], group=2", "1,16,16,6", "8,3,5,3", (8, 3, 5, 3), (1, 12, 14, 8), id="told"
    ),
    pytest.param(
        "kernel_shape=[3,5], group=2", "1,16,16,6", "8,3,5,3", (8, 3, 3, 5), (1, 14, 12, 8), id="told-last"
    ),
    pytest.param("kernel_shape=[2,3]", "N,H,W,C", "8,2,3,4", (8, 4, 2, 3), None, id="open-channels"),
]


@pytest.mark.parametrize(("attributes", "x", "weight", "shape", "output"), WEIGHT_LAYOUTS)
def test_weight_layout_of_nhwc_conv(
    attributes: str, x: str, weight: str, shape: tuple[int, ...], output: tuple[int, ...] | None
) -> None:
    layer = only_layer(nhwc(attributes, x, weight), allow_run=False)
    assert layer.weight_shape == shape
    assert layer.kernel_size == shape[2:]
    if output is not None:
        assert layer.output_shape == output


@pytest.mark.parametrize(
    ("attributes", "x"),
    [
        pytest.param("group=2", "1,16,16,6", id="both-fit"),
        pytest.param("group=2", "N,H,W,C", id="channels-open"),
    ],
)
def test_weight_layout_that_nothing_tells(attributes: str, x: str) -> None:
    network = walk(nhwc(attributes, x, "8,3,5,3"), allow_run=False)
    (layer,) = network.layers
    assert layer.kernel_size is None
    assert not any(layer.output_shape or ())
    assert any("kernel_shape would tell" in note for note in layer.notes)
    totals = analyze(network).totals
    assert (totals.macs, totals.params) == (None, 8 * 3 * 5 * 3)


def test_weight_that_fits_in_no_layout() -> None:
    with pytest.raises(ShapeError, match=r"kernel_shape must be the weight's, got \[3, 3\]"):
        walk(nhwc("kernel_shape=[3,3]", "1,9,9,4", "8,2,2,4"))


X, P = np.ones((1, 4, 5, 5), np.float32), np.array([1, 0, 0, 2], np.int64)


def dynamic_pads(pads: str, stored: str = "") -> str:
    return f"""
    g (float[1,4,5,5] x, int64[4] p) => (float[n,c,h,l] y) <float[4,2,3,3] w = {zeros(72)}{stored}> {{
        y = com.microsoft.ConvTransposeWithDynamicPads<strides=[2,2]>(x, w, {pads})
    }}"""


def test_transposed_conv_with_stored_pads() -> None:
    network = walk(dynamic_pads("q", ", int64[4] q = {1,0,0,2}"), allow_run=False)
    (layer,) = network.layers
    assert (layer.kind, layer.padding, layer.output_shape) == ("transposed", ((1, 0), (0, 2)), (1, 2, 10, 9))
    assert analyze(network).totals.macs == 25 * 72


def test_transposed_conv_with_pads_of_the_run() -> None:
    """Its MACs are those of the input's positions, whatever the pads are."""
    network = walk(dynamic_pads("p"), allow_run=False)
    (layer,) = network.layers
    assert layer.padding is None
    assert analyze(network).totals.macs == 25 * 72
    assert walk(dynamic_pads("p"), feeds=lambda _: {"x": X, "p": P}).layers[0].output_shape == (1, 2, 10, 9)


def test_quantised_transposed_conv_channels_last() -> None:
    """The output's type is that of its zero point, where no inference tells."""
    layer = only_layer(
        f"""g (uint8[1,9,9,4] x, float s, uint8 z, int8 v) => (y)
            <int8[4,2,3,3] w = {zeros(72)}> {{
        y = com.ms.internal.nhwc.QLinearConvTranspose<group=2>(x, s, z, w, s, v, s, v) }}""",
        allow_run=False,
    )
    assert (layer.dtype, layer.output_dtype, layer.output_shape) == ("uint8", "int8", (1, 11, 11, 4))
