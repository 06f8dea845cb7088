"""What charts draw of layers: rows of plain values, as few as a person can look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from convaudit.analyzer.examples import example_of
from convaudit.analyzer.totals import calls_macs
from convaudit.formulas import Count, multiply
from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.colours import KIND_COLOURS
from convaudit.reporters.text import printable, shorten, shorten_all
from convaudit.shapes import as_text
from convaudit.units import human, human_percentage

Datum: TypeAlias = dict[str, Any]
MOST_DRAWN = 60
"""Layers that a chart with a row for each draws; of more the largest."""
LABEL = 30
"""Characters of a layer's name beside its row."""
_NAME = 200  # characters of a layer's name under the mouse
UNKNOWN = "their MACs are unknown, 0 or beyond drawing; sizes given by dims or input_shape may tell"
MOST_DRAWABLE = 1e150
"""A count that is drawn at most: its square is a number to JavaScript too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A layer with the numbers that are drawn of it, at an example's sizes where its own are open.

    Attributes:
        index: Its place in ``report.layers``.
        cost: The layer.
        macs: Of one run, all its calls; None: unknown.
        dense_macs: The same with groups=1.
        params: Of the layer.
    """

    index: int
    cost: LayerCost
    macs: int | None
    dense_macs: int | None
    params: int | None


class Subject:
    """What a chart is of: a report, and the sizes at which its counts are drawn.

    Attributes:
        report: What an audit found.
        example: Sizes for the dimensions that the model leaves open.
        macs: Of all convolutions in one run; None: unknown.
        rows: A row for each layer, in order.
    """

    def __init__(self, report: AuditReport) -> None:
        self.report = report
        self.example = example_of(report)
        self.macs = self.number(report.totals.macs)
        self.rows = [self._row(index, layer) for index, layer in enumerate(report.layers)]

    @property
    def notes(self) -> list[str]:
        """What every chart says where sizes are open."""
        if not self.example:
            return []
        return [f"At {safe(str(self.example))}, an example: the model leaves these sizes open."]

    def number(self, count: Count | None) -> int | None:
        """A count at the example's sizes; None where it is unknown, or too large to draw."""
        value = self.example.value(count)
        return None if value is None or abs(value) >= MOST_DRAWABLE else value

    def _row(self, index: int, layer: LayerCost) -> Drawn:
        return Drawn(
            index=index,
            cost=layer,
            macs=self.number(calls_macs(layer)),
            dense_macs=self.number(multiply(layer.dense_macs, layer.calls)),
            params=self.number(layer.params),
        )


def largest_rows(
    rows: Sequence[Drawn], size: Callable[[Drawn], float | None], what: str, why: str, most: int = MOST_DRAWN
) -> tuple[list[Drawn], list[str]]:
    """The rows with the largest sizes, in their order, and what the chart must say of the others.

    Args:
        rows: A row for each layer.
        size: What is drawn of it; None: it is unknown, and not drawn.
        what: The noun for it: "MACs".
        why: Why others are not drawn.
        most: How many rows there are room for.
    """
    drawn = [row for row in rows if size(row) is not None]
    notes = []
    if len(drawn) > most:
        kept = {row.index for row in sorted(drawn, key=lambda row: -(size(row) or 0.0))[:most]}
        every = sum(size(row) or 0 for row in drawn)
        drawn, count = [row for row in drawn if row.index in kept], len(drawn)
        part = sum(size(row) or 0 for row in drawn) / every if every else 0.0
        notes.append(
            f"Only the {most:,} layers of the most {what} out of {count:,}: {part:.0%} of all {what}."
        )
    return drawn, [*notes, *undrawn(len(rows) - sum(size(row) is not None for row in rows), why)]


def undrawn(missing: int, why: str) -> list[str]:
    """The line that says how many layers are left out, and why."""
    if not missing:
        return []
    layers = "1 layer is" if missing == 1 else f"{missing:,} layers are"
    return [f"{layers} not drawn: {why}."]


def safe(text: str) -> str:
    r"""Text for a chart's data: notebooks put it into a script as it is, which a name must not end.

    >>> safe("</script>")
    '\\x3c/script>'
    """
    return printable(text).replace("<", "\\x3c")


def data_of(rows: Sequence[Drawn], subject: Subject) -> list[Datum]:
    """What every chart tells of these layers, tooltips included; ``label`` is short and of one layer only."""
    names = [safe(row.cost.name) for row in rows]
    labels, seen = [], set()
    for label, row in zip(shorten_all(names, LABEL), rows, strict=True):
        labels.append(f"{label} #{row.index}" if label in seen else label)
        seen.add(label)
    return [_datum(row, name, label, subject) for row, name, label in zip(rows, names, labels, strict=True)]


def _datum(row: Drawn, name: str, label: str, subject: Subject) -> Datum:
    layer, whole = row.cost, subject.macs
    share = row.macs / whole if whole and row.macs is not None else None
    groups = f", {layer.groups} groups" if layer.groups != 1 else ""
    calls = f" in {layer.calls} calls" if isinstance(layer.calls, int) and layer.calls != 1 else ""
    return {
        "layer": row.index,
        "name": shorten(name, _NAME),
        "label": label,
        "kind": layer.kind,
        "shape": safe(f"{channels_text(layer)} {kernel_text(layer)}{groups}"),
        "output": safe(as_text(layer.output_shape)),
        "macs": row.macs,
        "dense_macs": row.dense_macs,
        "params": row.params,
        "macs_text": f"{human(row.macs)}{calls}",
        "dense_text": human(row.dense_macs),
        "params_text": human(row.params),
        "share": human_percentage(share),
    }


def kinds_of(data: Sequence[Datum]) -> list[str]:
    """The kinds that are drawn, in the order of legends."""
    drawn = {datum["kind"] for datum in data}
    return [kind for kind in KIND_COLOURS if kind in drawn]
