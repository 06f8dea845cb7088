"""Worker threads that share out tiles, each calling BLAS single-threaded.

NumPy gives up the interpreter lock while it copies and multiplies, so Python threads do both in parallel.
BLAS's own threads would speed up nothing but the products, and split small ones poorly.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def default_threads() -> int:
    """As many threads as NumPy's BLAS is set to use; 1 where it cannot be asked."""
    blas = _blas()
    return blas.threads if blas else 1


def total(work: Callable[[Item], int], items: Iterable[Item], threads: int) -> int:
    """Share out work among threads.

    Args:
        work: Applied to each item.
        items: Each thread takes the next one when it is free.
        threads: How many threads work, the caller's own among them.

    Returns:
        The sum of ``work(item)`` over all items.
    """
    blas = _blas()
    queue = iter(items)

    def drain() -> int:
        return sum(work(item) for item in queue)

    with blas.single_threaded() if blas else nullcontext():
        helpers = [_pool().submit(drain) for _ in range(threads - 1)]
        try:
            own = drain()
        finally:
            for helper in helpers:  # also if a tile failed here: nobody may still be writing afterwards
                helper.exception()
        return own + sum(helper.result() for helper in helpers)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads that stay: starting one costs as much as a small layer."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="convaudit")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child inherits no threads


_SETTINGS = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),  # wheels of NumPy 2
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),  # wheels of NumPy 1
    ("openblas_get_num_threads", "openblas_set_num_threads"),  # Linux distributions, conda-forge
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),  # BLIS
)
"""The functions by which each BLAS tells its number of threads, and sets it for the whole process."""


class _Blas:
    """The thread count of the BLAS that NumPy is linked to.

    threadpoolctl (3.8) would know more libraries, but cannot be used by callers that overlap in several
    threads: the one that leaves last restores the 1 that it found, or nothing, because another thread
    "controls" OpenBLAS.
    """

    def __init__(self, library: ctypes.CDLL, get: str, set_: str) -> None:
        self._get, self._set = library[get], library[set_]
        self._lock = Lock()
        self._users = 0
        self._configured = int(self._get())

    @property
    def threads(self) -> int:
        """What it is set to outside of ``single_threaded``."""
        with self._lock:
            return max(1, self._configured if self._users else int(self._get()))  # BLIS says -1 for 1

    @contextmanager
    def single_threaded(self) -> Iterator[None]:
        """One thread within. The first to enter saves the setting, the last to leave restores it."""
        with self._lock:
            if self._users == 0:
                self._configured = int(self._get())
                self._set(1)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._set(self._configured)


@functools.cache
def _blas() -> _Blas | None:
    """NumPy's BLAS; None if it is of another family, which then keeps its own threads."""
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)  # symbols of what it links to resolve, too
    for get, set_ in _SETTINGS:
        try:
            return _Blas(library, get, set_)
        except AttributeError:
            continue
    return None
