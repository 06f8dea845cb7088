"""How a column is filled and sorted: by a text of each row, or by counts with what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from convaudit.analyzer.blocks import BlockCost, Member
from convaudit.analyzer.examples import Example
from convaudit.formulas import Count, Formula, multiply, symbol
from convaudit.formulas.examples import factor_of
from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.shown import Shown
from convaudit.reporters.text import printable
from convaudit.units import human


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as text: the header may have several lines."""

    header: str
    cells: list[str]
    listed: str = ""  # below the cells: what they add up to, where they are not all there are
    total: str = ""
    left: bool = False  # text; numbers stand at the right


INDENT = "\N{BRAILLE PATTERN BLANK}"
"""A blank that tabulate leaves where it stands; the text of a table has a plain one instead."""

SortKey: TypeAlias = Callable[[LayerCost], Count | float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerColumn:
    """What ``--columns`` shows of the layers, and ``--sort`` sorts them by.

    Attributes:
        about: What it shows, in few words.
        fill: Makes the column of the rows that are listed, out of the report on all.
        order: Sorts by what it tells of a row and the report, the least first; None: nobody sorts by it.
    """

    about: str
    fill: Callable[[Sequence[Member], Shown], Column]
    order: Callable[[Member, Shown], Any] | None = None


def text_column(
    header: str,
    cell: Callable[[LayerCost], str],
    *,
    about: str = "",
    left: bool = True,
    number: SortKey | None = None,
    total: Callable[[AuditReport], str] | None = None,
) -> LayerColumn:
    """A cell for each layer, none for other ops; sorted by ``number``, the largest first."""

    def fill(rows: Sequence[Member], shown: Shown) -> Column:
        cells = [printable(cell(row)) if isinstance(row, LayerCost) else "" for row in rows]
        return Column(header=header, cells=cells, total=total(shown.report) if total else "", left=left)

    def order(row: Member, shown: Shown) -> Any:
        value = number(row) if number is not None and isinstance(row, LayerCost) else None
        return largest_first(value, shown.example)

    return LayerColumn(about=about, fill=fill, order=None if number is None else order)


def word_column(header: str, cell: Callable[[LayerCost], str], *, about: str = "") -> LayerColumn:
    """One of few words for each layer, sorted by it."""

    def order(row: Member, shown: Shown) -> str:
        return cell(row) if isinstance(row, LayerCost) else ""

    return replace(text_column(header, cell, about=about), order=order)


def member_column(
    header: str,
    cell: Callable[[Member, Shown], str],
    *,
    about: str,
    left: bool = True,
    order: Callable[[Member, Shown], Any] | None = None,
) -> LayerColumn:
    """A cell for each row, a layer's or another op's."""

    def fill(rows: Sequence[Member], shown: Shown) -> Column:
        return Column(header=header, cells=[printable(cell(row, shown)) for row in rows], left=left)

    return LayerColumn(about=about, fill=fill, order=order)


def count_column(
    header: str,
    key: str,
    *,
    about: str,
    summed: bool = True,
    of_all_ops: bool = False,
    part: Callable[[BlockCost], int | None] | None = None,
) -> LayerColumn:
    """A count of each row, and in total.

    Args:
        header: Stands above it.
        key: The field of a row, and of the totals.
        about: What it shows.
        summed: Whether there is a total.
        of_all_ops: Whether the other ops have it too: then it is summed over these as well, where listed.
        part: What rows that are listed add up to, where it is known how.
    """

    def of(row: Member) -> Count | None:
        return getattr(row, key, None)

    def fill(rows: Sequence[Member], shown: Shown) -> Column:
        total: Count | None = getattr(shown.report.totals, key) if summed else 0
        if of_all_ops and part is not None and shown.everything is not None:
            total = _with_factor(part(shown.everything), shown, of)
        column = counts(header, [of(row) for row in rows], total, shown.example)
        return replace(
            column,
            cells=[cell if hasattr(row, key) else "" for row, cell in zip(rows, column.cells, strict=True)],
            listed=human(part(shown.listed)) if part is not None and shown.listed is not None else "",
            total=column.total if summed else "",
        )

    return LayerColumn(about=about, fill=fill, order=lambda row, shown: largest_first(of(row), shown.example))


def _with_factor(total: int | None, shown: Shown, of: Callable[[Member], Count | None]) -> Count | None:
    """A sum at the example's sizes, as the multiple of a dimension that its parts are shown as."""
    factor = shown.example.factor
    if total is None or factor is None:
        return total
    parts = [multiply(of(row), row.calls) for row in shown.members]
    if not all(map(_is_multiple, parts)):
        return total
    return total * symbol(factor)


def counts(header: str, counts: Sequence[Count | None], total: Count | None, example: Example) -> Column:
    """Counts at the example's sizes; a dimension that all share moves into the header: ``MACs *batch``."""
    factor = example.factor
    if factor is None or not all(_is_multiple(count) for count in (*counts, total)):
        *cells, last = (printable(example.text(count)) for count in (*counts, total))
        return Column(header=header, cells=cells, total=last)
    *cells, last = (human(example.value(count)) for count in (*counts, total))
    about = (
        f"\n*{printable(str(symbol(factor)))}"
        if any(isinstance(c, Formula) for c in (*counts, total))
        else ""
    )
    return Column(header=header + about, cells=cells, total=last)


def _is_multiple(count: Count | None) -> bool:
    return not count or (isinstance(count, Formula) and factor_of(count) is not None)


def largest_first(value: Count | float | None, example: Example) -> tuple[int, float]:
    """Orders numbers, formulas by their values at the example; what is unknown comes last."""
    number = value if isinstance(value, float) else example.value(value)
    return (1, 0) if number is None else (0, -number)
