"""Runs of a function under torch's profiler, as events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from convaudit.errors import UsageError
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.timer.events import Event, nested

MARK = "convaudit: one run"
_LOG_LEVEL = "KINETO_LOG_LEVEL"
_SILENT = "6"


def profiled(runs: Iterable[Callable[[], Any]], *, device: bool, operands: bool = False) -> list[Event]:
    """Call each of ``runs`` under the profiler.

    Args:
        runs: What to call; what makes each ready is not seen.
        device: Whether it computes on a CUDA device, whose own seconds then count.
        operands: Whether their shapes are wanted too; to keep them takes a microsecond an operator.

    Returns:
        One event for each, with the operators that it called. What other threads ran is not seen.

    Raises:
        UsageError: A profiler runs already.
    """
    if private.is_profiling():
        raise UsageError(
            "torch's profiler is running, and a second one would end it: measure times outside of it"
        )
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device else [])]
    with _silent(), profile(activities=activities, record_shapes=operands) as profiler:
        for run in runs:
            with record_function(MARK):
                run()
    raw = None if device else private.profiled_operators(profiler, operands=operands)
    if raw is None:
        marks = [event for event in profiler.events() or [] if event.name == MARK and event.cpu_children]
        return [_of_public(event, device=device) for event in marks]
    thread = next((own for name, _, _, own, _ in raw if name == MARK), None)
    flat = (
        Event(name, start, seconds, operands=given)
        for name, start, seconds, own, given in raw
        if own == thread
    )
    return [event for event in _marked(nested(flat)) if event.name == MARK]


@cache
def prepare_profiler() -> None:
    """Have torch prepare what it prepares once: its profiler takes a second of that, its kernels less."""
    with torch.no_grad():
        x = torch.zeros(1, 1, 1, 1)
        profiled(
            [lambda: torch.convolution(x, x, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)], device=False
        )


def _marked(events: list[Event]) -> Iterator[Event]:
    for event in events:
        if event.name == MARK:
            yield event
        else:
            yield from _marked(event.inside)


def _of_public(event: Any, *, device: bool) -> Event:
    """An event as ``torch.profiler`` hands it out, in microseconds.

    On a device an operator takes what its kernels do; a whole run takes until the last of them has ended.
    """
    longest = max(event.kernels, key=lambda kernel: kernel.duration, default=None)
    on_device = device and event.name != MARK
    return Event(
        event.name,
        event.time_range.start / 1e6,
        (event.device_time_total if on_device else event.time_range.elapsed_us()) / 1e6,
        [_of_public(part, device=device) for part in event.cpu_children],
        None if longest is None else longest.name,
        f"{event.input_shapes} {event.concrete_inputs}",
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the profiler's own log off stderr, unless the user has chosen what it says."""
    if _LOG_LEVEL in os.environ:
        yield
        return
    os.environ[_LOG_LEVEL] = _SILENT
    try:
        yield
    finally:
        os.environ.pop(_LOG_LEVEL, None)
