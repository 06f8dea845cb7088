"""A layer's explanation for its panel: pictures, each stored once, and products with what is multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from convaudit.explaining import explanation
from convaudit.explaining.text import bracketed, number
from convaudit.records import AuditReport, LayerCost
from convaudit.records.explanation import Arithmetic, Dimension, Explanation
from convaudit.reporters.pictures import grid_svg, wiring_svg
from convaudit.reporters.text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One number of a product or sum, and what it counts."""

    sign: str  # what stands before it
    value: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """A count with its terms; where it is unknown, why."""

    name: str
    terms: tuple[Term, ...]
    total: str
    dense: str  # the same with groups=1, empty where it is the same
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a panel explains of a layer."""

    remarks: tuple[str, ...]
    wiring: str  # the picture's id; empty: there is none
    narrow_wiring: str  # the same for a narrow page
    wiring_reason: str
    window: str
    equations: tuple[Equation, ...]
    dimensions: tuple[tuple[str, str], ...]


class Pictures:
    """The pictures of a page, each geometry stored once, however many layers have it."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def id_of(self, svg: str) -> str:
        """Where a picture is kept; empty for none."""
        return self._ids.setdefault(svg, f"picture-{len(self._ids)}") if svg else ""

    def stored(self) -> list[tuple[str, str]]:
        """Every picture's id, and its SVG."""
        return [(name, svg) for svg, name in self._ids.items()]


def told_of(layer: LayerCost, report: AuditReport, pictures: Pictures) -> Told:
    """Explain a layer, and keep its pictures."""
    explained = explanation(layer, report)
    drawn = replace(explained, layer=replace(layer, name="this layer"))
    return Told(
        remarks=tuple(map(printable, explained.remarks)),
        wiring=pictures.id_of(printable(wiring_svg(drawn))),
        narrow_wiring=pictures.id_of(printable(wiring_svg(drawn, stacked=True))),
        wiring_reason=printable(explained.wiring_reason or ""),
        window=pictures.id_of(printable(grid_svg(drawn))),
        equations=tuple(_equations(explained)),
        dimensions=tuple(_dimensions(explained.dimensions)),
    )


def _equations(explained: Explanation) -> Iterator[Equation]:
    yield _equation("Parameters", explained.params, explained.dense_params)
    yield _equation("MACs of one call", explained.macs, explained.dense_macs)


def _equation(name: str, count: Arithmetic, dense: Arithmetic) -> Equation:
    signed = [("×", factor) for factor in count.factors] + [("+", factor) for factor in count.added]
    terms = [
        Term(
            sign=sign if index else "",
            value=printable(bracketed(factor.value) if sign == "×" else number(factor.value)),
            name=factor.name,
        )
        for index, (sign, factor) in enumerate(signed)
    ]
    differs = dense.total != count.total and dense.total is not None
    return Equation(
        name=name,
        terms=tuple(terms),
        total=printable(number(count.total)),
        dense=printable(number(dense.total)) if differs else "",
        reason=printable(count.reason or ""),
    )


def _dimensions(dimensions: tuple[Dimension, ...]) -> Iterator[tuple[str, str]]:
    """Each dimension's formula with its numbers; those with the same one together."""
    names: dict[str, list[str]] = {}
    for one in dimensions:
        reason = f" ({one.reason})" if one.reason else ""
        names.setdefault(printable(f"{one.text}{reason}"), []).append(one.name)
    for text, same in names.items():
        yield ", ".join(same), text
