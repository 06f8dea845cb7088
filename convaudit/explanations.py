"""``explain``: one convolution of a model, every number of it beside the arithmetic that makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from convaudit.analyzer.totals import calls_macs
from convaudit.api import layer_named, report_of
from convaudit.errors import UsageError
from convaudit.explaining import explanation
from convaudit.formulas.proportion import ratio
from convaudit.records import AuditReport, LayerCost
from convaudit.records.displayed import terminal_text
from convaudit.records.explanation import Explanation

if TYPE_CHECKING:
    from convaudit.api import Shapes, Source


class LayerExplanation(Explanation):
    """An explanation that prints itself; in a notebook with its pictures."""

    __slots__ = ()

    @classmethod
    def of(cls, told: Explanation) -> LayerExplanation:
        """The same explanation as a LayerExplanation."""
        return cls(**{field.name: getattr(told, field.name) for field in fields(Explanation)})

    def __repr__(self) -> str:
        return f"<convaudit.LayerExplanation of {self.layer.name!r}>"

    def __str__(self) -> str:
        return terminal_text("explain", [self])

    def _repr_html_(self) -> str:
        from convaudit.reporters.explained import explanation_html

        return explanation_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain lists, dictionaries and exact numbers."""
        from convaudit.reporters.explained import explanation_dict

        return explanation_dict(self)

    def to_json(self) -> str:
        """The same as JSON text."""
        from convaudit.reporters import FORMATS

        return FORMATS["json"].render("explain", [self])


def explain(
    model: Source | AuditReport,
    *,
    layer: str | None = None,
    input_shape: Shapes = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    lint: bool = False,
) -> LayerExplanation:
    """Why a convolution has its parameters, sizes and multiply-accumulates, and which channels reach which.

    Args:
        model: What ``audit`` takes, or its report.
        layer: The layer's name, as an audit has it; None: the costliest one.
        input_shape: As in ``audit``; a report takes none, and none of the following.
        inputs: As in ``audit``.
        dims: As in ``audit``.
        kwargs: As in ``audit``.
        lint: Whether to look for groups that its weight hides.

    Raises:
        UsageError: There is no such layer, or no convolution at all.
        ConvauditError: As ``audit`` does.
    """
    asked = {"input_shape": input_shape, "inputs": inputs, "dims": dims, "kwargs": kwargs, "lint": lint}
    if layer is not None and not isinstance(layer, str):
        raise UsageError(f"layer must be a layer's name, got {layer!r:.100}")
    report = report_of(model, asked)
    return explained_layers(report, [] if layer is None else [layer])[0]


def explained_layers(report: AuditReport, names: Sequence[str]) -> list[LayerExplanation]:
    """Explanations of the layers that are named, each once; without a name of the costliest one.

    Raises:
        UsageError: There is no such layer, or no convolution at all.
    """
    if not report.layers:
        raise UsageError(f"{report.source}: nothing to explain, no convolution was seen")
    rows = [_named(report, name) for name in dict.fromkeys(names)] or [costliest(report.layers)]
    return [LayerExplanation.of(explanation(row, report)) for row in rows]


def costliest(layers: Sequence[LayerCost]) -> LayerCost:
    """The layer that takes most multiply-accumulates in a run; of open sizes, where they grow alike.

    The first one of those that cannot be told apart.
    """
    best = layers[0]
    for layer in layers[1:]:
        beside = ratio(calls_macs(layer), calls_macs(best))
        if calls_macs(best) is None or (beside is not None and beside > 1):
            best = layer
    return best


def _named(report: AuditReport, name: str) -> LayerCost:
    for other in report.other_layers:
        if other.name == name:
            raise UsageError(
                f"{report.source}: {name!r:.100} is a {other.op}, not a convolution; only these are explained"
            )
    return layer_named(report.source, report.layers, name)
