"""How quiet the machine was: what a layer against itself says of all that was measured with it.

Two copies of one layer, timed in turn, differ by what no number of rounds removes: where their memory lies,
and what ran before each. So every ratio of the layer is as uncertain as that, beside its own interval.
"""

from __future__ import annotations

from math import ceil

from convaudit.timing.estimates import Estimate

MOST_NOISE = 0.1
"""How far layers may be from themselves before nothing is concluded from times."""
MOST_SPREAD = 0.25
"""Half of the interval of what groups realised, relative to it, beyond which nothing is concluded from it."""


def deviation(itself: Estimate | None) -> float | None:
    """How far the ratio of a layer to itself is from 1, in either direction: 0.02 is 2 %.

    >>> deviation(Estimate(value=0.5, low=0.5, high=0.5, count=9))
    1.0
    """
    return None if itself is None else max(itself.value, 1 / itself.value) - 1


def too_noisy(noise: float | None, spread: float | None = None) -> str | None:
    """Why nothing is concluded from times, in words; None if the machine was quiet enough, or unchecked.

    Args:
        noise: How far layers were from themselves.
        spread: Half of the interval of the number that a verdict would be on, relative to it.
    """
    advice = "the machine is too noisy for a verdict; time it again while nothing else runs"
    if noise is not None and noise > MOST_NOISE:
        differ = f"differ by {ceil(noise * 100)}%, more than {MOST_NOISE:.0%}"
        return f"layers timed against themselves {differ}: {advice}"
    if spread is not None and spread > MOST_SPREAD:
        known = f"known within {ceil(spread * 100)}%, not {MOST_SPREAD:.0%}"
        return f"what groups realised is {known}: {advice}"
    return None
