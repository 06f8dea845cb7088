"""The window along one axis: two rows of positions, and lines between those that meet."""

from __future__ import annotations

from convaudit.records.explanation import AxisWindow
from convaudit.reporters.pictures.svg import (
    PADDING_COLOR,
    boxes,
    color,
    legend,
    lines,
    short_count,
    svg_path,
    words,
)
from convaudit.reporters.pictures.view import Visible, padding_words, visible

_ROOM, _LEAST_RULED, _MOST_TAPS = 420.0, 5.0, 40
_PLACES = 3
_LONG, _SHORT, _HIGH = 34.0, 130.0, 20.0


def strip_parts(window: AxisWindow) -> tuple[float, float, list[str]]:
    """Width, height and elements of the picture of one axis; what goes in is above."""
    seen = visible(window, least=12, places=_PLACES)
    unit = min(26.0, _ROOM / seen.count)
    top_long, top_short = (_SHORT, _LONG) if window.transposed else (_LONG, _SHORT)
    many = window.input if window.transposed else window.output
    places = min(_PLACES, many) if isinstance(many, int) else _PLACES
    parts = [
        words(0, 14, f"input {short_count(window.input)}"),
        words(0, _SHORT + _HIGH + 18, f"output {short_count(window.output)}"),
        *_long(seen, unit, top_long),
    ]
    for place in range(places):
        parts += _place(window, place, seen, unit, (top_long, top_short))
    if not isinstance(many, int) or many > places:
        last = _middle(window, max(places - 1, 0), seen, unit)
        parts.append(words(last + unit / 2 + 6, top_short + 14, "…", fill_opacity=".75"))
    width, height, keys = legend(_keys(window, seen, places), _SHORT + _HIGH + 32)
    return max(seen.count * unit + 16, width), height, [*parts, *keys]


def _long(seen: Visible, unit: float, top: float) -> list[str]:
    """The row that the taps touch, with its padding."""
    wide = seen.count * unit
    start, length = seen.span(seen.inside, unit)
    own = (start, top, length, _HIGH)
    ends = [] if seen.goes_on else [((start + length, top), (start + length, top + _HIGH))]
    edge = [((start, y), (start + length, y)) for y in (top, top + _HIGH)]
    edge.append(((start, top), (start, top + _HIGH)))
    parts = [
        svg_path(
            boxes([(0, top, wide, _HIGH), own]),
            fill=PADDING_COLOR,
            fill_opacity=".35",
            fill_rule="evenodd",
        ),
        svg_path(lines([*edge, *ends]), stroke="currentColor", stroke_opacity=".7", stroke_width=1.5),
    ]
    if unit >= _LEAST_RULED:
        rules = [((at * unit, top), (at * unit, top + _HIGH)) for at in range(1, seen.count)]
        parts.append(svg_path(lines(rules), stroke="currentColor", stroke_opacity=".25"))
    if seen.goes_on:
        parts.append(words(wide + 3, top + 14, "…", fill_opacity=".75"))
    return parts


def _middle(window: AxisWindow, place: int, seen: Visible, unit: float) -> float:
    """Where a position of the other row stands: below the middle of its taps."""
    taps = window.taps(place)
    return (taps.start - seen.first + window.extent / 2) * unit


def _place(
    window: AxisWindow, place: int, seen: Visible, unit: float, tops: tuple[float, float]
) -> list[str]:
    """One position of the other row, and lines to its taps."""
    taps, middle = window.taps(place), _middle(window, place, seen, unit)
    wide = max(min(unit, 26.0), 4.0)
    near = tops[0] + _HIGH if tops[0] < tops[1] else tops[0]
    far = tops[1] if tops[0] < tops[1] else tops[1] + _HIGH
    fill = color(place)
    if len(taps) <= _MOST_TAPS and unit >= _LEAST_RULED:
        at = [(tap - seen.first + 0.5) * unit for tap in taps]
        met = svg_path(lines([((x, near), (middle, far)) for x in at]), stroke=fill, stroke_width=1.5)
        inset = 3 + 3 * place
        dots = [(x - unit / 2 + 2, tops[0] + inset - 1, unit - 4, 4.0) for x in at]
        met += svg_path(boxes(dots), fill=fill)
    else:
        start, length = seen.span(range(taps.start, taps.stop), unit)
        corners = f"M{start:.1f} {near}H{start + length:.1f}L{middle:.1f} {far}z"
        met = svg_path(corners, fill=fill, fill_opacity=".3", stroke=fill)
    return [met, svg_path(boxes([(middle - wide / 2, tops[1], wide, _HIGH)]), fill=fill)]


def _keys(window: AxisWindow, seen: Visible, places: int) -> list[tuple[str, str]]:
    taps = "1 tap" if window.kernel == 1 else f"{short_count(window.kernel)} taps"
    if window.dilation != 1:
        taps += f", {short_count(window.dilation)} apart"
    one, many = ("input position", "is spread over") if window.transposed else ("output position", "reads")
    keys = [(color(0), f"the first {one} {many} {taps}")]
    if places > 1:
        keys.append((color(1), f"the next one: stride {short_count(window.stride)} to the right"))
    if seen.padded:
        keys.append((PADDING_COLOR, padding_words(window)))
    return keys
