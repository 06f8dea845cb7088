"""Bounds hold what a runtime computes, and are as tight as the table of ops says."""

from __future__ import annotations

import numpy as np
import pytest
from onnxruntime import InferenceSession

from convaudit.frontends.onnx.channels.bounds import Bounds
from convaudit.frontends.onnx.channels.intervals import UNBOUNDED, Interval
from convaudit.frontends.onnx.channels.sites import GraphTensors
from convaudit.records import ConvLayer
from tests.frontends.onnx.models import model, values, walked

_CONSTANTS = (
    f"{values('two', 1, 2, 1, 1)}, float tenth = {{0.1}}, float zero = {{0}}, float six = {{6}}, "
    "int64[2] parts = {1, 1}, float square = {2}, float[2] slopes = {-1, 3}, float[2] unit = {1, 2}, "
    "uint8 middle = {128}, float[4] scales = {1, 1, 2, 2}, int64[8] borders = {0, 0, 1, 1, 0, 0, 1, 1}, "
    "int64[4] flat = {1, 1, 2, 25}, int64[8] shift = {0, 1, 0, 0, 0, -1, 0, 0}, int32 large = {2147483646}, "
    "int32 largest = {2147483647}, int32 one = {1}, int32 four = {4}, float[5] many = {9, 9, 9, 9, 9}, "
    f"{values('rows', 2, 5, 1)}"
)


def bounds(body: str, inputs: str = "float[1,2,5,5] x") -> tuple[Interval, np.ndarray]:
    """Bounds of ``y``, and what it is on an input that reaches far."""
    proto = model(f"g ({inputs}) => (float[N,C,H,W] y) <{_CONSTANTS}> {{ {body} }}")

    def unbounded(layer: ConvLayer, x: Interval) -> Interval:
        return UNBOUNDED

    found = walked(proto)
    search = Bounds(GraphTensors(found), unbounded)
    search.find()
    session = InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (fed,) = session.get_inputs()
    x = np.random.default_rng(0).normal(0, 50, fed.shape)
    if fed.type == "tensor(uint8)":
        x = np.clip(np.abs(x) * 4, 0, 255)
    (y,) = session.run(["y"], {fed.name: x.astype(np.uint8 if fed.type == "tensor(uint8)" else np.float32)})
    return search.of(((), "y")), y


_INT = "i = Cast<to=6>(x)\n"
_CASES = [
    pytest.param("y = Sigmoid(x)", (0, 1), id="sigmoid"),
    pytest.param("y = HardSigmoid(x)", (0, 1), id="hard-sigmoid"),
    pytest.param("y = Clip(x, zero, six)", (0, 6), id="relu6"),
    pytest.param("y = Clip(x, , six)", (-np.inf, 6), id="clip-above"),
    pytest.param("y = Relu(x)", (0, np.inf), id="relu"),
    pytest.param("s = Tanh(x)\ny = LeakyRelu(s)", (-0.01, 1), id="leaky"),
    pytest.param("s = Tanh(x)\ny = PRelu(s, two)", (0, 1.1), id="prelu"),
    pytest.param("s = Clip(x, zero, six)\ny = HardSwish(s)", (0, 6), id="hard-swish"),
    pytest.param("y = HardSwish(x)", (-0.375, np.inf), id="hard-swish-of-anything"),
    pytest.param("s = Sigmoid(x)\ny = Mul(x, s)", (-np.inf, np.inf), id="silu-of-anything"),
    pytest.param("s = Tanh(x)\ny = Sub(s, s)", (-2, 2), id="difference"),
    pytest.param("s = Tanh(x)\ny = Div(s, tenth)", (-10, 10), id="quotient"),
    pytest.param("s = Tanh(x)\ny = Div(tenth, s)", (-np.inf, np.inf), id="quotient-by-zero"),
    pytest.param("s = Tanh(x)\ny = Pow(s, square)", (0, 1), id="square"),
    pytest.param("s = Tanh(x)\ny = Softmax(s)", (0, 1), id="softmax"),
    pytest.param("s = Sigmoid(x)\ny = Neg(s)", (-1, 0), id="negated"),
    pytest.param("s = Tanh(x)\ny = Abs(s)", (0, 1), id="absolute"),
    pytest.param("s = Tanh(x)\nt = Sigmoid(x)\ny = Max(s, t)", (0, 1), id="maximum"),
    pytest.param("s = Tanh(x)\nt = Sigmoid(x)\ny = Concat<axis=1>(s, t)", (-1, 1), id="concat"),
    pytest.param("a, b = Split<axis=1>(x, parts)\ns = Sigmoid(a)\ny = Add(s, s)", (0, 2), id="split"),
    pytest.param("s = Sigmoid(x)\ny = Transpose<perm=[0,2,3,1]>(s)", (0, 1), id="transposed"),
    pytest.param("s = Tanh(x)\ny = GlobalAveragePool(s)", (-2, 2), id="average"),
    pytest.param("s = Sigmoid(x)\ny = MaxPool<kernel_shape=[2,2]>(s)", (0, 1), id="maximum-pool"),
    pytest.param("s = Tanh(x)\ny = Resize(s, , scales)", (-1, 1), id="nearest"),
    pytest.param('s = Tanh(x)\ny = Resize<mode="cubic">(s, , scales)', (-np.inf, np.inf), id="cubic"),
    pytest.param("s = Sigmoid(x)\nn = Neg(s)\nm = Sub(n, six)\ny = Pad(m, borders)", (-7, 0), id="padded"),
    pytest.param("s = Sigmoid(x)\ny = Reshape(s, flat)", (0, 1), id="reshape"),
    pytest.param("s = Tanh(x)\ny = BatchNormalization(s, slopes, slopes, slopes, unit)", (-5.5, -1), id="bn"),
    pytest.param("s = Tanh(x)\ny = Mul(s, rows)", (-1.1, 1.1), id="fewer axes than the tensor"),
    pytest.param("s = Sigmoid(x)\nt = Mul(s, two)\ny = Pad(t, shift)", (-1.1, 0), id="channels padded"),
    pytest.param("s = Tanh(x)\ny = com.microsoft.FastGelu(s, many)", (0, 10), id="gelu with a bias"),
    pytest.param(f"{_INT}c = Clip(i, large, largest)\ns = Add(c, c)\ny = Cast<to=1>(s)", (-np.inf, np.inf),
                 id="integers that wrap"),
    pytest.param(f"{_INT}c = Clip(i, one, one)\nd = Div(c, four)\ny = Cast<to=1>(d)", (-0.75, 1.25),
                 id="integers divided"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), _CASES)
