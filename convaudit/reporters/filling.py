"""How a column is filled and sorted: by a text of each layer, or by counts with what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import attrgetter
from typing import Any, TypeAlias

from convaudit.formulas import Count
from convaudit.formulas.growth import leading_terms
from convaudit.records import AuditReport, LayerCost, Totals
from convaudit.reporters.text import printable
from convaudit.units import human_multiples


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as text: the header may have several lines."""

    header: str
    cells: list[str]
    total: str = ""
    left: bool = False  # text; numbers stand at the right


SortKey: TypeAlias = Callable[[LayerCost], Count | float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerColumn:
    """What ``--columns`` shows of the layers, and ``--sort`` sorts them by.

    Attributes:
        fill: Makes the column of the layers that are listed, out of the report on all.
        order: Sorts by what it tells of a layer and the totals, the least first; None: nobody sorts by it.
    """

    fill: Callable[[Sequence[LayerCost], AuditReport], Column]
    order: Callable[[LayerCost, Totals], Any] | None = None


def text_column(
    header: str,
    cell: Callable[[LayerCost], str],
    *,
    left: bool = True,
    number: SortKey | None = None,
    total: Callable[[AuditReport], str] | None = None,
) -> LayerColumn:
    """A cell for each layer; sorted by ``number``, the largest first; without a total unless one is given."""

    def fill(layers: Sequence[LayerCost], report: AuditReport) -> Column:
        cells = [printable(cell(layer)) for layer in layers]
        return Column(header=header, cells=cells, total=total(report) if total else "", left=left)

    if number is None:
        return LayerColumn(fill=fill)
    return LayerColumn(fill=fill, order=lambda layer, totals: largest_first(number(layer)))


def word_column(header: str, cell: Callable[[LayerCost], str]) -> LayerColumn:
    """One of few words for each layer, sorted by it."""
    return replace(text_column(header, cell), order=lambda layer, totals: cell(layer))


def count_column(header: str, key: str, *, summed: bool = True) -> LayerColumn:
    """A count of each layer, and in total."""
    of = attrgetter(key)

    def fill(layers: Sequence[LayerCost], report: AuditReport) -> Column:
        column = counts(header, [of(layer) for layer in layers], of(report.totals) if summed else 0)
        return column if summed else replace(column, total="")

    return LayerColumn(fill=fill, order=lambda layer, totals: largest_first(of(layer)))


def counts(header: str, counts: Sequence[Count | None], total: Count | None) -> Column:
    """Dimensions that all counts share move into the header: ``118 M`` under ``MACs *batch``."""
    factor, texts = human_multiples([*counts, total])
    about, *dimensions = printable(factor).split("*")
    lines = [about + header, *(f"*{dimension}" for dimension in dimensions)]
    *cells, last = map(printable, texts)  # dimensions have names, and names come from the file
    return Column(header="\n".join(lines), cells=cells, total=last)


def largest_first(value: Count | float | None) -> tuple[float, Fraction | float]:
    """Orders numbers and formulas: a formula by its leading terms, what is unknown last."""
    if value is None:
        return (1, 0)
    if isinstance(value, float):
        return (0, -value)
    terms = leading_terms(value)
    return (-max(map(len, terms)), -sum(terms.values(), Fraction(0)))
