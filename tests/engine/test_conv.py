"""``conv`` against worked examples and the naive loop."""

from __future__ import annotations

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convaudit.engine import MacCounter, bands, conv, convolution, dense_weight
from convaudit.errors import GroupsError, ShapeError, UsageError
from tests.engine.cases import convolutions
from tests.engine.naive import naive_conv

RNG = np.random.default_rng(0)


def test_worked_example_of_grouped_channels():
    x = np.ones((1, 4, 1, 1))
    weight = np.arange(1.0, 17).reshape(8, 2, 1, 1)
    assert conv(x, weight, groups=2).ravel().tolist() == [3, 7, 11, 15, 19, 23, 27, 31]


def test_worked_example_in_three_dimensions():
    x = 10.0 ** np.arange(6).reshape(1, 2, 3, 1, 1)
    y = conv(x, np.ones((6, 2, 2, 1, 1)))
    assert y.shape == (1, 6, 2, 1, 1)
    assert y[0].reshape(6, 2).tolist() == [[11011, 110110]] * 6


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "options", "expected"),
    [
        pytest.param((1, 4, 6, 6), (2, 4, 1, 1), {}, (1, 2, 6, 6), id="pointwise"),
        pytest.param(
            (1, 3, 32, 32), (64, 3, 4, 4), {"stride": 2, "padding": 1}, (1, 64, 16, 16), id="stride"
        ),
        pytest.param((1, 1, 32, 32), (1, 1, 1, 1), {"padding": 1}, (1, 1, 34, 34), id="padding-both-sides"),
        pytest.param((2, 1, 9), (1, 1, 2), {"stride": 2, "padding": "same"}, (2, 1, 5), id="same"),
        pytest.param((2, 1, 9), (1, 1, 2), {"padding": "valid"}, (2, 1, 8), id="valid"),
        pytest.param((0, 6, 5), (4, 2, 3), {"groups": 2, "padding": [(2, 0)]}, None, id="misfit"),
        pytest.param((0, 4, 5), (4, 2, 3), {"groups": 2, "padding": [(2, 0)]}, (0, 4, 5), id="zero-batch"),
        pytest.param((1, 2, 3, 4, 5, 2), (2, 2, 2, 2, 2, 2), {}, (1, 2, 2, 3, 4, 1), id="four-dimensional"),
    ],
)
def test_output_shape(x_shape, weight_shape, options, expected):
    x, weight = np.zeros(x_shape, np.float32), np.zeros(weight_shape, np.float32)
    if expected is None:
        with pytest.raises(ShapeError, match="weight must be"):
            conv(x, weight, **options)
    else:
        assert conv(x, weight, **options).shape == expected


def test_a_strided_tap_over_padding_is_not_the_input_itself():
    """As many outputs as inputs, from one tap: only the stride tells that the second output reads padding."""
    assert conv(np.array([[[3.0, 5.0]]]), np.ones((1, 1, 1)), stride=2, padding=[(0, 1)]).tolist() == [
        [[3, 0]]
    ]


def test_same_padding_puts_the_odd_position_at_the_end():
    assert conv(np.array([[[1.0, 2, 4]]]), np.ones((1, 1, 2)), padding="same").tolist() == [[[3, 6, 4]]]


