"""Columns as the text of a table: as wide as it may be, the least useful columns going first."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.columns import lookup
from convaudit.reporters.filling import INDENT, Column
from convaudit.reporters.text import cut, display_width, shorten_all

COMPACT = "compact"
_NUMBER = re.compile(r"(?<=\d) (?=(?:[kMGTPE]B?|B|[num]?s)\b|%)|(?<=[sx]) (?=±)")
_SHORTEST_NAME, _USUAL_NAME, _LONGEST_NAME = 16, 24, 36
_DROP_FIRST = ("share_conv", "output", "kind", "channels", "bits", "kernel", "calls", "share")
_DROP_FIRST_OF_TIMES = (
    *("model_params", "model_macs", "layers", "params"),  # of several models
    *("kind", "macs", "calls", "kernel", "reorders", "channels", "ran", "bound", "verified", "time_share"),
    *("groups", "promised"),
)
_DROP_FIRST_OF_SWEEPS = ("equal", "bytes", "params", "kernel", "channels", "promised", "macs")
_DROP_FIRST_OF_FINDINGS = ("fixable", "layers", "macs")
_MARKUP = ("html", "latex", "jira", "wiki", "moin", "youtrack", "textile", "tsv", "asciidoc")
"""Parts of the names of styles that other programs lay out, where no terminal sets a width."""


def terminal_width() -> int | None:
    """Columns of the terminal, or of ``COLUMNS``; None if output goes elsewhere, where nothing wraps."""
    terminal = sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty()
    if terminal or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def laid_out(columns: Mapping[str, Column], view: View = DEFAULT_VIEW) -> str:
    """The columns as a table that fits the view's width: chosen columns all stay, usual ones may go.

    Raises:
        UsageError: The view's style is unknown.
    """
    style = view.style or COMPACT
    if view.width is not None and not any(part in style for part in _MARKUP):
        columns = _fitted(columns, style, view.width, chosen=view.columns is not None)
    return tabulated(list(columns.values()), style)


def tabulated(columns: Sequence[Column], style: str) -> str:
    """The columns as a table as wide as they are.

    Args:
        columns: With as many cells each.
        style: ``compact``, or one of tabulate's.

    Raises:
        UsageError: The style is unknown.
    """
    import tabulate

    lookup(dict.fromkeys((COMPACT, *tabulate.tabulate_formats)), style, "table style")
    headers = [column.header for column in columns]
    rows = [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    listed = [[column.listed for column in columns]] if any(column.listed for column in columns) else []
    total = [[column.total for column in columns]] if any(column.total for column in columns) else []
    if style == COMPACT:
        rule = ["-" * _width(column) for column in columns]
        rows = [headers, rule, *rows, *([rule] if listed or total else []), *listed, *total]
        return "\n".join(_compact_lines(rows, columns)).replace(INDENT, " ")
    rows += listed + total
    alignment = ["left" if column.left else "right" for column in columns]
    text = tabulate.tabulate(rows, headers, style, disable_numparse=True, colalign=alignment)
    return text.replace(INDENT, " ")


def _compact_lines(rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> Iterator[str]:
    """Rows, two blanks between cells: tabulate pads headers, and letters of East Asia like others."""
    widths = list(map(_width, columns))
    for row in rows:
        for parts in zip_longest(*(cell.strip().split("\n") for cell in row), fillvalue=""):
            blanks = [" " * (width - display_width(part)) for width, part in zip(widths, parts, strict=True)]
            cells = zip(columns, parts, blanks, strict=True)
            yield "  ".join(
                part + blank if column.left else blank + part for column, part, blank in cells
            ).rstrip()


def wrapped(lines: Sequence[str], width: int | None, start: str = "", more: str = "  ") -> str:
    """Lines of text, none wider than ``width`` unless a single word is.

    Args:
        lines: One paragraph each.
        width: Characters; None: no limit.
        start: What each begins with.
        more: What the lines begin with on which it goes on.
    """
    if width is not None:
        wrapper = textwrap.TextWrapper(
            width,
            initial_indent=start,
            subsequent_indent=more,
            break_long_words=False,
            break_on_hyphens=False,
        )
        # "1.23 M" stays on one line; no other text has a non-breaking blank, since it is not printable
        lines = [wrapper.fill(_NUMBER.sub("\N{NO-BREAK SPACE}", line)) for line in lines]
    else:
        lines = [f"{start}{line}" for line in lines]
    return "".join(f"{line}\n" for line in lines).replace("\N{NO-BREAK SPACE}", " ")


def _fitted(columns: Mapping[str, Column], style: str, width: int, *, chosen: bool) -> dict[str, Column]:
    """Columns that fit the width: the least useful go, unless chosen, and names give up their middle."""
    kept = dict(columns)
    shortest = _distinct_width(columns, _USUAL_NAME)
    narrowest = _with_names(kept, shortest)
    useless: tuple[str, ...] = _DROP_FIRST_OF_TIMES if "time" in columns else _DROP_FIRST
    useless = _DROP_FIRST_OF_SWEEPS if "fastest" in columns or "mark" in columns else useless
    useless = _DROP_FIRST_OF_FINDINGS if "findings" in columns else useless
    for key in () if chosen else useless:
        if _width_of(narrowest, style) <= width:
            break
        kept.pop(key, None)
        narrowest.pop(key, None)
    if "name" not in kept:
        return kept
    room = _width(narrowest["name"]) + width - _width_of(narrowest, style)
    if room < shortest:
        shortest = _distinct_width(columns, _SHORTEST_NAME)
    return _with_names(kept, max(room, shortest))


def _distinct_width(columns: Mapping[str, Column], least: int) -> int:
    """The least width, within reason, at which shortened names still differ where the names do."""
    names = columns["name"].cells if "name" in columns else []
    for width in range(least, _LONGEST_NAME, 4):
        if len(set(_shortened(names, width))) == len(set(names)):
            return width
    return _LONGEST_NAME


def _with_names(columns: Mapping[str, Column], width: int) -> dict[str, Column]:
    """The columns, names shortened to ``width``."""
    if "name" not in columns:
        return dict(columns)
    names = columns["name"]
    return {**columns, "name": replace(names, cells=_shortened(names.cells, width))}


def _shortened(names: Sequence[str], width: int) -> list[str]:
    """Names of at most so many cells of a terminal."""
    short = zip(names, shorten_all(names, width), strict=True)
    return [text if display_width(text) <= width else cut(name, width) for name, text in short]


def _width_of(columns: Mapping[str, Column], style: str) -> int:
    """How wide the table is, measured on one row of the widest cells."""
    widest = [
        replace(
            column,
            cells=[max((*column.cells, column.listed, column.total), key=display_width)],
            listed="",
            total="",
        )
        for column in columns.values()
    ]
    return max(map(display_width, tabulated(widest, style).splitlines()))


def _width(column: Column) -> int:
    return max(map(display_width, (*column.cells, column.listed, column.total, *column.header.split("\n"))))
