"""Where the taps of a kernel lie: padding, stride and dilation, on the grid of one axis or two."""

from __future__ import annotations

from dataclasses import dataclass

from convaudit.records.explanation import AxisWindow, Explanation
from convaudit.reporters.pictures.strip import strip_parts
from convaudit.reporters.pictures.svg import (
    PADDING_COLOR,
    arrow,
    boxes,
    color,
    document,
    legend,
    lines,
    named,
    short_count,
    svg_path,
    text_width,
    words,
)
from convaudit.reporters.pictures.view import Visible, in_words, other_axes, padding_words, visible

_ROOM, _LEAST_RULED, _MOST_TAPS = 216.0, 5.0, 100
_TOP = 30.0
_SMALL, _SMALL_CELLS, _BETWEEN = 18.0, 6, 64.0


def grid_svg(told: Explanation) -> str:
    """The first positions of the window, and where the next ones are: a grid, of one axis a strip.

    Of more axes than two the last two are drawn, and the others are told in words.

    Args:
        told: The layer.

    Returns:
        SVG; empty where the kernel is unknown.
    """
    windows = told.windows
    if not windows:
        return ""
    title = f"Window of {named(told.layer.name)}"
    if len(windows) == 1:
        width, height, parts = strip_parts(windows[0])
    else:
        width, height, parts = _grid(windows[-2], windows[-1])
    others = [other_axes(window) for window in windows[:-2]] if len(windows) > 2 else []
    for line in others[:4]:
        height += 18
        parts.append(words(0, height - 4, line, fill_opacity=".75"))
    return document(width, height, "grid", title, in_words(windows), parts)


@dataclass(frozen=True, slots=True)
class _Plane:
    """The tensor that the taps touch: of a transposed convolution its output."""

    rows: Visible
    columns: Visible
    unit: float
    left: float

    def box(self, rows: range, columns: range) -> tuple[float, float, float, float]:
        """The rectangle around some positions, those that lie beyond the picture cut off."""
        y, high = self.rows.span(rows, self.unit)
        x, wide = self.columns.span(columns, self.unit)
        return (self.left + x, _TOP + y, wide, high)


def _grid(first: AxisWindow, last: AxisWindow) -> tuple[float, float, list[str]]:
    """Both tensors side by side, what goes in on the left."""
    rows, columns = visible(first), visible(last)
    unit = min(20.0, _ROOM / max(rows.count, columns.count))
    plane_wide = max(columns.count * unit, text_width(_heading(first, last, small=False)))
    small = _small_counts(first, last)[1] * _SMALL
    small_wide = max(small + 14, text_width(_heading(first, last, small=True)))
    left_wide = small_wide if last.transposed else plane_wide
    right = left_wide + _BETWEEN
    plane = _Plane(rows, columns, unit, right if last.transposed else 0.0)
    beside, end = _small(first, last, left=0.0 if last.transposed else right)
    parts = [*_plane(plane, first, last), *beside]
    drawn = small if last.transposed else columns.count * unit
    parts.append(arrow((drawn + 18, _TOP + 40), (drawn + 46, _TOP + 40)))
    below = max(_TOP + rows.count * unit, end)
    width, height, keys = legend(_keys(plane, first, last), below + 22)
    both = right + (plane_wide + 14 if last.transposed else small_wide)
    return max(both, width), height, [*parts, *keys]


def _plane(plane: _Plane, first: AxisWindow, last: AxisWindow) -> list[str]:
    rows, columns, unit = plane.rows, plane.columns, plane.unit
    everything = (plane.left, _TOP, columns.count * unit, rows.count * unit)
    parts = [
        words(plane.left, 14, _heading(first, last, small=False)),
        svg_path(
            boxes([everything, plane.box(rows.inside, columns.inside)]),
            fill=PADDING_COLOR,
            fill_opacity=".35",
            fill_rule="evenodd",
        ),
    ]
    here = (first.taps(0), last.taps(0))
    parts.append(_taps(plane, *here))
    if unit >= _LEAST_RULED:
        parts.append(_ruled(everything, rows.count, columns.count, unit))
    parts.append(_edge(plane))
    around = [range(taps.start, taps.stop) for taps in here]
    parts.append(svg_path(boxes([plane.box(*around)]), fill="none", stroke=color(0), stroke_width=2.5))
    if second := _second(first, last):
        taps = (first.taps(second[0]), last.taps(second[1]))
        around = [range(one.start, one.stop) for one in taps]
        outline = boxes([plane.box(*around)])
        dashed: dict[str, str | float] = {"stroke_width": 2.5, "stroke_dasharray": "5 3"}
        parts.append(svg_path(outline, fill="none", stroke=color(1), **dashed))
    parts += _goes_on(plane)
    return parts


def _edge(plane: _Plane) -> str:
    """The tensor's own border, open where it goes on."""
    x, y, wide, high = plane.box(plane.rows.inside, plane.columns.inside)
    sides = [((x, y), (x + wide, y)), ((x, y), (x, y + high))]
    sides += [] if plane.columns.goes_on else [((x + wide, y), (x + wide, y + high))]
    sides += [] if plane.rows.goes_on else [((x, y + high), (x + wide, y + high))]
    return svg_path(lines(sides), stroke="currentColor", stroke_opacity=".7", stroke_width=1.5)


