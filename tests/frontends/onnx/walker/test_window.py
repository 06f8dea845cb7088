"""Attributes of a convolution: defaults, padding, and output sizes, against ONNX's rules and onnxruntime."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convaudit.formulas import symbol
from tests.frontends.onnx.models import model, only_layer, runtime_shapes, walk, zeros


def conv(attributes: str, x: str, w: str, op: str = "Conv") -> str:
    return f"g (float[{x}] x, float[{w}] w) => (float[n, c, l] y) {{ y = {op}{attributes}(x, w) }}"


# attributes, input, weight, padding, output's spatial sizes
CONV = [
    pytest.param("", "1,2,9", "4,2,3", ((0, 0),), (7,), id="defaults"),
    pytest.param("<strides=[2]>", "1,2,9", "4,2,3", ((0, 0),), (4,), id="stride"),
    pytest.param("<dilations=[3]>", "1,2,9", "4,2,3", ((0, 0),), (3,), id="dilation"),
    pytest.param("<pads=[1, 2]>", "1,2,9", "4,2,3", ((1, 2),), (10,), id="asymmetric"),
    pytest.param(
        "<pads=[0, 1, 2, 3]>", "1,2,9,9", "4,2,3,3", ((0, 2), (1, 3)), (9, 11), id="begins-then-ends"
    ),
    pytest.param("<kernel_shape=[3]>", "1,2,9", "4,2,3", ((0, 0),), (7,), id="kernel-shape"),
    pytest.param('<auto_pad="NOTSET", pads=[1, 1]>', "1,2,9", "4,2,3", ((1, 1),), (9,), id="notset"),
    pytest.param('<auto_pad="", pads=[1, 1]>', "1,2,9", "4,2,3", ((1, 1),), (9,), id="empty-auto-pad"),
    pytest.param('<auto_pad="VALID", strides=[2]>', "1,2,9", "4,2,3", ((0, 0),), (4,), id="valid"),
    pytest.param('<auto_pad="SAME_UPPER", strides=[2]>', "1,2,8", "4,2,3", ((0, 1),), (4,), id="upper"),
    pytest.param('<auto_pad="SAME_LOWER", strides=[2]>', "1,2,8", "4,2,3", ((1, 0),), (4,), id="lower"),
    pytest.param(
        '<auto_pad="SAME_UPPER", dilations=[2]>', "1,2,8", "4,2,4", ((3, 3),), (8,), id="same-dilated"
    ),
    pytest.param('<auto_pad="SAME_UPPER", strides=[3]>', "1,2,9", "4,2,1", ((0, 0),), (3,), id="same-no-pad"),
    pytest.param("", "1,2,9,9,9,9", "4,2,3,3,3,3", ((0, 0),) * 4, (7,) * 4, id="four-axes"),
    pytest.param("", "0,2,9", "4,2,3", ((0, 0),), (7,), id="empty-batch"),
]


@pytest.mark.parametrize(("attributes", "x", "w", "padding", "sizes"), CONV)
def test_conv(
    attributes: str, x: str, w: str, padding: tuple[tuple[int, int], ...], sizes: tuple[int, ...]
) -> None:
    layer = only_layer(conv(attributes, x, w))
    assert layer.padding == padding
    assert layer.output_shape == (int(x[0]), 4, *sizes)


def test_defaults() -> None:
    layer = only_layer(conv("", "1,2,9,9", "4,2,3,5"))
    assert (layer.kernel_size, layer.stride, layer.dilation) == ((3, 5), (1, 1), (1, 1))
    assert (layer.groups, layer.padding, layer.output_padding) == (1, ((0, 0), (0, 0)), None)


# attributes, weight, padding, output size; the input is 1x2x4
TRANSPOSED = [
    pytest.param("", "2,3,3", (0, 0), 6, id="defaults"),
    pytest.param("<strides=[2], pads=[1, 2]>", "2,3,3", (1, 2), 6, id="pads"),
    pytest.param("<strides=[2], output_padding=[1]>", "2,3,3", (0, 0), 10, id="output-padding"),
    pytest.param("<dilations=[2], output_padding=[1]>", "2,3,3", (0, 0), 9, id="less-than-dilation"),
    pytest.param("<strides=[2], output_shape=[6]>", "2,3,3", (2, 1), 6, id="output-shape-odd-at-start"),
    pytest.param(
        '<strides=[2], output_shape=[6], auto_pad="SAME_UPPER">', "2,3,3", (1, 2), 6, id="output-shape-upper"
    ),
    pytest.param(
        '<strides=[2], output_shape=[6], auto_pad="SAME_LOWER">', "2,3,3", (2, 1), 6, id="output-shape-lower"
    ),
    pytest.param("<strides=[2], output_shape=[10]>", "2,3,3", (0, -1), 10, id="output-shape-extends"),
    pytest.param("<strides=[2], output_shape=[8], output_padding=[1]>", "2,3,3", (1, 1), 8, id="both"),
    pytest.param('<strides=[2], auto_pad="SAME_UPPER">', "2,3,3", (0, 1), 8, id="upper"),
    pytest.param('<strides=[2], auto_pad="SAME_LOWER">', "2,3,3", (1, 0), 8, id="lower"),
    pytest.param(
        '<strides=[2], auto_pad="SAME_UPPER", output_padding=[1]>', "2,3,3", (1, 1), 8, id="same-extra"
    ),
    pytest.param('<strides=[2], auto_pad="VALID">', "2,3,3", (0, 0), 9, id="valid"),
]


@pytest.mark.parametrize(("attributes", "w", "padding", "size"), TRANSPOSED)
def test_conv_transpose(attributes: str, w: str, padding: tuple[int, int], size: int) -> None:
    layer = only_layer(conv(attributes, "1,2,4", w, "ConvTranspose"))
    assert layer.padding == (padding,)
    assert layer.output_shape == (1, 3, size)


def test_output_padding_of_same_reaches_the_next_layer() -> None:
    # onnx's own inference says 17: the second convolution would inherit it
    layers = walk(
        "g (float[1,2,8] x, float[2,3,3] w, float[4,3,1] v) => (float[n, c, l] z) {"
        ' y = ConvTranspose<strides=[2], auto_pad="SAME_UPPER", output_padding=[1]>(x, w)'
        " z = Conv(y, v) }"
    ).layers
    assert [layer.output_shape for layer in layers] == [(1, 3, 16), (1, 4, 16)]


@pytest.mark.parametrize(
    ("attributes", "w", "size"),
    [
        pytest.param("", "2,3,1", 10, id="one-tap"),
        pytest.param(", output_padding=[0]", "2,3,1", 10, id="which-onnx-does-not-infer"),
        pytest.param(", output_padding=[1]", "2,3,1", 11, id="output-padding"),
        pytest.param(", dilations=[2], output_padding=[1]", "2,3,1", 11, id="dilated-tap"),
        pytest.param("", "2,3,2", 11, id="two-taps"),
    ],
)
def test_kernel_shorter_than_stride_ends_with_its_last_tap(attributes: str, w: str, size: int) -> None:
    """As onnx's inference and onnxruntime have it, though ONNX's text asks for stride * size."""
    for x, expected in (("1,2,4", str(size)), ("1,2,L", f"3*L - {12 - size}")):
        layers = walk(
            f"g (float[{x}] x, float[{w}] w, float[4,3,1] v) => (float[n, c, l] z) {{"
            f' y = ConvTranspose<strides=[3], auto_pad="SAME_UPPER"{attributes}>(x, w) z = Conv(y, v) }}'
        ).layers
        assert [str((layer.output_shape or ())[-1]) for layer in layers] == [expected, expected]
        assert layers[0].padding == ((0, 0),)
        assert any("shorter than its stride" in note for note in layers[0].notes)


def test_auto_pad_wins_over_pads() -> None:
    network = walk(conv('<auto_pad="SAME_UPPER", pads=[5, 5]>', "1,2,9", "4,2,3"))
    (layer,) = network.layers
    assert layer.padding == ((1, 1),)
    assert layer.output_shape == (1, 4, 9)
    assert any("auto_pad is followed" in warning and layer.name in warning for warning in network.warnings)


SYMBOLIC = [
    pytest.param('<auto_pad="SAME_UPPER", strides=[2]>', None, "ceil(L/2)", id="same-depends-on-size"),
    pytest.param('<auto_pad="SAME_LOWER">', ((1, 1),), "L", id="same-without-stride"),
    pytest.param("<pads=[1, 1], strides=[2]>", ((1, 1),), "ceil(L/2)", id="explicit"),
]


@pytest.mark.parametrize(("attributes", "padding", "size"), SYMBOLIC)
def test_open_size(attributes: str, padding: tuple[tuple[int, int], ...] | None, size: str) -> None:
    layer = only_layer(conv(attributes, "N,2,L", "4,2,3"))
    assert layer.padding == padding
    assert layer.output_shape is not None
    assert layer.output_shape[0] == symbol("N")
    assert str(layer.output_shape[2]) == size


def test_open_size_with_output_shape() -> None:
    layer = only_layer(conv("<output_shape=[7]>", "N,2,L", "2,3,3", "ConvTranspose"))
    assert layer.padding is None
    assert layer.output_shape == (symbol("N"), 3, 7)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """Attributes, input, weight and op of a valid convolution of one to three axes."""
    rank = draw(st.integers(1, 3))
    transposed = draw(st.booleans())
    groups = draw(st.integers(1, 3))

    def axes(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, stride, dilation = axes(1, 3), axes(1, 3), axes(1, 2)
    size = [d * (k - 1) + 1 + more for k, d, more in zip(kernel, dilation, axes(0, 4), strict=True)]
    attributes = [f"group={groups}", f"strides={stride}", f"dilations={dilation}"]
    padding = draw(st.sampled_from(["pads", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if padding == "pads":
        most = 0 if transposed else 2
        attributes.append(f"pads={[draw(st.integers(0, most)) for _ in range(2 * rank)]}")
    elif padding == "VALID" or (
        max(dilation) == 1 and all(k >= s for k, s in zip(kernel, stride, strict=True))
    ):
        attributes.append(f'auto_pad="{padding}"')
    if transposed:
        extra = [draw(st.integers(0, s - 1)) for s in stride]
        attributes.append(f"output_padding={extra}")
    x = [draw(st.integers(1, 2)), groups * 2, *size]
    w = [groups * 2, 3, *kernel] if transposed else [groups * 3, 2, *kernel]
    return f"<{', '.join(attributes)}>", str(x)[1:-1], str(w)[1:-1], "ConvTranspose" if transposed else "Conv"


@settings(max_examples=150, deadline=None)
@given(convolutions())
def test_output_shape_is_the_runtimes(case: tuple[str, str, str, str]) -> None:
    attributes, x, w, op = case
    source = model(conv(attributes, x, w, op))
    shapes = {"x": [int(size) for size in x.split(",")], "w": [int(size) for size in w.split(",")]}
    assert only_layer(source).output_shape == runtime_shapes(source, zeros(shapes))["y"]
