"""The columns of the tables for people: how each is headed, filled and aligned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from convaudit.formulas import Count
from convaudit.records import LayerCost, Totals
from convaudit.reporters.cells import (
    bits_text,
    channels_text,
    error_text,
    intensity_text,
    kernel_text,
    share_of,
    status_text,
)
from convaudit.reporters.text import printable
from convaudit.shapes import as_text
from convaudit.units import human_multiples, human_percentage


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as text: the header may have several lines."""

    header: str
    cells: list[str]
    total: str = ""
    left: bool = False  # text; numbers stand at the right


Fill: TypeAlias = Callable[[Sequence[LayerCost], Totals], Column]


def _text(header: str, cell: Callable[[LayerCost], str], *, left: bool = True) -> Fill:
    def fill(layers: Sequence[LayerCost], totals: Totals) -> Column:
        return Column(header=header, cells=[printable(cell(layer)) for layer in layers], left=left)

    return fill


def _count(header: str, key: str, *, summed: bool = True) -> Fill:
    """A count of each layer and in total."""

    def fill(layers: Sequence[LayerCost], totals: Totals) -> Column:
        counts = [getattr(layer, key) for layer in layers]
        if not summed:
            return replace(_counts(header, counts, 0), total="")
        return _counts(header, counts, getattr(totals, key))

    return fill


def _macs(layers: Sequence[LayerCost], totals: Totals) -> Column:
    column = _counts("MACs", [layer.macs for layer in layers], totals.macs_at_least)
    return column if totals.macs is not None else replace(column, total=f">={column.total}")


def _counts(header: str, counts: Sequence[Count | None], total: Count | None) -> Column:
    """Dimensions that all counts share move into the header: ``118 M`` under ``MACs *batch``."""
    factor, texts = human_multiples([*counts, total])
    about, *dimensions = printable(factor).split("*")
    lines = [about + header, *(f"*{dimension}" for dimension in dimensions)]
    *cells, last = map(printable, texts)  # dimensions have names, and names come from the file
    return Column(header="\n".join(lines), cells=cells, total=last)


def _names(layers: Sequence[LayerCost], totals: Totals) -> Column:
    names = [printable(layer.name) for layer in layers]
    return Column(header="layer", cells=names, total=f"total of {totals.layers}", left=True)


def _shares(layers: Sequence[LayerCost], totals: Totals) -> Column:
    shares = [human_percentage(share_of(layer, totals)) for layer in layers]
    return Column(header="share", cells=shares, total="100.0%" if totals.macs else "")


COLUMNS: dict[str, Fill] = {
    "name": _names,
    "op": _text("op", lambda layer: layer.op),
    "kind": _text("kind", lambda layer: layer.kind),
    "channels": _text("channels", channels_text, left=False),
    "kernel": _text("kernel", kernel_text),
    "input": _text("input", lambda layer: as_text(layer.input_shape)),
    "output": _text("output", lambda layer: as_text(layer.output_shape)),
    "weight": _text("weight", lambda layer: as_text(layer.weight_shape)),
    "dtype": _text("dtype", lambda layer: layer.dtype),
    "groups": _text("groups", lambda layer: str(layer.groups), left=False),
    "calls": _text("calls", lambda layer: "?" if layer.calls is None else str(layer.calls), left=False),
    "params": _count("params", "params"),
    "macs": _macs,
    "flops": _count("FLOPs", "flops"),
    "dense_params": _count("params g=1", "dense_params"),
    "dense_macs": _count("MACs g=1", "dense_macs"),
    "params_saved": _count("params saved", "params_saved"),
    "macs_saved": _count("saved", "macs_saved"),
    "share": _shares,
    "weight_bytes": _count("weight bytes", "weight_bytes"),
    "activation_bytes": _count("in+out bytes", "activation_bytes", summed=False),
    "intensity": _text("FLOPs/byte", intensity_text, left=False),
    "verified": _text("verified", status_text),
    "bits": _text("bits", bits_text, left=False),
    "error": _text("max error", error_text, left=False),
}
"""What each ``--columns`` name shows."""
