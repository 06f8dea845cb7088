"""Worker threads, and the BLAS thread count that they borrow and give back."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from convaudit.engine import conv
from convaudit.engine.threads import _blas, default_threads, total


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_item_is_worked_on_once(threads):
    seen = []
    assert total(lambda item: seen.append(item) or item, list(range(100)), threads) == 4950
    assert sorted(seen) == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_tile_is_raised(threads):
    def fail(item):
        raise ValueError(f"tile {item}")

    with pytest.raises(ValueError, match="tile"):
        total(fail, [1, 2, 3], threads)


def test_blas_is_single_threaded_within_and_restored_after():
    blas = _blas()
    assert blas is not None, "the wheels of NumPy on PyPI bring OpenBLAS"
    before = default_threads()
    within = []
    total(lambda item: within.append(blas._get()) or 0, [1, 2], 2)
    assert within == [1, 1]
    assert blas._get() == before


def test_concurrent_calls_restore_the_setting_too():
    x, weight = np.ones((1, 8, 40, 40)), np.ones((8, 8, 3, 3))
    before = default_threads()
    expected = conv(x, weight, threads=1)
    results = []
    callers = [threading.Thread(target=lambda: results.append(conv(x, weight, threads=2))) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert default_threads() == before
    assert len(results) == 6
    for result in results:
        np.testing.assert_allclose(result, expected)
