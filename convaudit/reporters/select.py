"""Which layers a report lists, and in which order; the totals stay the whole network's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from convaudit.errors import UsageError, did_you_mean
from convaudit.formulas import Count
from convaudit.formulas.growth import leading_terms
from convaudit.records import KINDS, AuditReport, LayerCost, Totals
from convaudit.reporters.cells import share_of

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """``only`` one kind; ``sort`` by one key, the most or the fewest bits first; ``top`` rows."""

    only: str | None = None
    sort: str | None = None
    top: int | None = None


EVERYTHING = Selection()


def select(report: AuditReport, selection: Selection) -> tuple[LayerCost, ...]:
    """The layers to list. ``top`` without ``sort`` takes those with the most MACs.

    Raises  UsageError for an unknown kind or key.
    """
    layers = list(report.layers)
    if selection.only is not None:
        lookup(dict.fromkeys(KINDS), selection.only, "kind")
        layers = [layer for layer in layers if selection.only in layer.kinds]
    sort = selection.sort or ("macs" if selection.top is not None else None)
    if sort == "name":
        layers.sort(key=lambda layer: layer.name)
    elif sort is not None:
        number = lookup(_NUMBERS, sort, "sort key")
        layers.sort(key=lambda layer: _magnitude(number(layer, report.totals)), reverse=True)
    return tuple(layers[: selection.top])


def lookup(table: Mapping[str, Value], key: str, what: str) -> Value:
    """``table[key]``; an unknown key is an error that names the nearest one and lists all.

    Raises  UsageError
    """
    if key in table:
        return table[key]
    hint = did_you_mean(key, table) or ";"
    raise UsageError(f"unknown {what} {key!r}{hint} choose from {', '.join(table)}")


def _bits(layer: LayerCost, totals: Totals) -> float | None:
    bits = None if layer.verification is None else layer.verification.bits
    return None if bits is None else -bits


def _count(key: str) -> Callable[[LayerCost, Totals], Count | float | None]:
    def number(layer: LayerCost, totals: Totals) -> Count | float | None:
        value: Count | float | None = getattr(layer, key)
        return value

    return number


_COUNTS = ("params", "macs", "flops", "dense_params", "dense_macs", "params_saved", "macs_saved")
_BYTES = ("weight_bytes", "activation_bytes")
_NUMBERS: Mapping[str, Callable[[LayerCost, Totals], Count | float | None]] = {
    **{key: _count(key) for key in (*_COUNTS, *_BYTES, "groups", "calls")},
    "intensity": _count("arithmetic_intensity"),
    "share": share_of,
    "bits": _bits,
    "name": lambda layer, totals: None,
}


def _magnitude(value: Count | float | None) -> tuple[float, Fraction | float]:
    """Orders numbers and formulas: what is unknown is the least, a formula goes by its leading terms."""
    if value is None:
        return (-1, 0)
    if isinstance(value, float):
        return (0, value)
    terms = leading_terms(value)
    return (max(map(len, terms)), sum(terms.values(), Fraction(0)))
