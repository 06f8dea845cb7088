"""The table for a terminal: as wide as it may be, the least useful columns going first."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.columns import COLUMNS, Column
from convaudit.reporters.lines import cautions, heading, summary, verdicts
from convaudit.reporters.select import EVERYTHING, Selection, lookup, select
from convaudit.reporters.text import shorten_all

COMPACT = "compact"
_NUMBER = re.compile(r"(?<=\d) (?=(?:[kMGTPE]B?|B)\b)")
_SHORTEST_NAME, _LONGEST_NAME = 16, 32
_DROP_FIRST = ("output", "kind", "channels", "bits", "share", "kernel", "calls")
_MARKUP = ("html", "latex", "jira", "wiki", "moin", "youtrack", "textile", "tsv", "asciidoc")
"""Parts of the names of styles that other programs lay out, where no terminal sets a width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a table is to look. ``width`` None: no limit; ``columns`` None: what fits."""

    width: int | None = None
    style: str = COMPACT  # or any of tabulate's
    columns: tuple[str, ...] | None = None


DEFAULT_LAYOUT = Layout()


def terminal_width() -> int | None:
    """Columns of the terminal, or of ``COLUMNS``; None if output goes elsewhere, where nothing wraps."""
    terminal = sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty()
    if terminal or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def render_table(
    report: AuditReport, selection: Selection = EVERYTHING, layout: Layout = DEFAULT_LAYOUT
) -> str:
    """Heading, table with a total row, the summary, warnings, and the verdicts."""
    layers = select(report, selection)
    table = ""
    if report.layers:
        table = "\n" + laid_out(filled_columns(report, layers, layout.columns), layout) + "\n"
    lines = [*summary(report, len(layers)), *cautions(report), *verdicts(report)]
    return wrapped([heading(report)], layout.width) + table + "\n" + wrapped(lines, layout.width)


def filled_columns(
    report: AuditReport, layers: Sequence[LayerCost], keys: Sequence[str] | None = None
) -> dict[str, Column]:
    """The columns named by ``keys``, or the usual ones.

    Raises  UsageError for an unknown column.
    """
    return {
        key: lookup(COLUMNS, key, "column")(layers, report.totals) for key in keys or _usual_columns(report)
    }


def laid_out(columns: Mapping[str, Column], layout: Layout) -> str:
    """The table alone, fitted to the layout's width: chosen columns all stay, usual ones may go."""
    if layout.width is not None and not any(part in layout.style for part in _MARKUP):
        columns = _fitted(columns, layout)
    return tabulated(list(columns.values()), layout.style)


def tabulated(columns: Sequence[Column], style: str) -> str:
    """The columns as a table, ``compact`` or in one of tabulate's styles.

    Raises  UsageError for an unknown style.
    """
    import tabulate

    lookup(dict.fromkeys((COMPACT, *tabulate.tabulate_formats)), style, "table style")
    headers = [column.header for column in columns]
    rows = [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    total = [column.total for column in columns]
    if style == COMPACT:
        # tabulate pads every header by two, which costs a column; as rows they are not padded
        rule = ["-" * _width(column) for column in columns]
        rows = [headers, rule, *rows, *([rule, total] if any(total) else [])]
        headers, style = [], "plain"
    elif any(total):
        rows.append(total)
    alignment = ["left" if column.left else "right" for column in columns]
    return tabulate.tabulate(rows, headers, style, disable_numparse=True, colalign=alignment)


def wrapped(lines: Sequence[str], width: int | None) -> str:
    """Lines of text, none wider than ``width`` unless a single word is."""
    if width is not None:
        wrapper = textwrap.TextWrapper(
            width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        # "1.23 M" stays on one line; no other text has a non-breaking blank, since it is not printable
        lines = [wrapper.fill(_NUMBER.sub("\N{NO-BREAK SPACE}", line)) for line in lines]
    return "".join(f"{line}\n" for line in lines).replace("\N{NO-BREAK SPACE}", " ")


def _usual_columns(report: AuditReport) -> tuple[str, ...]:
    """What the table shows when nobody chose; what is the same in every row goes unsaid."""
    layers = report.layers
    calls = ("calls",) if any(layer.calls != 1 for layer in layers) else ()
    saved = ("macs_saved",) if any(layer.groups != 1 for layer in layers) else ()
    share = ("share",) if report.totals.macs is not None else ()
    verified = ("verified", "bits") if any(layer.verification is not None for layer in layers) else ()
    return (
        *("name", "kind", "channels", "kernel", "output", "groups"),
        *(*calls, "params", "macs", *saved, *share, *verified),
    )


def _fitted(columns: Mapping[str, Column], layout: Layout) -> dict[str, Column]:
    """Columns that fit the width: the least useful go, unless chosen, and names give up their middle."""
    kept = dict(columns)
    shortest = _distinct_width(columns["name"].cells) if "name" in columns else 0
    narrowest = _with_names(kept, shortest)
    for key in _DROP_FIRST if layout.columns is None else ():
        if _excess(narrowest, layout) <= 0:
            break
        kept.pop(key, None)
        narrowest.pop(key, None)
    if "name" not in kept:
        return kept
    room = _width(narrowest["name"]) - _excess(narrowest, layout)
    return _with_names(kept, max(room, shortest))


def _distinct_width(names: Sequence[str]) -> int:
    """The least width, within reason, at which shortened names still differ where the names do."""
    for width in range(_SHORTEST_NAME, _LONGEST_NAME, 4):
        if len(set(shorten_all(names, width))) == len(set(names)):
            return width
    return _LONGEST_NAME


def _with_names(columns: Mapping[str, Column], width: int) -> dict[str, Column]:
    """The columns, names shortened to ``width``."""
    if "name" not in columns:
        return dict(columns)
    names = columns["name"]
    return {**columns, "name": replace(names, cells=shorten_all(names.cells, width))}


def _excess(columns: Mapping[str, Column], layout: Layout) -> int:
    """By how much the table is too wide; measured on one row of the widest cells."""
    widest = [
        replace(column, cells=[max((*column.cells, column.total), key=len)], total="")
        for column in columns.values()
    ]
    return max(map(len, tabulated(widest, layout.style).splitlines())) - (layout.width or 0)


def _width(column: Column) -> int:
    return max(map(len, (*column.cells, column.total, *column.header.split("\n"))))
