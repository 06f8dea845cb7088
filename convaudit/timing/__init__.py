"""Samples of times in, what they mean out: medians with their spread, and what groups realised.

It knows no model format and no runtime.
"""

from convaudit.timing.derived import with_timing
from convaudit.timing.estimates import Estimate, median_of, narrow_enough, paired_ratio
from convaudit.timing.sweeping import at_groups, better_groups, swept

__all__ = [
    "Estimate",
    "at_groups",
    "better_groups",
    "median_of",
    "narrow_enough",
    "paired_ratio",
    "swept",
    "with_timing",
]
