"""Where the taps of a window lie, in characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convaudit.formulas import Count
from convaudit.records.explanation import AxisWindow
from convaudit.reporters.sketches.text import sketched_number

_COLUMNS, _LINES, _PLACES = 13, 11, 3
_BEYOND = 2
"""Positions that are drawn after the last tap."""


def window_sketch(windows: Sequence[AxisWindow]) -> list[str]:
    """The first places of the window: of one axis a line each, of more the last two as a grid.

    Returns:
        Lines; where it is too large to be drawn none, as where each place touches but its own position.
    """
    if not windows or all(one.kernel == one.stride == 1 and one.before == one.after == 0 for one in windows):
        return []
    if len(windows) == 1:
        return list(_strip(windows[0]))
    return list(_grid(windows[-2], windows[-1]))


def _touched(window: AxisWindow) -> Count | None:
    return window.output if window.transposed else window.input


def _placed(window: AxisWindow) -> Count | None:
    return window.input if window.transposed else window.output


def _shown(window: AxisWindow, places: int, most: int, least: int) -> range | None:
    """The positions that are drawn, padding included; None: there is no room."""
    first = min(window.taps(0).start, 0)
    need = window.taps(places - 1).stop - first
    if need > most:
        return None
    size = _touched(window)
    end = size + max(window.after or 0, 0) if isinstance(size, int) else None
    room = min(most, max(need + _BEYOND, least))
    stop = first + room if end is None or end > first + room else max(end, first + need)
    return range(first, stop)


def _goes_on(window: AxisWindow, shown: range) -> bool:
    size = _touched(window)
    return not isinstance(size, int) or shown.stop < size + max(window.after or 0, 0)


def _is_inside(window: AxisWindow, position: int) -> bool:
    size = _touched(window)
    return position >= 0 and (not isinstance(size, int) or position < size)


def _places(window: AxisWindow, most: int) -> int:
    count = _placed(window)
    return max(min(count, most), 1) if isinstance(count, int) else most


def _strip(window: AxisWindow) -> Iterator[str]:
    """A line for each of the first places: what it touches."""
    places = _places(window, _PLACES)
    shown = _shown(window, places, 24, 24)
    if shown is None:
        return
    side, other = ("output", "input") if window.transposed else ("input", "output")
    more = " …" if _goes_on(window, shown) else ""
    start = f"{side} {sketched_number(_touched(window))}"
    names = [f"{other} {place}" for place in range(places)]
    width = max(map(len, (start, *names)))
    line = " ".join("·" if _is_inside(window, position) else "░" for position in shown)
    yield f"{start:{width}}  {line}{more}"
    for place, name in enumerate(names):
        taps = window.taps(place)
        yield f"{name:{width}}  {' '.join('█' if at in taps else ' ' for at in shown)}".rstrip()
    yield from _strip_legend(window, any(not _is_inside(window, position) for position in shown))


def _strip_legend(window: AxisWindow, padded: bool) -> Iterator[str]:
    one = "one input position is added to" if window.transposed else "one output position reads"
    yield f"█ what {one}; the next is {sketched_number(window.stride)} to the right (stride)"
    if padded:
        yield "░ padding" + (", which is cut off" if window.transposed else ", which counts as zeros")


def _grid(first: AxisWindow, last: AxisWindow) -> Iterator[str]:
    """The grid that the taps touch; 1 and 2 are two places of the window."""
    step = _places(last, 2) - 1
    down = 0 if step else _places(first, 2) - 1
    rows = _shown(first, 1 + down, _LINES, 6)
    columns = _shown(last, 1 + step, _COLUMNS, 9)
    if rows is None or columns is None:
        return
    side = "output" if last.transposed else "input"
    yield f"{side} {sketched_number(_touched(first))} x {sketched_number(_touched(last))}"
    second = (first.taps(down), last.taps(step)) if step or down else None
    for row in rows:
        if row == 0 and rows.start < 0:
            yield _rule(last, columns, "┌", "┐")
        cells = [_tapped(first, last, second, row, column) for column in columns]
        line = _bordered(last, columns, cells, inside=_is_inside(first, row))
        yield line + (" …" if _goes_on(last, columns) and row == rows.start else "")
        size = _touched(first)
        if isinstance(size, int) and row == size - 1 and rows.stop > size:
            yield _rule(last, columns, "└", "┘")
    if _goes_on(first, rows):
        yield "  ⋮"
    one = "input" if last.transposed else "output"
    touches = "is added to" if last.transposed else "reads"
    yield f"1 what the first {one} position {touches}"
    if second is not None:
        way = (
            f"{sketched_number(last.stride)} to the right"
            if step
            else f"{sketched_number(first.stride)} down"
        )
        yield f"2 the next one: stride {way}"
    if any(not _is_inside(first, row) for row in rows) or any(not _is_inside(last, at) for at in columns):
        yield "░ padding" + (", which is cut off" if last.transposed else ", which counts as zeros")


def _tapped(
    first: AxisWindow, last: AxisWindow, second: tuple[range, range] | None, row: int, column: int
) -> str:
    one = row in first.taps(0) and column in last.taps(0)
    two = second is not None and row in second[0] and column in second[1]
    if one or two:
        return f"{'1' if one else ''}{'2' if two else ''}"
    return "·" if _is_inside(first, row) and _is_inside(last, column) else "░"


def _bordered(window: AxisWindow, columns: range, cells: Sequence[str], *, inside: bool) -> str:
    """One row, the tensor's own borders between it and its padding."""
    size, text = _touched(window), ""
    for column, cell in zip(columns, cells, strict=True):
        border = column == 0 and columns.start < 0
        text += ("│" if inside else " ") if border else ""
        text += f"{cell:>3} "
        if isinstance(size, int) and column == size - 1 and columns.stop > size:
            text += "│" if inside else " "
    return text.rstrip()


def _rule(window: AxisWindow, columns: range, start: str, end: str) -> str:
    size, text = _touched(window), ""
    for column in columns:
        text += start if column == 0 and columns.start < 0 else ""
        text += "─" * 4 if _is_inside(window, column) else " " * 4
        text += end if isinstance(size, int) and column == size - 1 and columns.stop > size else ""
    return text.rstrip()
