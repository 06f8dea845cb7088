"""The table of layers: the columns of every format, each with the order in which the page sorts by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convaudit.analyzer.blocks import Member
from convaudit.records import KINDS, AuditReport, LayerCost
from convaudit.reporters import View
from convaudit.reporters.colours import OTHER
from convaudit.reporters.columns import COLUMNS, filled_columns
from convaudit.reporters.findings import by_layer
from convaudit.reporters.selection import select
from convaudit.reporters.shown import Shown, shown

MOST_ROWS = 1000
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
    """One op's row: ``ranks`` says for each column where it stands when sorted by it."""

    id: str
    place: int  # in the model, its convolutions and then its other multiplying ops counted from 1
    member: Member
    kind: str  # a layer's; "other" of another multiplying op
    cells: tuple[str, ...]
    ranks: str
    share: float | None
    part: float | None  # the same where those of several rows may be added up
    bar: str  # its share in percent of the largest one, for a bar
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTable:
    """What a page lists of a model's layers."""

    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    kinds: tuple[tuple[str, int], ...]  # that are listed, each with its number
    left_out: str  # what is not listed, in a sentence; empty: all are


def layer_table(report: AuditReport, view: View, prefix: str = "layer", most: int = MOST_ROWS) -> LayerTable:
    """The rows of a report: its convolutions, and its other multiplying ops.

    Args:
        report: What an audit found.
        view: Which layers to list, in which order and with which columns.
        prefix: What the ids of layers begin with; other ops have "other" in the place of "layer".
        most: How many rows a page may have; of more the costliest are listed.

    Raises:
        UsageError: A kind, a column or a key is unknown.
    """
    every = view.only is None
    about = shown(report, all_ops=every)
    chosen = select(report, replace(view, all_ops=every))
    members = _costliest(chosen, about, most)
    ids = _ids(report, prefix)
    columns = filled_columns(report, members, view.columns or _columns(report), all_ops=every)
    findings = _findings(report)
    ranks = [_ranks(_order(key, column.cells, members, about)) for key, column in columns.items()]
    headings = [
        Heading(key=key, text=column.header.replace("\n", " "), left=column.left, total=column.total)
        for key, column in columns.items()
    ]
    found = [findings.get(member.name, 0) for member in members]
    texts = [column.cells for column in columns.values()]
    if report.lint is not None:
        at = [heading.key for heading in headings].index("params") if "params" in columns else len(headings)
        total = str(sum(findings.values()))
        headings.insert(at, Heading(key="findings", text="findings", left=False, total=total))
        texts.insert(at, [str(number) if number else "" for number in found])
        ranks.insert(at, _ranks([-number for number in found]))
    shares = [about.share(member) for member in members]
    kinds = [member.kind if isinstance(member, LayerCost) else OTHER for member in members]
    adds_up = about.model_macs is not None and not any(member.branches for member in members)
    largest = max((share for share in shares if share), default=1.0)
    rows = [
        Row(
            id=ids[id(member)][0],
            place=ids[id(member)][1],
            member=member,
            kind=kinds[index],
            cells=tuple(column[index] for column in texts),
            ranks=",".join([str(index), *(str(rank[index]) for rank in ranks)]),
            share=shares[index],
            part=shares[index] if adds_up else None,
            bar=f"{100 * (shares[index] or 0) / largest:.1f}",
            found=found[index],
        )
        for index, member in enumerate(members)
    ]
    return LayerTable(
        headings=tuple(headings),
        rows=tuple(rows),
        kinds=tuple((kind, kinds.count(kind)) for kind in (*KINDS, OTHER) if kind in kinds),
        left_out=_left_out(len(members), len(chosen), len(ids)),
    )


def _ids(report: AuditReport, prefix: str) -> dict[int, tuple[str, int]]:
    """The id and the place of each op, by its record's identity."""
    others = prefix.removesuffix("layer") + OTHER
    named = [
        *((member, f"{prefix}-{index}") for index, member in enumerate(report.layers)),
        *((member, f"{others}-{index}") for index, member in enumerate(report.other_layers)),
    ]
    return {id(member): (name, place) for place, (member, name) in enumerate(named, start=1)}


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


def _costliest(members: Sequence[Member], about: Shown, most: int) -> Sequence[Member]:
    if len(members) <= most:
        return members
    order = COLUMNS["share"].order
    assert order is not None
    kept = sorted(range(len(members)), key=lambda index: order(members[index], about))[:most]
    return [members[index] for index in sorted(kept)]


def _left_out(listed: int, chosen: int, every: int) -> str:
    parts = []
    if listed < chosen:
        parts.append(
            f"The {listed:,} ops of the most MACs are listed, {chosen - listed:,} others are not: "
            "-f csv and -f json have all."
        )
    if chosen < every:
        parts.append(f"{chosen:,} of {every:,} ops were asked for; the totals are those of all.")
    return " ".join(parts)


def _findings(report: AuditReport) -> dict[str, int]:
    if report.lint is None:
        return {}
    return {layer: len(findings) for layer, findings in by_layer(report.lint).items()}


def _order(key: str, cells: Sequence[str], members: Sequence[Member], about: Shown) -> list[Any]:
    """What to sort a column by: what ``--sort`` does, else its text, numbers in it by their size."""
    order: Callable[..., Any] | None = COLUMNS[key].order if key != "name" else None
    if order is None:
        return [_natural(cell) for cell in cells]
    return [order(member, about) for member in members]


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
