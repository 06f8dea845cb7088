"""The table of layers: the columns of every format, each with the order in which the page sorts by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from convaudit.records import AuditReport, LayerCost
from convaudit.reporters import View
from convaudit.reporters.columns import COLUMNS, filled_columns
from convaudit.reporters.selection import selected_layers
from convaudit.reporters.shown import Shown, shown

MOST_ROWS = 2000
"""Rows of a page. Beyond it, a browser takes seconds to lay the table out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The head of a column."""

    key: str
    text: str
    left: bool
    total: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One layer's row: ``ranks`` says for each column where it stands when sorted by it."""

    id: str
    layer: LayerCost
    cells: tuple[str, ...]
    ranks: str
    share: float | None
    bar: str  # its share in percent of the largest one, for a bar
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTable:
    """What a page lists of a model's layers."""

    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    left_out: str  # what is not listed, in a sentence; empty: all are


def layer_table(report: AuditReport, view: View, prefix: str = "layer", most: int = MOST_ROWS) -> LayerTable:
    """The rows of a report.

    Args:
        report: What an audit found.
        view: Which layers to list, in which order and with which columns.
        prefix: What the rows' ids begin with.
        most: How many rows a page may have; of more layers the costliest are listed.

    Raises:
        UsageError: A kind, a column or a key is unknown.
    """
    chosen, about = selected_layers(report, view), shown(report)
    layers = _costliest(chosen, about, most)
    positions = {id(layer): index for index, layer in enumerate(report.layers)}
    columns = filled_columns(report, layers, view.columns or _columns(report))
    findings = _findings(report)
    ranks = [_ranks(_order(key, column.cells, layers, about)) for key, column in columns.items()]
    headings = [
        Heading(key=key, text=column.header.replace("\n", " "), left=column.left, total=column.total)
        for key, column in columns.items()
    ]
    found = [findings.get(layer.name, 0) for layer in layers]
    texts = [column.cells for column in columns.values()]
    if report.lint is not None:
        headings.append(
            Heading(key="findings", text="findings", left=False, total=str(sum(findings.values())))
        )
        texts.append([str(number) if number else "" for number in found])
        ranks.append(_ranks([-number for number in found]))
    shares = [about.share(layer) for layer in layers]
    largest = max((share for share in shares if share), default=1.0)
    rows = [
        Row(
            id=f"{prefix}-{positions[id(layer)]}",
            layer=layer,
            cells=tuple(column[index] for column in texts),
            ranks=",".join([str(index), *(str(rank[index]) for rank in ranks)]),
            share=shares[index],
            bar=f"{100 * (shares[index] or 0) / largest:.1f}",
            found=found[index],
        )
        for index, layer in enumerate(layers)
    ]
    return LayerTable(
        headings=tuple(headings), rows=tuple(rows), left_out=_left_out(len(layers), len(chosen), report)
    )


def _columns(report: AuditReport) -> tuple[str, ...]:
    """What a page shows when nobody chose: it is wider than a terminal."""
    layers = report.layers
    told = {
        "calls": any(layer.calls != 1 for layer in layers),
        "macs_saved": any(layer.groups != 1 for layer in layers),
        "share": report.totals.macs is not None,
        "verified": any(layer.verification is not None for layer in layers),
        "bits": any(layer.verification is not None for layer in layers),
        **dict.fromkeys(("time", "time_share"), report.timing is not None),
        **dict.fromkeys(
            ("promised", "realised"),
            report.timing is not None and any(layer.groups != 1 for layer in layers),
        ),
    }
    costs = ("calls", "macs", "share", "macs_saved", "time", "time_share", "promised", "realised", "params")
    keys = ("name", "kind", *costs, "verified", "bits", "groups", "channels", "kernel", "output")
    return tuple(key for key in keys if told.get(key, True))


def _costliest(layers: Sequence[LayerCost], about: Shown, most: int) -> Sequence[LayerCost]:
    if len(layers) <= most:
        return layers
    order = COLUMNS["macs"].order
    assert order is not None
    kept = sorted(range(len(layers)), key=lambda index: order(layers[index], about))[:most]
    return [layers[index] for index in sorted(kept)]


def _left_out(listed: int, chosen: int, report: AuditReport) -> str:
    parts = []
    if listed < chosen:
        parts.append(
            f"The {listed:,} layers of the most MACs are listed, {chosen - listed:,} others are not: "
            "-f csv and -f json have all."
        )
    if chosen < len(report.layers):
        parts.append(
            f"{chosen:,} of {len(report.layers):,} layers were asked for; the totals are those of all."
        )
    return " ".join(parts)


def _findings(report: AuditReport) -> dict[str, int]:
    found: dict[str, int] = {}
    for finding in report.lint.findings if report.lint is not None else ():
        found[finding.layer] = found.get(finding.layer, 0) + 1
    return found


def _order(key: str, cells: Sequence[str], layers: Sequence[LayerCost], about: Shown) -> list[Any]:
    """What to sort a column by: what ``--sort`` does, else its text, numbers in it by their size."""
    order: Callable[..., Any] | None = COLUMNS[key].order if key != "name" else None
    if order is None:
        return [_natural(cell) for cell in cells]
    return [order(layer, about) for layer in layers]


def _natural(text: str) -> Hashable:
    parts = re.split(r"(\d{1,18})", text)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def _ranks(values: Sequence[Any]) -> list[int]:
    """Where each value stands among all; equal ones stand at the same place."""
    ranks = [0] * len(values)
    previous, rank = None, 0
    for position, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if previous is None or values[index] != previous:
            previous, rank = values[index], position
        ranks[index] = rank
    return ranks