def _second(first: AxisWindow, last: AxisWindow) -> tuple[int, int] | None:
    """The position after the first one: beside it, or below it where there is but one column."""
    for window, position in ((last, (0, 1)), (first, (1, 0))):
        size = window.input if window.transposed else window.output
        if not isinstance(size, int) or size > 1:
            return position
    return None


def _taps(plane: _Plane, rows: range, columns: range) -> str:
    """Cells that the taps touch, one by one where they are few enough and stand apart."""
    apart = rows.step > 1 or columns.step > 1
    if apart and len(rows) * len(columns) <= _MOST_TAPS and plane.unit >= _LEAST_RULED:
        cells = [plane.box(range(row, row + 1), range(at, at + 1)) for row in rows for at in columns]
    else:
        cells = [plane.box(range(rows.start, rows.stop), range(columns.start, columns.stop))]
    return svg_path(boxes(cells), fill=color(0), fill_opacity=".5")


def _ruled(everything: tuple[float, float, float, float], rows: int, columns: int, unit: float) -> str:
    left, top, wide, high = everything
    down = [((left + unit * at, top), (left + unit * at, top + high)) for at in range(1, columns)]
    across = [((left, top + unit * at), (left + wide, top + unit * at)) for at in range(1, rows)]
    return svg_path(lines([*down, *across]), stroke="currentColor", stroke_opacity=".2")


def _goes_on(plane: _Plane) -> list[str]:
    """Dots where the tensor goes on beyond the picture."""
    right = plane.left + plane.columns.count * plane.unit
    below = _TOP + plane.rows.count * plane.unit
    parts = []
    if plane.columns.goes_on:
        parts.append(words(right + 3, _TOP + plane.rows.count * plane.unit / 2 + 4, "…", fill_opacity=".75"))
    if plane.rows.goes_on:
        middle = plane.left + plane.columns.count * plane.unit / 2
        parts.append(words(middle, below + 12, "⋮", text_anchor="middle", fill_opacity=".75"))
    return parts


def _heading(first: AxisWindow, last: AxisWindow, *, small: bool) -> str:
    """``input 56 x 56``."""
    is_input = small == last.transposed
    sizes = [window.input if is_input else window.output for window in (first, last)]
    return f"{'input' if is_input else 'output'} {short_count(sizes[0])} x {short_count(sizes[1])}"


def _small_counts(first: AxisWindow, last: AxisWindow) -> tuple[int, int]:
    """Rows and columns of the small grid that are drawn."""
    sizes = [window.input if window.transposed else window.output for window in (first, last)]
    rows, columns = (
        max(min(size, _SMALL_CELLS), 1) if isinstance(size, int) else _SMALL_CELLS for size in sizes
    )
    return rows, columns


def _small(first: AxisWindow, last: AxisWindow, left: float) -> tuple[list[str], float]:
    """The tensor of which one position is one place of the window; and where it ends."""
    sizes = [window.input if window.transposed else window.output for window in (first, last)]
    rows, columns = _small_counts(first, last)
    wide, high = columns * _SMALL, rows * _SMALL
    everything = (left, _TOP, wide, high)
    parts = [
        words(left, 14, _heading(first, last, small=True)),
        svg_path(boxes([(left, _TOP, _SMALL, _SMALL)]), fill=color(0), fill_opacity=".75"),
    ]
    if second := _second(first, last):
        place = (left + second[1] * _SMALL, _TOP + second[0] * _SMALL, _SMALL, _SMALL)
        parts.append(svg_path(boxes([place]), fill=color(1), fill_opacity=".75"))
    parts.append(_ruled(everything, rows, columns, _SMALL))
    parts.append(svg_path(boxes([everything]), fill="none", stroke="currentColor", stroke_opacity=".6"))
    if not isinstance(sizes[1], int) or sizes[1] > _SMALL_CELLS:
        parts.append(words(left + wide + 3, _TOP + high / 2 + 4, "…", fill_opacity=".75"))
    if not isinstance(sizes[0], int) or sizes[0] > _SMALL_CELLS:
        parts.append(words(left + wide / 2, _TOP + high + 12, "⋮", text_anchor="middle", fill_opacity=".75"))
    return parts, _TOP + high


def _keys(plane: _Plane, first: AxisWindow, last: AxisWindow) -> list[tuple[str, str]]:
    """What the colours mean, and the numbers."""
    taps = f"{short_count(first.kernel)} x {short_count(last.kernel)} taps"
    if (first.dilation, last.dilation) != (1, 1):
        taps += f", {short_count(first.dilation)} x {short_count(last.dilation)} apart"
    one, many = ("input position", "is spread over") if last.transposed else ("output position", "reads")
    keys = [(color(0), f"the first {one} {many} {taps}")]
    if second := _second(first, last):
        steps = [f"{short_count(last.stride)} to the right", f"{short_count(first.stride)} down"]
        if not second[1]:
            steps = steps[1:]
        elif first.stride == last.stride:
            steps = steps[:1]
        keys.append((color(1), f"the next one: stride {', '.join(steps)}"))
    if plane.rows.padded or plane.columns.padded:
        keys.append((PADDING_COLOR, padding_words(last)))
    return keys
