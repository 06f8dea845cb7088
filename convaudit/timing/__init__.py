"""Samples of times in, what they mean out: medians with their spread, and what groups realised.

It knows no model format and no runtime.
"""

from convaudit.timing.derived import with_timing

__all__ = ["with_timing"]
