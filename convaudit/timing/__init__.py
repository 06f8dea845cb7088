"""Samples of times in, what they mean out: medians with their spread, and what groups realised.

It knows no model format and no runtime.
"""

from convaudit.timing.estimates import Estimate, median_of, narrow_enough, paired_ratio
from convaudit.timing.merged import merged
from convaudit.timing.model import with_timing
from convaudit.timing.sweeping import at_groups, better_groups, swept
from convaudit.timing.verdicts import (
    falls_short,
    longer_in_model,
    loses,
    lost_seconds,
    same_kernel,
    worst_off,
)

__all__ = [
    "Estimate",
    "at_groups",
    "better_groups",
    "falls_short",
    "longer_in_model",
    "loses",
    "lost_seconds",
    "median_of",
    "merged",
    "narrow_enough",
    "paired_ratio",
    "same_kernel",
    "swept",
    "with_timing",
    "worst_off",
]
