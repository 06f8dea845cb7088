"""A layer's wiring and its window drawn in characters, at most 76 wide, whatever the layer.

They are Unicode's; ``in_ascii`` draws the same for whoever cannot show them.
"""

from __future__ import annotations

from convaudit.records.explanation import Explanation
from convaudit.reporters.sketches.window import window_sketch
from convaudit.reporters.sketches.wiring import wiring_sketch

__all__ = ["in_ascii", "sketched", "window_sketch", "wiring_sketch"]

_ASCII = str.maketrans("─│┌┐└┘├┤┬┴┼█░·⋮⋱…", "-|+++++++++#:.:\\~")


def in_ascii(text: str) -> str:
    """A sketch in the characters that every terminal has."""
    return text.translate(_ASCII)


def sketched(told: Explanation) -> dict[str, list[str]]:
    """All that can be drawn of a layer, each with its title."""
    drawn = {"Which channels reach which": [] if told.wiring is None else wiring_sketch(told.wiring)}
    drawn["Where the taps lie"] = window_sketch(told.windows)
    return {title: lines for title, lines in drawn.items() if lines}
