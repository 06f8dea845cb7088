"""How long a call takes: the one place that knows a clock for each kind of device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.benchmark import Timer

Run = Callable[[], Any]
Stopwatch = Callable[[Run, int], float]
"""Seconds of one call, the mean over a number of calls in a row, after some that are not counted."""

TIMED_DEVICES = ("cpu", "cuda")
"""Whose ends of kernels are waited for; on others a time would be that of starting them."""


def stopwatch(device: torch.device) -> Stopwatch:
    """That for what computes on ``device``."""
    return partial(_by_events, device) if device.type == "cuda" else _by_timer


def synchronised(device: torch.device) -> None:
    """Wait for what was started on a CUDA device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _by_timer(function: Run, calls: int) -> float:
    """By ``torch.utils.benchmark``, on the threads that torch is set to."""
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    return float(timer.timeit(calls).mean)


def _by_events(device: torch.device, function: Run, calls: int) -> float:
    """By events on the device, so that starting kernels counts only where it takes longer than they do."""
    with torch.cuda.device(device):  # its stream is what events are recorded in
        for _ in range(2):
            function()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for _ in range(calls):
            function()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / calls
