"""Worker threads, and the BLAS thread count that they borrow and give back."""

from __future__ import annotations

import functools
import threading

import numpy as np
import pytest

from convaudit.engine import conv
from convaudit.engine import threads as engine_threads
from convaudit.engine.threads import _SETTINGS, _blas, default_threads, total


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


class OtherBlas(dict):
    """A library with the thread settings of one family, in which other symbols are missing."""

    def __init__(self, get, set_, count):
        super().__init__({get: lambda: self.count, set_: lambda count: setattr(self, "count", count)})
        self.count = count

    def __missing__(self, name):
        raise AttributeError(name)


@pytest.mark.parametrize("configured", [4, pytest.param(-1, id="unset-blis")])
@pytest.mark.parametrize(("get", "set_"), _SETTINGS, ids=[get for get, _ in _SETTINGS])
def test_every_family_of_blas_is_single_threaded_within(monkeypatch, get, set_, configured):
    library = OtherBlas(get, set_, configured)
    monkeypatch.setattr(engine_threads.ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(engine_threads, "_blas", functools.cache(_blas.__wrapped__))
    within = []
    total(lambda item: within.append(library.count) or default_threads(), [1, 2], 2)
    assert within == [1, 1]
    assert library.count == configured
    assert default_threads() == max(1, configured)


def test_an_unknown_blas_keeps_its_threads(monkeypatch):
    monkeypatch.setattr(engine_threads.ctypes, "CDLL", lambda _: OtherBlas("get", "set", 4))
    assert _blas.__wrapped__() is None


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
