"""``conv_transpose`` against the naive loop, and against ``conv`` of which it is the adjoint."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convaudit.engine import MacCounter, conv, conv_transpose
from convaudit.errors import GroupsError, ShapeError
from tests.engine.cases import convolutions
from tests.engine.naive import naive_conv_transpose


@settings(max_examples=300, deadline=None)
@given(convolutions(transposed=True, longest=12))
def test_conv_transpose_equals_the_naive_loop(case):
    before = case.x.copy(), case.weight.copy()
    counter = MacCounter()
    expected = naive_conv_transpose(case.x, case.weight, **case.options)
    y = conv_transpose(case.x, case.weight, case.bias, **case.options, counter=counter, workspace_bytes=4000)
    if case.bias is not None:
        expected = expected + case.bias.reshape(-1, *(1 for _ in expected.shape[2:]))
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    assert counter.macs == case.x.size * case.weight[0].size
    np.testing.assert_array_equal(case.x, before[0])
    np.testing.assert_array_equal(case.weight, before[1])


@settings(max_examples=40, deadline=None)
@given(
    convolutions(transposed=True, values=lambda rng, shape: rng.integers(-8, 9, shape).astype(float)),
    st.data(),
)
def test_every_float_dtype_and_limit_gives_the_same_integers(case, data):
    """Small integers are exact in every dtype, so any order of summation gives the same bits."""
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.float16, ml_dtypes.bfloat16]))
    limits = {"workspace_bytes": data.draw(st.sampled_from([1, 500, 1 << 20]))}
    limits["threads"] = data.draw(st.integers(1, 4))
    expected = naive_conv_transpose(case.x, case.weight, **case.options)
    y = conv_transpose(case.x.astype(dtype), case.weight.astype(dtype), **case.options, **limits)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected.astype(dtype))


@settings(max_examples=100, deadline=None)
@given(convolutions())
def test_conv_transpose_is_the_adjoint_of_conv(case):
    """<conv(x), y> = <x, conv_transpose(y)> for every x and y, with what the stride left over as padding."""
    y = conv(case.x, case.weight, **case.options)
    z = np.random.default_rng(0).standard_normal(y.shape)
    options = case.options
    axes = zip(
        case.x.shape[2:],
        y.shape[2:],
        case.weight.shape[2:],
        options["stride"],
        options["dilation"],
        strict=True,
    )
    reach = [s * (o - 1) + d * (k - 1) + 1 for _, o, k, s, d in axes]
    padding = [
        (before, size - i - before)
        for (before, _), size, i in zip(options["padding"], reach, case.x.shape[2:], strict=True)
    ]
    back = conv_transpose(z, case.weight, **{**options, "padding": padding})
    assert back.shape == case.x.shape
    np.testing.assert_allclose(np.vdot(y, z), np.vdot(case.x, back), rtol=0, atol=1e-9)


def test_negative_padding_adds_positions_that_only_the_bias_reaches():
    y = conv_transpose(np.ones((1, 1, 2)), np.ones((1, 1, 1)), np.array([5.0]), padding=[(-1, -2)])
    assert y.tolist() == [[[5, 6, 6, 5, 5]]]


def test_same_makes_the_output_size_times_stride():
    y = conv_transpose(np.ones((1, 1, 3)), np.arange(1.0, 4).reshape(1, 1, 3), stride=2, padding="same")
    assert y.tolist() == [[[1, 2, 4, 2, 4, 2]]]


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "options", "error", "message"),
    [
        pytest.param(
            (1, 6, 4), (6, 2, 1), {"groups": 4}, GroupsError, "in_channels=6, groups=4", id="groups"
        ),
        pytest.param(
            (1, 6, 4), (3, 2, 1), {}, ShapeError, r"\(in, out/groups, \*kernel\), so 6 where it has 3", id="w"
        ),
        pytest.param(
            (1, 6, 4), (6, 2, 1), {"output_padding": 1}, ShapeError, "output_padding=1, stride=1", id="extra"
        ),
        pytest.param(
            (1, 6, 4), (6, 2, 1), {"padding": 2}, ShapeError, "output size would be 0", id="nothing-left"
        ),
        pytest.param((1, 6, 0), (6, 2, 3), {}, ShapeError, r"must be positive, got \(0,\)", id="empty"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(x_shape, weight_shape, options, error, message):
    with pytest.raises(error, match=f"^up: .*{message}"):
        conv_transpose(np.zeros(x_shape), np.zeros(weight_shape), **options, name="up")
