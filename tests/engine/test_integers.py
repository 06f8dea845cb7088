"""Exact integer convolution, and requantisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convaudit.engine import MacCounter, conv_integer, conv_qlinear
from convaudit.errors import ShapeError, UsageError
from tests.engine.cases import convolutions
from tests.engine.naive import naive_conv

SCALES = {"x_scale": np.float32(0.5), "w_scale": np.float32(0.25), "y_scale": np.float32(0.25)}
ZERO_POINTS = {"x_zero_point": 0, "w_zero_point": 0}


def extremes(dtype):
    """Operands of which many have the largest magnitude, so that sums grow as large as they can."""
    info = np.iinfo(dtype)

    def make(rng, shape):
        return rng.choice([info.min, info.max, *rng.integers(info.min, info.max, 3)], shape).astype(dtype)

    return make


def shifted_naive(case, x_zero_point, w_zero_point):
    weight = case.weight.astype(np.int64) - np.reshape(
        w_zero_point, (-1, *(1 for _ in case.weight.shape[1:]))
    )
    return naive_conv(case.x.astype(np.int64) - x_zero_point, weight, **case.options)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([np.int8, np.uint8, np.int16, np.uint16]), st.booleans())
def test_conv_integer_is_exact(data, dtype, per_channel):
    case = data.draw(convolutions(values=extremes(dtype)))
    info = np.iinfo(dtype)
    zero_point = st.integers(int(info.min), int(info.max))
    count = len(case.weight) if per_channel else 1
    w_zero_point = np.array([data.draw(zero_point) for _ in range(count)], dtype)
    x_zero_point = dtype(data.draw(zero_point))
    counter = MacCounter()
    y = conv_integer(
        case.x,
        case.weight,
        x_zero_point=x_zero_point,
        w_zero_point=w_zero_point,
        **case.options,
        counter=counter,
    )
    expected = shifted_naive(case, int(x_zero_point), w_zero_point.astype(np.int64))
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, expected.astype(np.int32))
    assert counter.macs == y.size * case.weight[0].size


def test_a_sum_beyond_what_float32_holds_is_exact():
    """600 products of 255 * 255 are 39 015 000; float32 holds odd numbers up to 16 777 216 only."""
    x = np.full((1, 601, 1), 255, np.uint8)
    x[0, 0] = 1
    weight = np.full((1, 601, 1), 255, np.uint8)
    weight[0, 0] = 1
    assert conv_integer(x, weight).item() == 600 * 255 * 255 + 1


def test_a_sum_beyond_32_bits_wraps_around():
    x = np.full((1, 3, 1), 32767, np.int16)
    assert conv_integer(x, x).item() == 3 * 32767**2 - 2**32


def test_padding_has_the_zero_point_as_its_value():
    x = np.full((1, 1, 2), 7, np.uint8)
    weight = np.ones((1, 1, 3), np.int8)
    assert conv_integer(x, weight, x_zero_point=np.uint8(7), padding=1).tolist() == [[[0, 0]]]
    assert conv_integer(x, weight, padding=1).tolist() == [[[14, 14]]]


@settings(max_examples=100, deadline=None)
@given(convolutions(values=extremes(np.int8)), st.data())
def test_conv_qlinear_scales_rounds_and_saturates(case, data):
    out_channels = len(case.weight)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    w_scale = rng.uniform(0.001, 0.1, out_channels).astype(np.float32)
    w_zero_point = rng.integers(-128, 128, out_channels).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, out_channels).astype(np.int32)
    y = conv_qlinear(
        case.x,
        case.weight,
        bias,
        x_scale=np.float32(0.02),
        x_zero_point=np.int8(3),
        w_scale=w_scale,
        w_zero_point=w_zero_point,
        y_scale=np.float32(0.3),
        y_zero_point=np.uint8(120),
        **case.options,
    )
    per_channel = (-1, *(1 for _ in case.x.shape[2:]))
    exact = shifted_naive(case, 3, w_zero_point.astype(np.int64)) + bias.astype(np.int64).reshape(per_channel)
    real = exact * (np.float64(np.float32(0.02)) * w_scale.astype(np.float64).reshape(per_channel))
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, np.clip(np.rint(real / np.float64(np.float32(0.3))) + 120, 0, 255))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        pytest.param(1, 0, id="half-to-even-down"),  # 1 * 0.5 * 0.25 / 0.25 = 0.5
        pytest.param(3, 2, id="half-to-even-up"),
        pytest.param(5, 2, id="two-and-a-half"),
        pytest.param(-1, 0, id="minus-half"),
        pytest.param(-3, -2, id="minus-one-and-a-half"),
    ],
)
def test_ties_round_to_even(x, expected):
    one = np.ones((1, 1, 1), np.int8)
    y = conv_qlinear(np.full_like(one, x), one, **SCALES, **ZERO_POINTS, y_zero_point=np.int8(0))
    assert y.item() == expected


@pytest.mark.parametrize(
    ("zero_point", "x", "expected"),
    [
        pytest.param(np.uint8(250), 100, 255, id="above"),
        pytest.param(np.uint8(10), -100, 0, id="below"),
        pytest.param(np.int8(-100), -100, -128, id="signed"),
    ],
)
def test_the_result_saturates(zero_point, x, expected):
    one = np.ones((1, 1, 1), np.int8)
    y = conv_qlinear(np.full_like(one, x), one, **SCALES, **ZERO_POINTS, y_zero_point=zero_point)
    assert y.item() == expected
    assert y.dtype == zero_point.dtype


def test_what_does_not_fit_is_refused_by_name():
    x, weight = np.zeros((1, 2, 4), np.int8), np.zeros((3, 2, 1), np.int8)
    with pytest.raises(UsageError, match=r"^q: x must be int8, uint8, int16 or uint16, got int32"):
        conv_integer(x.astype(np.int32), weight, name="q")
    with pytest.raises(UsageError, match=r"^q: weight must be int8, .*got float32"):
        conv_integer(x, weight.astype(np.float32), name="q")
    with pytest.raises(ShapeError, match=r"^q: x's zero point must be one value or 1, got 2"):
        conv_integer(x, weight, x_zero_point=np.zeros(2, np.int8), name="q")
    with pytest.raises(ShapeError, match=r"^q: weight's zero point must be one value or 3, got 2"):
        conv_integer(x, weight, w_zero_point=np.zeros(2, np.int8), name="q")
    with pytest.raises(ShapeError, match=r"^q: w_scale must be one value or 3, got 2"):
        conv_qlinear(
            x,
            weight,
            **{**SCALES, "w_scale": np.ones(2, np.float32)},
            **ZERO_POINTS,
            y_zero_point=np.int8(0),
            name="q",
        )
