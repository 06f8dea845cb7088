"""The most that torch does here: multiply-adds of a large matrix product, bytes of a large copy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch

from convaudit.frontends.torch.timer.stopwatch import Stopwatch
from convaudit.records.timing import Roofs

_SIDES = (256, 1024, 4096)  # the last fills a device, and takes one core of a CPU too long
_SECONDS = 0.25  # that the larger product may take, going by the smaller one
_COPIED = 2**26  # bytes: more than caches hold
_TIMES = 2


def measured_roofs(dtypes: Iterable[str], device: torch.device, stopwatch: Stopwatch) -> Roofs:
    """Measure both, on the threads that torch is set to: the best of a few.

    Args:
        dtypes: Element types of the products, by torch's names; what torch cannot multiply is left out.
        device: Where to measure.
        stopwatch: Of that device.
    """
    source = torch.ones(_COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = min(stopwatch(lambda: target.copy_(source), 1) for _ in range(_TIMES))
    products = {name: _product(getattr(torch, name), device, stopwatch) for name in dtypes}
    return Roofs(
        macs_per_second={name: best for name, best in products.items() if best},
        bytes_per_second=2 * _COPIED / copying,
    )


def _product(dtype: torch.dtype, device: torch.device, stopwatch: Stopwatch) -> float:
    best = 0.0
    for side in _SIDES:
        if best and side**3 / best > _SECONDS:
            break
        try:
            left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
            seconds = min(stopwatch(partial(torch.mm, left, right), 1) for _ in range(_TIMES))
        except RuntimeError:  # no kernel for this type
            return best
        best = max(best, side**3 / seconds)
    return best
