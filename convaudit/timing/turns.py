"""Two models timed in alternation, and how many times faster one is than the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

from convaudit.records.timing import Samples, Timed
from convaudit.timing.estimates import Estimate, paired_ratio

MOST_TURNS = 10
"""Turns that each model gets: of 10 ratios one far off on either side does not reach the interval.

Even, since what runs second in a turn may be faster: as many ratios have it on either side.
"""

_RUNNING = 0.4
"""Share of a turn in which a model runs; the rest makes its session, and reads what the runtime tells."""

Timer = Callable[[float], Timed]
"""Measures a model for so many seconds."""


def in_turns(
    first: Timer,
    second: Timer,
    budget: float,
    *,
    done: Callable[[int], None] = lambda steps: None,
    clock: Callable[[], float] = perf_counter,
) -> tuple[list[Timed], list[Timed]]:
    """Measure both models again and again, as ``A B B A A B B A``, so that a drift meets both alike.

    Each turn makes its own session, since where a session lies in memory changes how fast it is, and no
    number of runs in one session tells by how much (Kalibera & Jones, "Rigorous benchmarking in reasonable
    time", 2013: repeat where the variation is).

    Args:
        first: Of the one model.
        second: Of the other one.
        budget: Seconds for all turns; each model has one turn in any case.
        done: Is told of each round that is over, of ``MOST_TURNS``.
        clock: Seconds, from any point on.
    """
    timers: list[tuple[Timer, list[Timed]]] = [(first, []), (second, [])]
    share = _RUNNING * budget / (MOST_TURNS * len(timers))
    start = clock()
    for turn in range(MOST_TURNS):
        spent = clock() - start
        if turn and spent + spent / turn > budget:
            break
        for timer, found in timers if turn % 2 == 0 else timers[::-1]:
            found.append(timer(share))
        done(1)
    return timers[0][1], timers[1][1]


def speedup(before: Sequence[Samples], after: Sequence[Samples]) -> Estimate | None:
    """How many times less time ``after`` took: the median, over turns, of the ratio of their medians.

    Args:
        before: Samples of each turn.
        after: Of the same turns.

    Returns:
        None if no turn has both.
    """
    pairs = [(median(a), median(b)) for a, b in zip(before, after, strict=True) if a and b]
    return paired_ratio([a for a, _ in pairs], [b for _, b in pairs])
