"""What differs between two audits: as a table, as Markdown, as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from convaudit.checks.diff import Difference, LayerChange, Total
from convaudit.checks.wording import value_text
from convaudit.formulas import Count, Formula
from convaudit.formulas.growth import ratio
from convaudit.records import LayerCost
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.columns import Column
from convaudit.reporters.markdown import markdown_table
from convaudit.reporters.plain import plain
from convaudit.reporters.table import Layout, laid_out, wrapped
from convaudit.reporters.text import json_text, markdown_code, markdown_text, printable
from convaudit.units import human, human_percentage

SCHEMA_VERSION = 1


def render_difference_table(difference: Difference, layout: Layout) -> str:
    """The layers that differ, the totals with their deltas, and what explains them."""
    before, after = difference.before, difference.after
    parts = [f"--- {before.source} ({before.format})", f"+++ {after.source} ({after.format})"]
    text = wrapped([printable(part) for part in parts], layout.width)
    if difference.changed or difference.added or difference.removed:
        text += "\n" + wrapped(
            [f"{sign} {name}: {what}" for sign, name, what in _layer_rows(difference)], None
        )
    text += "\n" + laid_out(_totals(difference), layout) + "\n"
    return text + "\n" + wrapped(_remarks(difference), layout.width)


def render_difference_markdown(difference: Difference) -> str:
    """The same for a pull request."""
    before, after = difference.before, difference.after
    sources = (
        f"{markdown_code(before.source)} ({before.format}) → {markdown_code(after.source)} ({after.format})"
    )
    parts = [f"### convaudit diff: {sources}"]
    rows = list(_layer_rows(difference))
    if rows:
        cells = [list(column) for column in zip(*rows, strict=True)]
        columns = [
            Column(header=h, cells=c, left=True) for h, c in zip(("", "layer", "change"), cells, strict=True)
        ]
        parts.append(markdown_table(columns, code=[True, True, False]))
    totals = _totals(difference)
    parts.append(markdown_table([*totals.values()], code=[False] * len(totals)))
    parts.append("\n".join(f"- {markdown_text(line)}" for line in _remarks(difference)))
    return "\n\n".join(parts) + "\n"


def render_difference_json(difference: Difference) -> str:
    """The same with exact numbers; a count that is a formula is text."""
    before, after = difference.before, difference.after
    document = {
        "schema_version": SCHEMA_VERSION,
        "before": {"source": before.source, "format": before.format},
        "after": {"source": after.source, "format": after.format},
        "equal": difference.equal,
        "added": [plain(layer) for layer in difference.added],
        "removed": [plain(layer) for layer in difference.removed],
        "changed": [
            {
                "before": change.before.name,
                "after": change.after.name,
                "fields": {
                    field.field: {"before": field.before, "after": field.after} for field in change.changes
                },
            }
            for change in difference.changed
        ],
        "renamed": difference.renamed,
        "totals": {
            total.name: {"before": total.before, "after": total.after, "delta": total.delta}
            for total in difference.totals
        },
        "notes": difference.notes,
    }
    return json_text(plain(document))


def _layer_rows(difference: Difference) -> Iterator[tuple[str, str, str]]:
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


def _totals(difference: Difference) -> dict[str, Column]:
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


def _remarks(difference: Difference) -> list[str]:
    summary = (
        f"{len(difference.changed)} changed, {len(difference.removed)} removed, {len(difference.added)} added"
        f" of {len(difference.before.layers)} and {len(difference.after.layers)} convolutions"
    )
    lines = ["equal" if difference.equal else summary]
    if difference.renamed:
        lines.append(f"{len(difference.renamed)} matched by what they compute, under other names")
    return [printable(line) for line in (*lines, *difference.notes)]
