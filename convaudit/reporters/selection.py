"""Which rows a table lists, in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convaudit.analyzer.blocks import Member
from convaudit.records import KINDS, AuditReport, LayerCost
from convaudit.reporters import View
from convaudit.reporters.columns import COLUMNS, column_named, filled_columns, is_word, lookup
from convaudit.reporters.filling import Column
from convaudit.reporters.shown import shown

MANY_ROWS = 60
"""Rows from which on a table lists the costliest and the blocks, unless it is told what to list."""
COSTLIEST = 10


def select(report: AuditReport, view: View) -> tuple[Member, ...]:
    """The rows to list. ``top`` without ``sort`` takes those of the most MACs, or of the most time.

    Raises:
        UsageError: The kind, or the column to sort by, is unknown.
    """
    rows: list[Member] = [*report.layers, *(report.other_layers if view.all_ops else ())]
    if view.only is not None:
        for kind in view.only:
            lookup(dict.fromkeys(KINDS), kind, "kind")
        rows = [row for row in rows if isinstance(row, LayerCost) and row.kinds.intersection(view.only)]
    costliest = "share" if report.timing is None else "time_share"
    sort = view.sort or (costliest if view.top is not None else None)
    if sort is not None:
        orders = {key: column.order for key, column in COLUMNS.items() if column.order is not None}
        order = (column_named(sort).order if is_word(sort) else None) or lookup(orders, sort, "sort key")
        about = shown(report, all_ops=view.all_ops)
        rows.sort(key=lambda row: order(row, about))
    return tuple(rows[: view.top])


def selected_layers(report: AuditReport, view: View) -> tuple[LayerCost, ...]:
    """The convolutions among them, for formats that list nothing else."""
    rows = select(report, replace(view, all_ops=False))
    return tuple(row for row in rows if isinstance(row, LayerCost))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What an audit's tables are.

    Attributes:
        columns: Of the rows that are listed; None: there is nothing to list.
        blocks: Of the tree of blocks; None: there is none to show.
        listed: How many rows there are.
        left_out: How many more there would be, had they not been too many.
        all_rows: How many the totals are of.
    """

    columns: dict[str, Column] | None
    blocks: dict[str, Column] | None
    listed: int
    left_out: int
    all_rows: int


def tables(report: AuditReport, view: View, *, paths: bool = False) -> Tables:
    """What to show of a report: its rows; of many the costliest, and the blocks; or only the blocks.

    Args:
        report: What an audit found.
        view: What was asked for. A depth alone asks for blocks only.
        paths: Whether blocks are called by their whole paths.

    Raises:
        UsageError: A kind, a column or a key to sort by is unknown.
    """
    chosen = view.every or view.top is not None or view.sort is not None
    rows = select(report, view)
    number = len(rows)
    many = number > MANY_ROWS and not chosen
    if many:
        rows = select(report, replace(view, top=COSTLIEST))
    blocks = None
    if many or view.depth is not None:
        from convaudit.reporters.tree import tree_columns

        blocks = tree_columns(report, view.depth, paths=paths)
    only_blocks = view.depth is not None and not (chosen or view.only or view.columns or view.all_ops)
    all_rows = len(report.layers) + (len(report.other_layers) if view.all_ops else 0)
    listed = all_rows and not only_blocks
    return Tables(
        columns=filled_columns(report, rows, view.columns, all_ops=view.all_ops) if listed else None,
        blocks=blocks,
        listed=len(rows),
        left_out=number - len(rows),
        all_rows=all_rows,
    )
