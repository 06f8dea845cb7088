"""How the columns are filled that other ops than convolutions have too, and that tell of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from convaudit.analyzer.blocks import Member
from convaudit.records import LayerCost, OtherLayer
from convaudit.reporters.filling import Column, LayerColumn, count_column, largest_first
from convaudit.reporters.shown import Shown
from convaudit.reporters.text import printable
from convaudit.shapes import as_text
from convaudit.units import human


def fill_names(rows: Sequence[Member], shown: Shown) -> Column:
    """Names, and how many rows there are."""
    return Column(
        header="layer",
        cells=[printable(row.name) for row in rows],
        listed="" if shown.listed is None else f"{len(rows)} listed",
        total=f"total of {len(shown.members)}",
        left=True,
    )


def kind_of_row(row: Member, shown: Shown) -> str:
    """One word for a layer; another op is called what it is."""
    return row.op if isinstance(row, OtherLayer) else row.kind


def shape_at_example(key: str) -> Any:
    """Sizes of a tensor, at the example's sizes unless these only stand for multiples."""

    def text(row: Member, shown: Shown) -> str:
        shape = getattr(row, key)
        return as_text(shape if shown.example.factor else shown.example.shape(shape))

    return text


def calls_of_row(row: Member, shown: Shown) -> str:
    """How often one run executes it."""
    return shown.example.text(row.calls)


def most_called_first(row: Member, shown: Shown) -> Any:
    """Orders by it."""
    return largest_first(row.calls, shown.example)


def macs_column(header: str, key: str, about: str, factor: int) -> LayerColumn:
    """MACs or FLOPs: where a total is unknown, it says what it is at least."""
    column = count_column(
        header,
        key,
        about=about,
        of_all_ops=True,
        part=lambda sums: None if sums.macs is None else factor * sums.macs,
    )

    def fill(rows: Sequence[Member], shown: Shown) -> Column:
        filled = column.fill(rows, shown)
        known = shown.known_macs if shown.all_ops else shown.conv_macs
        listed, total = filled.listed, filled.total
        if shown.listed is not None and shown.listed.macs is None:
            listed = f">={human(factor * shown.listed.macs_at_least)}"
        if total == "?":
            total = f">={human(factor * known)}"
        return replace(filled, listed=listed, total=total)

    return replace(column, fill=fill)


def fill_shares(rows: Sequence[Member], shown: Shown) -> Column:
    """Of the model's MACs; where some of these are unknown, what the share is at most."""
    most = "" if shown.model_macs is not None else "<="
    cells = ["?" if (share := shown.share(row)) is None else f"{most}{share:.1%}" for row in rows]
    return Column(
        header="share",
        cells=cells,
        listed=_part(shown.listed.macs if shown.listed else None, shown.known_macs, most),
        total=_part(_all_macs(shown), shown.known_macs, most),
    )


def _all_macs(shown: Shown) -> int | None:
    """MACs of all that may be listed; None: unknown."""
    return shown.model_macs if shown.all_ops else shown.example.value(shown.report.totals.macs)


def fill_conv_shares(rows: Sequence[Member], shown: Shown) -> Column:
    """Of the MACs of all convolutions."""
    most = "" if shown.report.totals.macs is not None else "<="
    listed = shown.of_rows([row for row in rows if isinstance(row, LayerCost)]).listed
    return Column(
        header="of convs",
        cells=[
            ""
            if isinstance(row, OtherLayer)
            else "?"
            if (share := shown.share_conv(row)) is None
            else f"{most}{share:.1%}"
            for row in rows
        ],
        listed=_part(listed.macs, shown.conv_macs, most) if shown.listed and listed else "",
        total="100.0%" if shown.report.totals.macs else "",
    )


def _part(part: int | None, whole: int, most: str) -> str:
    return "" if part is None or not whole else f"{most}{part / whole:.1%}"
