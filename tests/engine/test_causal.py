"""Causal convolution with carried state."""

from __future__ import annotations

import numpy as np
import pytest

from convaudit.engine import MacCounter, causal_conv, conv
from convaudit.errors import ShapeError

RNG = np.random.default_rng(0)
X, WEIGHT, BIAS = RNG.standard_normal((2, 3, 20)), RNG.standard_normal((3, 1, 4)), RNG.standard_normal(3)


def test_without_a_past_it_is_a_convolution_padded_before():
    counter = MacCounter()
    y, state = causal_conv(X, WEIGHT, BIAS, counter=counter)
    np.testing.assert_allclose(y, conv(X, WEIGHT, BIAS, padding=[(3, 0)], groups=3), atol=1e-12)
    np.testing.assert_array_equal(state, X[..., -3:])
    assert counter.macs == y.size * 4


@pytest.mark.parametrize("cuts", [[7], [1, 2], [19], [5, 6, 7, 8, 9]])
def test_chunks_with_carried_state_give_the_whole(cuts):
    whole, last = causal_conv(X, WEIGHT, BIAS)
    state, parts = None, []
    for chunk in np.split(X, cuts, axis=2):
        y, state = causal_conv(chunk, WEIGHT, BIAS, state)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, axis=2), whole, atol=1e-12)
    np.testing.assert_array_equal(state, last)


def test_an_input_shorter_than_the_state_keeps_some_of_the_past():
    _, state = causal_conv(X[..., :1], WEIGHT)
    np.testing.assert_array_equal(state, np.concatenate([np.zeros((2, 3, 2)), X[..., :1]], axis=2))


@pytest.mark.parametrize(
    ("x", "past", "message"),
    [
        pytest.param(X[..., None], None, r"\(batch, channels, length\)", id="rank"),
        pytest.param(
            X, np.zeros((2, 3, 4)), r"past_state must be \(2, 3, 3\) float64, got \(2, 3, 4\)", id="length"
        ),
        pytest.param(X, np.zeros((2, 3, 3), np.float32), r"got \(2, 3, 3\) float32", id="dtype"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(x, past, message):
    with pytest.raises(ShapeError, match=f"^scan: .*{message}"):
        causal_conv(x, WEIGHT, None, past, name="scan")
