"""HTML for a notebook's cell: tables, lists and headings, for dark and light, all text escaped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from html import escape

from convaudit.reporters.filling import Column
from convaudit.reporters.text import printable

MOST_LISTED = 500
"""Rows of a table in a cell; of more the first."""
_STYLE = """<style>
.convaudit{font-variant-numeric:tabular-nums;line-height:1.35;margin:.2em 0}
.convaudit p{margin:.3em 0}
.convaudit .scroll{overflow:auto;max-height:32em;display:inline-block;max-width:100%;vertical-align:top}
.convaudit .scroll table{border-collapse:collapse;margin:.3em 0;font-size:.92em}
.convaudit .scroll table th,.convaudit .scroll table td{padding:.2em .7em;border:0;
border-bottom:1px solid #8883;text-align:right;
white-space:nowrap;background:none}
.convaudit .scroll thead th{border-bottom:1px solid #888;vertical-align:bottom;font-weight:600}
.convaudit .scroll tfoot td{border-top:1px solid #888;border-bottom:0;font-weight:600}
.convaudit tbody tr:hover td{background:#8882}
.convaudit .scroll table .left{text-align:left}
.convaudit .scroll table .wrap{white-space:normal;min-width:18em}
.convaudit ul{margin:.3em 0;padding-left:1.3em}
.convaudit .quiet{opacity:.75}
.convaudit .pictures{display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start;margin:.5em 0}
.convaudit .pictures svg{max-width:100%;height:auto}
.convaudit summary{cursor:pointer}
.convaudit .mark{font-weight:700;font-style:normal}
</style>"""


def framed(*parts: str) -> str:
    """Parts of HTML as one cell's output, in a style that reaches nothing else."""
    return f'<div class="convaudit">{_STYLE}{"".join(parts)}</div>'


def heading_html(text: str, more: str = "") -> str:
    """What it is in bold, and a few words beside it."""
    beside = f' <span class="quiet">{_text(more)}</span>' if more else ""
    return f"<p><b>{_text(text)}</b>{beside}</p>"


def list_html(lines: Iterable[str]) -> str:
    """Sentences, one a line."""
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def folded_html(title: str, inner: str) -> str:
    """What is shown on demand; nothing where there is nothing."""
    return f"<details><summary>{_text(title)}</summary>{inner}</details>" if inner else ""


def table_html(columns: Mapping[str, Column], wrapped: Collection[str] = ()) -> str:
    """Columns as a table, that scrolls where it is long; text at the left, numbers at the right.

    Args:
        columns: They have equally many cells.
        wrapped: The keys of columns whose cells may be several lines long.
    """
    classes = {
        key: " ".join([*(["left"] if column.left else []), *(["wrap"] if key in wrapped else [])])
        for key, column in columns.items()
    }
    head = ""
    if any(column.header for column in columns.values()):
        cells = "".join(_cell("th", column.header, classes[key]) for key, column in columns.items())
        head = f"<thead><tr>{cells}</tr></thead>"
    length = max((len(column.cells) for column in columns.values()), default=0)
    rows = "".join(
        f"<tr>{''.join(_cell('td', column.cells[at], classes[key]) for key, column in columns.items())}</tr>"
        for at in range(min(length, MOST_LISTED))
    )
    totals = ""
    if any(column.total for column in columns.values()):
        cells = "".join(_cell("td", column.total, classes[key]) for key, column in columns.items())
        totals = f"<tfoot><tr>{cells}</tr></tfoot>"
    more = ""
    if length > MOST_LISTED:
        more = f'<p class="quiet">and {length - MOST_LISTED:,} more rows, which to_pandas() has</p>'
    table = f"<table>{head}<tbody>{rows}</tbody>{totals}</table>"
    return f'<div class="scroll">{table}</div>{more}'


def _cell(tag: str, text: str, classes: str) -> str:
    marked = f' class="{classes}"' if classes else ""
    return f"<{tag}{marked}>{'<br>'.join(_text(line) for line in text.split(chr(10)))}</{tag}>"


def _text(text: str) -> str:
    return escape(printable(text))