def test_ops_are_bounded_as_the_table_says(body: str, expected: tuple[float, float]) -> None:
    found, y = bounds(body)
    assert {found.low.ndim, found.high.ndim} <= {0, 4}
    assert (found.low <= y).all()
    assert (y <= found.high).all()
    for end, wanted in ((found.low.min(), expected[0]), (found.high.max(), expected[1])):
        assert end == wanted or abs(end - wanted) <= 0.1 * max(
            abs(end) for end in (1, *expected) if np.isfinite(end)
        )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("y = Cast<to=1>(x)", (0, 255), id="bytes"),
        pytest.param("y = DequantizeLinear(x, tenth, middle)", (-12.8, 12.7), id="dequantised"),
    ],
)
def test_small_integers_are_bounded_by_their_type(body: str, expected: tuple[float, float]) -> None:
    found, y = bounds(body, "uint8[1,2,5,5] x")
    assert (found.low <= y).all()
    assert (y <= found.high).all()
    assert (found.low.min(), found.high.max()) == pytest.approx(expected, abs=3)


def test_channels_keep_their_own_bounds() -> None:
    found, y = bounds("s = Sigmoid(x)\nt = Mul(s, two)\nu = Concat<axis=1>(t, x)\ny = Relu(u)")
    assert found.high.shape == (1, 4, 1, 1)
    assert np.isfinite(found.high.ravel()).tolist() == [True, True, False, False]
    assert (y <= found.high).all()


ALONG = [
    pytest.param(1, 3, [0, 1, 2], id="the axis"),
    pytest.param(0, 4, [0, 0, 0, 0], id="an axis along which nothing differs"),
    pytest.param(1, 4, [0, 0, 0, 0], id="an axis of another size, of a malformed model"),
]


@pytest.mark.parametrize(("axis", "size", "low"), ALONG)
def test_bounds_along_an_axis(axis, size, low):
    found = Interval(np.array([[0.0, 1.0, 2.0]]), np.array([[5.0, 5.0, 7.0]])).along(axis, size)
    assert found.low.tolist() == low
    assert found.high.shape == (size,)


@pytest.mark.parametrize(
    "body", ["r = Relu(x)\ns = Add(r, tenth)\ny = Mul(s, tenth)", "s = Relu(x)\ny = Sub(tenth, s)"]
)
def test_an_end_has_room_for_rounding_where_the_other_is_open(body: str) -> None:
    found, _ = bounds(body)
    if np.isfinite(found.low).all():
        assert found.low.min() < 0.01 * (1 - 2.0**-8)
    else:
        assert found.high.max() > 0.1 * (1 + 2.0**-8)
