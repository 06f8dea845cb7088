"""How much of an axis is drawn, and what of a window is told in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convaudit.records.explanation import AxisWindow
from convaudit.reporters.pictures.svg import short_count

_LEAST, _BEYOND, _THINNEST = 9, 2, 2.0


@dataclass(frozen=True, slots=True)
class Visible:
    """Positions of one axis that are drawn: the window's first places, and a few more.

    Attributes:
        first: The first of them; below 0 it is padding.
        count: How many.
        inside: Those of the tensor itself.
        goes_on: Whether there are more at the end.
        padded: Whether some are padding.
    """

    first: int
    count: int
    inside: range
    goes_on: bool
    padded: bool

    def span(self, positions: range, unit: float) -> tuple[float, float]:
        """Where positions begin and how long they are, as far as they are drawn; none is too thin to see."""
        start = min(max(positions.start - self.first, 0), self.count)
        end = min(max(positions.stop - self.first, start), self.count)
        return start * unit, max((end - start) * unit, _THINNEST if end > start else 0.0)


def visible(window: AxisWindow, least: int = _LEAST, places: int = 2) -> Visible:
    """What of an axis is drawn.

    Args:
        window: Whose taps must be seen.
        least: Positions that are drawn at least, if there are so many.
        places: How many places of the window must be seen.
    """
    size = window.output if window.transposed else window.input
    before, after = max(window.before or 0, 0), max(window.after or 0, 0)
    first = -before
    many = window.input if window.transposed else window.output
    last = min(places, many) - 1 if isinstance(many, int) else places - 1
    wanted = max(window.taps(max(last, 0)).stop - first + _BEYOND, least)
    end = size + after if isinstance(size, int) else None
    stop = first + wanted if end is None or first + wanted + _BEYOND < end else max(end, first + 1)
    inside = range(stop if not isinstance(size, int) else max(min(size, stop), 0))
    return Visible(
        first=first,
        count=stop - first,
        inside=inside,
        goes_on=end is None or stop < end,
        padded=before > 0 or (isinstance(size, int) and stop > size),
    )


def other_axes(window: AxisWindow) -> str:
    """An axis that is not drawn: ``depth: 3 taps, stride 1, padding 1``."""
    padding = "?" if window.before is None else short_count(window.before)
    if window.before != window.after:
        padding += f" before, {short_count(window.after)} after"
    dilation = f", dilation {short_count(window.dilation)}" if window.dilation != 1 else ""
    taps = f"{short_count(window.kernel)} taps, stride {short_count(window.stride)}"
    return f"{window.name}: {taps}, padding {padding}{dilation}"


def padding_words(window: AxisWindow) -> str:
    """What padding does."""
    return "padding of a transposed layer: cut off" if window.transposed else "padding: counts as zeros"


def in_words(windows: Sequence[AxisWindow]) -> str:
    """All axes, for whoever cannot see the picture."""
    shown = [
        f"{other_axes(one)}, {short_count(one.input)} positions in, {short_count(one.output)} out"
        for one in windows[:4]
    ]
    return "; ".join(shown) + "."