@pytest.fixture(scope="module", params=[pytest.param(1, id="bands"), pytest.param(10**9, id="columns")])
def method(request):
    """Depthwise cases run by bands, or all by columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "BAND_TAPS", request.param)
        yield


@settings(max_examples=200, deadline=None)
@given(convolutions())
def test_conv_equals_the_naive_loop(method, case):
    before = case.x.copy(), case.weight.copy()
    expected = naive_conv(case.x, case.weight, **case.options)
    y = conv(case.x, case.weight, case.bias, **case.options)
    if case.bias is not None:
        expected = expected + case.bias.reshape(-1, *(1 for _ in expected.shape[2:]))
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(case.x, before[0])
    np.testing.assert_array_equal(case.weight, before[1])


@settings(max_examples=100, deadline=None)
@given(convolutions(values=lambda rng, shape: rng.integers(-8, 9, shape).astype(float)), st.data())
def test_every_float_dtype_and_workspace_gives_the_same_integers(method, case, data):
    """Small integers are exact in every dtype, so any order of summation gives the same bits."""
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.float16, ml_dtypes.bfloat16]))
    limits = {"workspace_bytes": data.draw(st.sampled_from([1, 500, 1 << 20]))}
    limits["threads"] = data.draw(st.integers(1, 4))
    expected = naive_conv(case.x, case.weight, **case.options)
    y = conv(case.x.astype(dtype), case.weight.astype(dtype), **case.options, **limits)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected.astype(dtype))


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_groups_are_split_convolutions_concatenated_and_a_block_diagonal_one(case):
    groups, options = case.options["groups"], {**case.options, "groups": 1}
    grouped = conv(case.x, case.weight, **case.options)
    parts = zip(np.split(case.x, groups, axis=1), np.split(case.weight, groups), strict=True)
    split = np.concatenate([conv(x, weight, **options) for x, weight in parts], axis=1)
    dense = dense_weight(case.weight, groups)
    assert dense.size == groups * case.weight.size
    np.testing.assert_allclose(grouped, split, rtol=0, atol=1e-12)
    np.testing.assert_allclose(grouped, conv(case.x, dense, **options), rtol=0, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_the_counter_counts_every_tap_of_every_output(case):
    counter = MacCounter()
    y = conv(case.x, case.weight, **case.options, counter=counter, workspace_bytes=300)
    assert counter.macs == y.size * case.weight[0].size


@pytest.mark.parametrize("length", [pytest.param(32, id="whole-bands"), pytest.param(37, id="ragged-band")])
def test_a_tap_that_bands_leave_out_is_not_counted(monkeypatch, length):
    """Two taps of three are multiplied: the count is of what ran, not of what the geometry promises."""
    whole = bands.Bands._toeplitz

    def without_the_last_tap(self, kernels):
        kernels = kernels.copy()
        kernels[..., -1] = 0
        return whole(self, kernels)

    monkeypatch.setattr(convolution, "BAND_TAPS", 1)
    monkeypatch.setattr(bands.Bands, "_toeplitz", without_the_last_tap)
    counter = MacCounter()
    y = conv(np.ones((1, 2, length + 2)), np.ones((2, 1, 3)), groups=2, counter=counter)
    assert counter.macs == y.sum() == 2 * length * 2


def test_half_precision_is_summed_in_float32_and_rounded_once():
    """2048 ones: summed in float16 they would stop at 2048 long before the last."""
    x = np.ones((1, 4096, 1), np.float16)
    assert conv(x, np.ones((1, 4096, 1), np.float16)).item() == 4096
    # 257 is a tie that bfloat16 rounds to 256: rounded before the bias is added it would give 256 again.
    x = np.array([[[256.0], [0.5], [0.5]]], ml_dtypes.bfloat16)
    assert conv(x, np.ones((1, 3, 1), x.dtype), np.array([1.0], x.dtype)).item() == 258


@pytest.mark.parametrize("channels", [pytest.param(1, id="depthwise"), pytest.param(2, id="grouped")])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_reaches_only_the_outputs_that_read_it(method, channels, value):
    x = np.ones((1, 2 * channels, 40), np.float32)
    x[0, 0, 20] = value
    y = conv(x, np.ones((2, channels, 3), np.float32), padding=1, groups=2)
    assert np.flatnonzero(~np.isfinite(y)).tolist() == [19, 20, 21]


@pytest.mark.parametrize("groups", [pytest.param(1, id="dense"), pytest.param(16, id="depthwise")])
def test_the_workspace_is_bounded(method, groups):
    x, weight = np.ones((1, 16, 300, 300), np.float32), np.ones((16, 16 // groups, 5, 5), np.float32)
    conv(x[..., :9, :9], weight, groups=groups)  # whatever is made once is made before
    tracemalloc.start()
    y = conv(x, weight, padding=2, groups=groups, workspace_bytes=1 << 18, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < peak - y.nbytes < (1 << 18) + 50_000


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"stride": np.int64(1), "padding": np.int64(1)}, id="scalars"),
        pytest.param({"dilation": np.array([1]), "padding": np.array([1])}, id="per-axis"),
        pytest.param({"padding": np.array([[1, 1]])}, id="pairs"),
    ],
)
def test_numpy_integers_are_integers(options):
    x, weight = RNG.standard_normal((1, 2, 5)), RNG.standard_normal((3, 2, 3))
    np.testing.assert_array_equal(conv(x, weight, **options), conv(x, weight, padding=1))


def test_without_input_channels_only_the_bias_is_left():
    y = conv(np.zeros((1, 0, 3)), np.zeros((2, 0, 1)), np.array([1.0, 2.0]))
    assert y.tolist() == [[[1, 1, 1], [2, 2, 2]]]


BAD = [
    pytest.param(
        (1, 6, 4), (6, 1, 1), {"groups": 4}, GroupsError, r"in_channels=6, groups=4", id="in-channels"
    ),
    pytest.param(
        (1, 6, 4), (3, 3, 1), {"groups": 2}, GroupsError, r"out_channels=3, groups=2", id="out-channels"
    ),
    pytest.param((1, 6, 4), (3, 3, 1), {"groups": 0}, GroupsError, r"groups=0", id="no-groups"),
    pytest.param(
        (1, 6, 4), (4, 2, 1), {"groups": 2}, ShapeError, r"in/groups.*so 3 where it has 2", id="weight"
    ),
    pytest.param((1, 6), (4, 6), {}, ShapeError, r"same rank, got x \(1, 6\)", id="no-spatial-axis"),
    pytest.param((1, 6, 4), (4, 6, 1, 1), {}, ShapeError, r"same rank", id="rank"),
    pytest.param((1, 6, 4), (4, 6, 0), {}, ShapeError, r"kernel sizes must be positive", id="empty-kernel"),
    pytest.param(
        (1, 6, 4), (4, 6, 5), {}, ShapeError, r"layer1: the kernel spans 5 .*padded input's 4", id="fit"
    ),
    pytest.param(
        (1, 6, 4), (4, 6, 1), {"stride": 0}, ShapeError, r"stride must be positive, got \(0,\)", id="s"
    ),
    pytest.param(
        (1, 6, 4), (4, 6, 1), {"dilation": -1}, ShapeError, r"dilation must be positive", id="dilation"
    ),
    pytest.param(
        (1, 6, 4), (4, 6, 1), {"padding": -1}, ShapeError, r"padding must not be negative", id="negative"
    ),
    pytest.param((1, 6, 4), (4, 6, 1), {"padding": "full"}, ShapeError, r"'valid', got 'full'", id="mode"),
    pytest.param(
        (1, 6, 4), (4, 6, 1), {"padding": [(1, 1)] * 2}, ShapeError, r"1 \(before, after\)", id="pairs"
    ),
    pytest.param(
        (1, 6, 4), (4, 6, 1), {"stride": (1, 1)}, ShapeError, r"layer1: stride must be one", id="length"
    ),
]


@pytest.mark.parametrize(("x_shape", "weight_shape", "options", "error", "message"), BAD)
def test_what_does_not_fit_is_refused_by_name(x_shape, weight_shape, options, error, message):
    with pytest.raises(error, match=f"^layer1: .*{message.removeprefix('layer1: ')}"):
        conv(np.zeros(x_shape), np.zeros(weight_shape), **options, name="layer1")


def test_bias_of_another_length_is_refused():
    with pytest.raises(ShapeError, match=r"bias must be \(2,\), got \(3,\)"):
        conv(np.zeros((1, 1, 1)), np.zeros((2, 1, 1)), np.zeros(3))


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [
        pytest.param(
            np.float32, np.float64, r"weight must have x's dtype, got float64, x=float32", id="mixed"
        ),
        pytest.param(np.int8, np.int8, r"x must be one of float64, float32, .*got int8", id="integer"),
        pytest.param(np.complex64, np.complex64, r"x must be one of .*got complex64", id="complex"),
    ],
)
def test_dtypes_are_refused_by_name(x, weight, message):
    with pytest.raises(UsageError, match=message):
        conv(np.zeros((1, 1, 1), x), np.zeros((1, 1, 1), weight))
