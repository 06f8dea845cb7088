"""What the blocks of a model cost, as a table: subtotals by the parts of the names."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.analyzer.blocks import BlockCost, blocks
from convaudit.records import AuditReport
from convaudit.reporters.filling import INDENT, Column
from convaudit.reporters.shown import Shown, shown
from convaudit.reporters.text import printable
from convaudit.units import human

MOST_BLOCKS = 24
"""Rows of the tree where nobody said how deep it is to go."""


def tree_columns(
    report: AuditReport, depth: int | None = None, *, paths: bool = False
) -> dict[str, Column] | None:
    """The blocks down to a depth, each before those in it; the last row is the model.

    Args:
        report: What an audit found.
        depth: How many levels; None: as many as say most in few rows.
        paths: Whether a block is called by its whole path, where blanks cannot indent it.

    Returns:
        None where the names tell of no blocks and nobody asked for them.
    """
    about = shown(report, all_ops=True)
    root, *rest = blocks(report, about.example.sizes)
    rows = _few(rest) if depth is None else [block for block in rest if block.depth <= depth]
    if not rows and depth is None:
        return None
    names = [
        _path(block) if paths else INDENT * 2 * (block.depth - 1) + printable(block.label) for block in rows
    ]
    others = any(block.others for block in rows)
    every = [*rows, root]
    columns = {
        "name": _column("block", [*names, f"total{f' of {root.label}' if root.label else ''}"], left=True),
        "layers": _column("convs", [str(block.layers) for block in every]),
        "others": _column("other ops", [str(block.others) for block in every]),
        "params": _column("params", [human(block.params) for block in every]),
        "macs": _column(_of_factor("MACs", about), [_macs(block) for block in every]),
        "macs_saved": _column(_of_factor("saved", about), [_saved(block) for block in every]),
        "share": _column("share", [_share(block, about) for block in every]),
    }
    if not others:
        del columns["others"]
    if not any(layer.groups > 1 for layer in report.layers):
        del columns["macs_saved"]
    return columns


def _few(tree: Sequence[BlockCost]) -> list[BlockCost]:
    """The deepest levels that are few rows; nothing where these are no blocks, but single ops."""
    found: list[BlockCost] = []
    for depth in range(1, max((block.depth for block in tree), default=0) + 1):
        rows = [block for block in tree if block.depth <= depth]
        if len(rows) > MOST_BLOCKS or len(rows) == len(found):
            break
        found = rows
    return found if any(block.member is None for block in found) else []


def _path(block: BlockCost) -> str:
    return printable(".".join(block.path))


def _column(header: str, texts: Sequence[str], *, left: bool = False) -> Column:
    *cells, total = map(printable, texts)
    return Column(header=header, cells=cells, total=total, left=left)


def _of_factor(header: str, shown: Shown) -> str:
    return f"{header}\n*{printable(shown.example.factor)}" if shown.example.factor else header


def _macs(block: BlockCost) -> str:
    return human(block.macs) if block.macs is not None else f">={human(block.macs_at_least)}"


def _saved(block: BlockCost) -> str:
    """A block without groups saves nothing, known or not."""
    return human(block.macs_saved)


def _share(block: BlockCost, shown: Shown) -> str:
    """Of the model's MACs; where some of all are unknown, what it is at most."""
    if block.macs is None or not shown.known_macs:
        return "?"
    return f"{'' if shown.model_macs is not None else '<='}{block.macs / shown.known_macs:.1%}"
