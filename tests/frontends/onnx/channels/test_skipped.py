"""Positions that a stride skips change nothing whatever they hold, and those that are read do."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from onnxruntime import InferenceSession, SessionOptions

from convaudit.frontends.onnx.channels.skipped import skipped_claims
from tests.frontends.onnx.models import model, values, walked

_CONSTANTS = (
    f"{values('w', 2, 2, 3, 3)}, {values('v', 2, 2, 1, 1)}, {values('two', 1, 2, 1, 1)}, "
    "int64[2] zeros = {0, 0}, int64[2] ones = {1, 1}, int64[2] ends = {9, 9}, int64[2] axes = {2, 3}, "
    "int64[2] steps = {2, 2}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, int64[2] halves = {1, 1}"
)
_MOST = Fraction(3, 4)
_HALF = "y = Conv<strides=[2,2]>(n, v)"


def network(body: str, size: int = 8) -> ModelProto:
    """A layer ``first`` whose output, with noise added to it, is ``n``."""
    shape = f"float[1,2,{size},{size}]"
    return model(
        f"g ({shape} x, {shape} noise) => (float[N,C,H,W] y) <{_CONSTANTS}> "
        f"{{ [first] c = Conv<pads=[1,1,1,1]>(x, w)\nn = Add(c, noise)\n{body} }}"
    )


def read_positions(proto: ModelProto, size: int) -> np.ndarray:
    """Which positions of the noise change the output: a mask (size, size)."""
    options = SessionOptions()
    options.log_severity_level = 4
    session = InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(0, 1, (1, 2, size, size)).astype(np.float32)
    found = np.zeros((size, size), np.bool_)
    still = np.zeros_like(x)
    (before,) = session.run(["y"], {"x": x, "noise": still})
    for place in np.ndindex(size, size):
        noise = still.copy()
        noise[(0, slice(None), *place)] = 1e3
        (after,) = session.run(["y"], {"x": x, "noise": noise})
        found[place] = not np.array_equal(before, after)
    return found


def case(name: str, share: Fraction | None, *nodes: str, size: int = 8) -> Any:
    """Nodes behind ``n``, and the share of it that nothing reads."""
    return pytest.param("\n".join(nodes), size, share, id=name)


@pytest.mark.parametrize(
    ("body", "size", "share"),
    [
        case("pointwise", _MOST, _HALF, size=8),
        case("odd", Fraction(33, 49), _HALF, size=7),
        case("one-axis", Fraction(1, 2), "y = Conv<strides=[2,1]>(n, v)"),
        case("offset", Fraction(15, 16), "y = Conv<strides=[3,3], pads=[1,1,0,0]>(n, v)"),
        case("gaps-of-a-dilated-kernel", Fraction(46, 64), "y = Conv<strides=[4,4], dilations=[2,1]>(n, w)"),
        case("element-wise", _MOST, "r = Relu(n)", "b = Mul(r, two)", "y = Conv<strides=[2,2]>(b, v)"),
        case("pool", _MOST, "m = MaxPool<kernel_shape=[1,1], strides=[2,2]>(n)", "y = Relu(m)"),
        case(
            "average",
            Fraction(21, 49),
            'y = AveragePool<kernel_shape=[1,2], strides=[2,2], auto_pad="SAME_UPPER">(n)',
            size=7,
        ),
        case(
            "both-readers",
            _MOST,
            "a = Conv<strides=[2,2]>(n, v)",
            "b = Conv<strides=[2,2]>(n, v)",
            "y = Add(a, b)",
        ),
        case(
            "one-reads-all",
            None,
            "a = Conv<strides=[2,2]>(n, v)",
            "b = Conv(n, v)",
            "d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)",
            "y = Add(a, d)",
        ),
        case("residual", _MOST, "r = Relu(n)", "s = Add(r, n)", "y = Conv<strides=[2,2]>(s, v)"),
        case(
            "concat", _MOST, "s = Concat<axis=1>(n, x)", "y = MaxPool<kernel_shape=[1,1], strides=[2,2]>(s)"
        ),
        case(
            "split",
            _MOST,
            "a, b = Split<axis=1>(n, halves)",
            "s = Add(a, b)",
            "y = MaxPool<kernel_shape=[1,1], strides=[2,2]>(s)",
        ),
        case("slice", _MOST, "y = Slice(n, zeros, ends, axes, steps)"),
        case(
            "two-diagonals",
            None,
            "a = Slice(n, zeros, ends, axes, steps)",
            "b = Slice(n, ones, ends, axes, steps)",
            "y = Concat<axis=1>(a, b)",
        ),
        case("pad", _MOST, "p = Pad(n, pads)", "y = Conv<strides=[2,2]>(p, v)"),
        case(
            "transposed", Fraction(1, 2), "t = Transpose<perm=[0,1,3,2]>(n)", "y = Conv<strides=[2,1]>(t, v)"
        ),
        case("transposed-convolution", _MOST, "t = ConvTranspose(n, v)", "y = Conv<strides=[2,2]>(t, v)"),
        case("softmax-reads-all", None, "s = Softmax(n)", "y = Conv<strides=[2,2]>(s, v)"),
        case("border-only", None, "y = Conv<strides=[2,2]>(n, w)"),
        case("an-output-is-read", None, "y = Relu(n)"),
        case("through-another-layer", _MOST, "m = Conv(n, v)", "y = Conv<strides=[2,2]>(m, v)"),
        case(
            "through-a-wide-one",
            Fraction(39, 64),
            "m = Conv<pads=[1,1,1,1]>(n, w)",
            "y = Conv<strides=[4,4]>(m, v)",
        ),
    ],
)
def test_what_nothing_reads_is_claimed(body: str, size: int, share: Fraction | None) -> None:
    proto = network(body, size)
    (claim, *_) = [one for one in skipped_claims(walked(proto)) if one.layer == "first"] or [None]
    read = read_positions(proto, size)
    if share is None:
        assert claim is None
        return
    assert claim is not None
    assert claim.skipped == share == Fraction(int((~read).sum()), size * size)
    assert claim.reason


def test_the_classic_case_is_said_in_words() -> None:
    (claim,) = skipped_claims(walked(network(_HALF)))
    assert claim.message == (
        "nothing reads 48 of its 64 output positions (8x8): of 8 along axis 2 every 2. from 0 to 6 is read; "
        "of 8 along axis 3 every 2. from 0 to 6 is read"
    )
    assert "with stride 2x2 this layer would compute only what is read" in (claim.reason or "")


def test_of_a_transposed_convolution_products_count() -> None:
    text = f"g (float[1,2,4,4] x) => (float[N,C,H,W] y) <{_CONSTANTS}> "
    body = "{ t = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w) y = Conv<strides=[2,2]>(t, v) }"
    (claim,) = skipped_claims(walked(model(text + body)))
    assert claim.skipped == Fraction(10**2 - 4**2, 12**2)  # along an axis: inside, read, all


def test_open_sizes_are_not_guessed() -> None:
    proto = network(_HALF)
    for value in proto.graph.input:
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_param = "n"
    assert not skipped_claims(walked(proto))
