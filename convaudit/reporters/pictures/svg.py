"""Elements of SVG as text: every text escaped, every number short, colours as variables with fallbacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from convaudit.formulas import Count
from convaudit.reporters.cells import brief_count
from convaudit.reporters.text import printable, shorten

_PALETTE = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#9d67c9", "#2aa3a3", "#d67195", "#a5843d")
PADDING_COLOR = "var(--convaudit-pad,#9aa0a6)"
_CHARACTER = 6.6
"""Pixels of a character, on average, in the fonts of most systems."""
_LONGEST_NAME = 80

Point = tuple[float, float]


def color(index: int) -> str:
    """The colour of a group; after eight they begin anew."""
    return f"var(--convaudit-g{index % len(_PALETTE)},{_PALETTE[index % len(_PALETTE)]})"


def short(value: float) -> str:
    """A coordinate to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def short_count(count: Count | None) -> str:
    """A count that fits beside a picture: exact while it is short."""
    return brief_count(count, below=10**9, width=16)


def boxes(rectangles: Iterable[tuple[float, float, float, float]]) -> str:
    """Path data of rectangles (x, y, width, height)."""
    return "".join(f"M{short(x)} {short(y)}h{short(w)}v{short(h)}h{short(-w)}z" for x, y, w, h in rectangles)


def lines(segments: Iterable[tuple[Point, Point]]) -> str:
    """Path data of straight lines."""
    return "".join(f"M{short(x0)} {short(y0)}L{short(x1)} {short(y1)}" for (x0, y0), (x1, y1) in segments)


def svg_path(data: str, **attributes: str | float) -> str:
    """A path, or nothing where there is no data."""
    return f'<path d="{data}"{_attributes(attributes)}/>' if data else ""


def arrow(start: Point, end: Point) -> str:
    """A line to the right with a head."""
    x1, y1 = end
    shaft = f"{lines([(start, end)])}M{short(x1 - 5)} {short(y1 - 5)}L{short(x1)} {short(y1)}l-5 5"
    return svg_path(shaft, fill="none", stroke="currentColor", stroke_width=1.5, stroke_opacity=".7")


def words(x: float, y: float, text: str, **attributes: str | float) -> str:
    """A line of text in the colour of the page's."""
    return f'<text x="{short(x)}" y="{short(y)}"{_attributes(attributes)}>{escape(printable(text))}</text>'


def text_width(text: str) -> float:
    """About how wide a line of text is, in pixels."""
    return _CHARACTER * len(text)


def legend(keys: Sequence[tuple[str, str]], top: float) -> tuple[float, float, list[str]]:
    """What colours mean: the width and the end of the lines, and the lines.

    Args:
        keys: Colours with what they mean.
        top: Where it begins.
    """
    parts, width = [], 0.0
    for fill, text in keys:
        parts += [svg_path(boxes([(0, top, 12, 12)]), fill=fill), words(18, top + 10, text)]
        top += 18
        width = max(width, 18 + text_width(text))
    return width, top, parts


def group(parts: Sequence[str], **attributes: str | float) -> str:
    """What has attributes in common."""
    return f"<g{_attributes(attributes)}>{''.join(parts)}</g>"


def document(width: float, height: float, kind: str, title: str, about: str, parts: Sequence[str]) -> str:
    """The whole picture.

    Args:
        width: In pixels, where nothing scales it.
        height: As well.
        kind: Its class is ``convaudit-KIND``.
        title: What it is, for whoever cannot see it.
        about: What it shows.
        parts: Its elements.
    """
    size = f'viewBox="0 0 {short(width)} {short(height)}" width="{short(width)}" height="{short(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="convaudit-{kind}" role="img" {size} '
        'font-family="system-ui,sans-serif" font-size="12" fill="currentColor">'
        f"<title>{escape(printable(title))}</title><desc>{escape(printable(about))}</desc>"
        f"{''.join(parts)}</svg>"
    )


def named(name: str) -> str:
    """A layer's name, as long as fits into a title."""
    return shorten(printable(name), _LONGEST_NAME)


def _attributes(attributes: dict[str, str | float]) -> str:
    return "".join(
        f' {name.replace("_", "-")}="{value if isinstance(value, str) else short(value)}"'
        for name, value in attributes.items()
    )
