"""Times of several functions, taken in turn, so that what slows the machine down slows all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter

from convaudit.frontends.torch.timer.stopwatch import Run, Stopwatch
from convaudit.timing.estimates import narrow_enough, paired_ratio

Clock = Callable[[], float]
_BLOCK = 1e-3  # seconds that a block of calls takes at least: a clock's ticks are nothing to it
_MOST_CALLS = 1000
MOST_ROUNDS = 32
_LONG = 0.4
"""Seconds after which half of them are enough: the interval narrows by their square root only."""


def interleaved(
    functions: Sequence[Run],
    stopwatch: Stopwatch,
    seconds: float,
    clock: Clock = perf_counter,
    most: int | None = None,
) -> list[tuple[float, ...]]:
    """Seconds of one call of each function, one for each round.

    A round runs them all, every other one in reverse order: A B, B A. It ends when the ratio of each
    to the first is known narrowly, or when the time is over.

    Args:
        functions: The first one is what the others are compared with.
        stopwatch: Takes the time of a number of calls.
        seconds: That all rounds may take together; one is always run.
        clock: Tells when they are over.
        most: Rounds, if fewer than ``MOST_ROUNDS`` do.
    """
    start, most = clock(), MOST_ROUNDS if most is None else min(most, MOST_ROUNDS)
    calls = [_calls(stopwatch(function, 1)) for function in functions]
    samples: list[list[float]] = [[] for _ in functions]
    first = clock()
    order = list(range(len(functions)))
    while True:
        for index in order:
            samples[index].append(stopwatch(functions[index], calls[index]))
        order.reverse()
        now, rounds = clock(), len(samples[0])
        over = now - start + (now - first) / rounds > seconds
        long = rounds >= MOST_ROUNDS // 2 and now - first > _LONG
        if over or long or rounds == most or _known(samples):
            return [tuple(taken) for taken in samples]


def _known(samples: Sequence[Sequence[float]]) -> bool:
    first, *others = samples
    return all(narrow_enough(paired_ratio(other, first)) for other in others)


def _calls(seconds: float) -> int:
    return max(1, min(_MOST_CALLS, math.ceil(_BLOCK / seconds))) if seconds > 0 else _MOST_CALLS
