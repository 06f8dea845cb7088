"""The theory behind the bounds, against simulations that know nothing of it."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from convaudit.judge import rounding

FLOAT32 = 2.0**-24


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [(np.float64, 2.0**-53), (np.float32, FLOAT32), (np.float16, 2.0**-11), (ml_dtypes.bfloat16, 2.0**-8)],
    ids=["float64", "float32", "float16", "bfloat16"],
)
def test_unit_roundoff_is_the_first_number_that_vanishes_beside_one(dtype: type, unit: float) -> None:
    assert rounding.unit_roundoff(np.dtype(dtype)) == unit
    assert dtype(1) + dtype(unit) == 1
    assert dtype(1) + dtype(2 * unit) != 1


@pytest.mark.parametrize(
    ("dtype", "sums_in"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_half_precisions_are_summed_in_float32(dtype: str, sums_in: str) -> None:
    assert rounding.accumulator(np.dtype(dtype)) == np.dtype(sums_in)


def test_lambda_makes_the_union_bound_the_chosen_probability() -> None:
    terms, elements = 576, 200_704
    value = rounding.deviations(terms, elements)
    assert 2 * terms * elements * math.exp(-(value**2) / 2) == pytest.approx(rounding.FAILURE)
    assert 8 < value < 11


@pytest.mark.parametrize("terms", [1, 9, 27, 64])
def test_short_sums_have_the_certain_bound(terms: int) -> None:
    assert rounding.growth(terms, 10**6, FLOAT32) == pytest.approx(terms * FLOAT32, rel=1e-5)


@pytest.mark.parametrize("terms", [576, 4608, 10**6])
def test_long_sums_have_the_probable_bound(terms: int) -> None:
    expected = rounding.deviations(terms, 10**6) * math.sqrt(terms) * FLOAT32
    assert rounding.growth(terms, 10**6, FLOAT32) == pytest.approx(expected, rel=1e-2)
    assert rounding.growth(terms, 10**6, FLOAT32) < terms * FLOAT32


def test_a_format_too_coarse_for_the_sum_is_bounded_by_probability_alone() -> None:
    assert 1 < rounding.growth(4608, 10**6, 2.0**-8) < math.inf


@pytest.mark.parametrize("mean", [0.0, 0.1, 1.0], ids=["no-drift", "some-drift", "drift"])
@pytest.mark.parametrize("terms", [9, 100, 1000])
def test_expected_energy_is_that_of_sums_in_random_order(terms: int, mean: float) -> None:
    random = np.random.default_rng(terms)
    products = (random.standard_normal((4000, terms)) + mean).astype(np.float32)
    total = np.cumsum(products, axis=1, dtype=np.float32)[:, -1]  # one addition after the other
    exact = products.sum(axis=1, dtype=np.float64)
    measured = np.square(total - exact).mean()
    squares = np.square(products.astype(np.float64)).sum(axis=1).mean()
    expected = float(
        rounding.expected_energy(terms, FLOAT32, np.array(np.square(exact).mean()), np.array(squares))
    )
    # An error is uniform in half a unit in the last place, which is u*p to u*p/2: a quarter of the variance.
    assert expected / 4 < measured < expected


@pytest.mark.parametrize("samples", [1, 10, 1000])
def test_fluctuation_is_exceeded_as_rarely_as_chosen(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "FAILURE", 1e-2)
    squares = np.square(np.random.default_rng(samples).standard_normal((20_000, samples)))
    factor = rounding.fluctuation(1, samples**-0.5, 1 / samples)
    assert (squares.mean(axis=1) > factor).mean() < 1e-2
    assert squares.mean(axis=1).max() > factor / 2, "the bound is not idle either"


def test_unequal_errors_fluctuate_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "FAILURE", 1e-2)
    weights = np.geomspace(1, 1e-3, 50)
    weights /= weights.sum()
    squares = np.square(np.random.default_rng(0).standard_normal((20_000, 50)))
    spread, peak = float(np.linalg.norm(weights)), float(weights.max())
    assert (squares @ weights > rounding.fluctuation(1, spread, peak)).mean() < 1e-2
    assert rounding.fluctuation(1, spread, peak) > rounding.fluctuation(1, 50**-0.5, 1 / 50)


@pytest.mark.parametrize(("channels", "samples"), [(200, 10), (16, 200), (64, 49)])
def test_the_median_falls_short_as_rarely_as_chosen(
    channels: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "FAILURE", 1e-1)
    squares = np.square(np.random.default_rng(0).standard_normal((1000, channels, samples)))
    medians = np.median(squares.mean(axis=2), axis=1)
    shortfall = rounding.median_shortfall(channels, samples)
    assert 0.3 < shortfall < 1
    assert (medians < shortfall).mean() < 1e-1


def test_too_few_samples_tell_nothing() -> None:
    assert rounding.median_shortfall(3, 1) == 0
