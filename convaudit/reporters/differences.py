"""What a difference of two audits says, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator

from convaudit.checks.diff import Difference, LayerChange, Total, value_text
from convaudit.formulas import Count, Formula
from convaudit.formulas.growth import ratio
from convaudit.records import LayerCost
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.filling import Column
from convaudit.reporters.text import printable
from convaudit.units import human, human_percentage


def layer_rows(difference: Difference) -> Iterator[tuple[str, str, str]]:
    """Sign, name and what it is or what changed: changes first, they matter most."""
    for change in difference.changed:
        yield "~", _changed_name(change), printable(", ".join(map(str, change.changes)))
    for layer in difference.removed:
        yield "-", printable(layer.name), _description(layer)
    for layer in difference.added:
        yield "+", printable(layer.name), _description(layer)


def _changed_name(change: LayerChange) -> str:
    before, after = printable(change.before.name), printable(change.after.name)
    return before if before == after else f"{before} -> {after}"


def _description(layer: LayerCost) -> str:
    groups = f" groups {layer.groups}" if layer.groups != 1 else ""
    return printable(
        f"{layer.kind} {channels_text(layer)} {kernel_text(layer)}{groups}, "
        f"{human(layer.params)} params, {human(layer.macs)} MACs"
    )


def total_columns(difference: Difference) -> dict[str, Column]:
    """The totals of both models and their deltas, one row each."""
    totals = difference.totals
    return {
        "total": Column(header="total", cells=[total.name.replace("_", " ") for total in totals], left=True),
        "before": Column(header="before", cells=[_count(total.before) for total in totals]),
        "after": Column(header="after", cells=[_count(total.after) for total in totals]),
        "delta": Column(header="delta", cells=[_delta(total) for total in totals]),
        "change": Column(header="", cells=[_share(total) for total in totals]),
    }


def _count(count: Count | None) -> str:
    return printable(human(count) if isinstance(count, Formula) else value_text(count))


def _delta(total: Total) -> str:
    if isinstance(total.delta, int):
        return f"{total.delta:+,}" if total.delta else "0"
    return _count(total.delta)


def _share(total: Total) -> str:
    if total.delta in (None, 0):
        return ""
    share = ratio(total.delta, total.before)
    return "" if share is None else ("+" if share > 0 else "") + human_percentage(share)


def notes(difference: Difference) -> list[str]:
    """How many layers differ, and what explains it."""
    summary = (
        f"{len(difference.changed)} changed, {len(difference.removed)} removed, {len(difference.added)} added"
        f" of {len(difference.before.layers)} and {len(difference.after.layers)} convolutions"
    )
    lines = ["equal" if difference.equal else summary]
    if difference.renamed:
        lines.append(f"{len(difference.renamed)} matched by what they compute, under other names")
    return [printable(line) for line in (*lines, *difference.notes)]
