"""Memory that a thread uses again and again, because fresh memory costs as much as what is done with it."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from convaudit.engine.operands import Array

KEPT_BYTES = 4 << 20
"""A larger buffer is not kept, so that what stays allocated between calls is small."""


class _Kept(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, Array] = {}


_KEPT = _Kept()


def scratch(purpose: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An uninitialised array, this thread's own until it asks for the same purpose again."""
    size = math.prod(shape) * dtype.itemsize
    if size > KEPT_BYTES:
        return np.empty(shape, dtype)
    buffer = _KEPT.buffers.get(purpose)
    if buffer is None or buffer.nbytes < size:
        buffer = _KEPT.buffers[purpose] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype).reshape(shape)
