"""One pass over a weight: what is zero, denormal, not finite. What it needs of memory is a few blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convaudit.engine.operands import Array

BLOCK = 2**18
"""Elements that are looked at at once, or those of one kernel if it has more."""
_FLOATS: dict[np.dtype, tuple[type, int, int]] = {
    np.dtype(np.float64): (np.uint64, 0x7FF0000000000000, 0x0010000000000000),
    np.dtype(np.float32): (np.uint32, 0x7F800000, 0x00800000),
    np.dtype(np.float16): (np.uint16, 0x7C00, 0x0400),
    np.dtype(ml_dtypes.bfloat16): (np.uint16, 0x7F80, 0x0080),
}
"""Integers of a format's width; its infinity and its smallest normal number, read as such (IEEE 754)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one pass over a weight shows. Kernels are counted as they are stored, along its first two axes."""

    nonzero: NDArray[np.bool_]  # (kernels,): which are not all zero
    taps: NDArray[np.bool_]  # (taps,): which are not zero in all kernels
    infinite: NDArray[np.bool_]  # (kernels,): which have an element that is infinite or NaN
    denormals: int
    nonfinite: int


def scan(weight: Array) -> Scan:
    """Look at a weight of any shape of at least two axes; -0.0 is zero."""
    taps = math.prod(weight.shape[2:])
    kernels = weight.shape[0] * weight.shape[1]
    nonzero, infinite = np.ones(kernels, bool), np.zeros(kernels, bool)
    used = np.zeros(taps, bool)
    denormals = nonfinite = 0
    for rows, block in _blocks(weight, kernels, taps):
        seen, tiny, wild = _looked_at(block)
        denormals += tiny
        if seen is None:
            used[:] = True
        else:
            nonzero[rows] = _any_by_row(seen)
            if not used.all():
                used |= seen.any(axis=0)
        if wild is not None:
            infinite[rows] = _any_by_row(wild)
            nonfinite += int(np.count_nonzero(wild))
    return Scan(nonzero=nonzero, taps=used, infinite=infinite, denormals=denormals, nonfinite=nonfinite)


def count_nonfinite(values: Array | None) -> int:
    """How many elements are infinite or NaN."""
    if values is None or not values.size:
        return 0
    wild = _looked_at(np.ascontiguousarray(values.reshape(1, -1)))[2]
    return 0 if wild is None else int(np.count_nonzero(wild))


def _blocks(weight: Array, kernels: int, taps: int) -> Iterator[tuple[slice, Array]]:
    """Blocks of kernels, (kernels, taps), with their places."""
    if not weight.size:
        return
    flat = np.ascontiguousarray(weight).reshape(kernels, taps)
    step = max(BLOCK // taps, 1)
    for first in range(0, kernels, step):
        rows = slice(first, min(first + step, kernels))
        yield rows, flat[rows]


def _looked_at(block: Array) -> tuple[Array | None, int, Array | None]:
    """Elements that are not zero (None: all), the number of denormal ones, those not finite (None: none)."""
    if block.dtype not in _FLOATS:
        wild = None
        if block.dtype.kind not in "biu":  # floats of 8 bits and fewer, complex numbers
            block = block if block.dtype.kind == "c" else block.astype(np.float32)
            finite = np.isfinite(block)
            wild = None if finite.all() else ~finite
        zeros = block.size - int(np.count_nonzero(block))
        return (block != 0) if zeros else None, 0, wild
    unsigned, infinity, normal = _FLOATS[block.dtype]
    bits = np.bitwise_and(block.view(unsigned), unsigned(np.iinfo(unsigned).max >> 1))
    least, most = int(bits.min()), int(bits.max())
    if least >= normal and most < infinity:
        return None, 0, None
    nonzero = bits != 0
    zeros = bits.size - int(np.count_nonzero(nonzero))
    small = int(np.count_nonzero(bits < unsigned(normal))) - zeros
    return (nonzero if zeros else None), small, (bits >= unsigned(infinity) if most >= infinity else None)


def _any_by_row(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """As ``mask.any(axis=1)``, which is slow along a few elements."""
    columns = mask.shape[1]
    if columns > 16:
        whole: NDArray[np.bool_] = np.logical_or.reduce(mask, axis=1)
        return whole
    found: NDArray[np.bool_] = mask[:, 0].copy()
    for column in range(1, columns):
        found |= mask[:, column]
    return found
