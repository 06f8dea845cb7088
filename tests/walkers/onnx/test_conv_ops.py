"""Every conv-like op: where it has its operands, its layout, its types."""

from __future__ import annotations

import pytest

from convaudit.analyzer import analyze
from tests.walkers.onnx.models import only_layer, walk


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
    "op", ["com.microsoft.NhwcConv", "com.microsoft.NhwcFusedConv", "com.ms.internal.nhwc.Conv"]
)
def test_channels_last(op: str) -> None:
    network = walk(
        f"g (float[1,8,9,2] x) => (float[n,h,l,c] y) <float[4,2,3,3] w = {zeros(72)}>"
        f" {{ y = {op}<strides=[1,2]>(x, w) }}",
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
    from convaudit.walkers.onnx.inferred import Inferred

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
