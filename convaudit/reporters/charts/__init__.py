"""Charts of an audit, for the page and for notebooks alike: one table, a row each.

A chart is Vega-Lite, made by Altair, which is imported where a chart is made. Whatever it draws of a layer
has the layer's index in ``report.layers`` as the field ``layer``, and a chart has a parameter ``chosen``: the
index of the layer to mark, -1 for none. A page reads the one from a click and sets the other. Text and lines
are of the colour ``currentColor``, so that a chart fits the page that it stands in, dark or light.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from convaudit.errors import DependencyError, UnknownNameError, UsageError, did_you_mean
from convaudit.records import AuditReport
from convaudit.reporters.colours import THEMES

if TYPE_CHECKING:
    import altair


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One way to look at an audit.

    Attributes:
        module: The module with a function ``make_NAME``; imported when a chart is made.
        title: What a page writes above it.
        about: What it shows, in one sentence.
        applies: Whether a report has what it shows.
        otherwise: Where a report does not: what it lacks, and what to ask for.
        asked: Whether that was asked for already.
        in_vain: What to say then.
    """

    module: str
    title: str
    about: str
    applies: Callable[[AuditReport], bool]
    otherwise: str
    asked: Callable[[AuditReport], bool] = lambda report: False
    in_vain: str = ""

    def lacking(self, report: AuditReport) -> str:
        """Why there is no such chart of a report to which it does not apply."""
        return self.in_vain if self.asked(report) else self.otherwise


def _has_layers(report: AuditReport) -> bool:
    return bool(report.layers)


def _has_any_op(report: AuditReport) -> bool:
    return bool(report.layers or report.other_layers)


def _is_timed(report: AuditReport) -> bool:
    return any(layer.timing and layer.timing.macs_per_second for layer in report.layers)


def _has_realised(report: AuditReport) -> bool:
    return any(layer.timing and layer.timing.realised for layer in report.layers)


def _is_verified(report: AuditReport) -> bool:
    return any(layer.verification is not None for layer in report.layers)


def _is_linted(report: AuditReport) -> bool:
    return report.lint is not None and bool(report.lint.findings)


CHARTS = {
    "blocks": Chart(
        module="convaudit.reporters.charts.blocks",
        title="Cost by block",
        about="Which blocks of the model its multiply-accumulates are in, other multiplying ops included.",
        applies=_has_any_op,
        otherwise="it has no op that multiplies",
    ),
    "macs": Chart(
        module="convaudit.reporters.charts.costs",
        title="MACs per layer",
        about="Each layer's multiply-accumulates in one run, beside those of the same layer with groups=1.",
        applies=_has_layers,
        otherwise="it has no convolutions",
    ),
    "params": Chart(
        module="convaudit.reporters.charts.costs",
        title="Parameters against MACs",
        about="Layers that compute much are high, layers that store much are at the right.",
        applies=_has_layers,
        otherwise="it has no convolutions",
    ),
    "roofline": Chart(
        module="convaudit.reporters.charts.timed",
        title="Roofline",
        about="How near each layer comes to what the machine computes, or moves, at most.",
        applies=_is_timed,
        otherwise="no layer was timed; audit it with time=True",
        asked=lambda report: report.timing is not None,
        in_vain="no layer's time in the model is known; give it more time_budget",
    ),
    "realised": Chart(
        module="convaudit.reporters.charts.timed",
        title="Promised and realised",
        about="How many times faster than groups=1 each layer with groups is, against what its MACs promise.",
        applies=_has_realised,
        otherwise="no layer with groups was timed beside its twin; audit it with time=True",
        asked=lambda report: report.timing is not None,
        in_vain="no layer with groups was timed beside its twin; where it has some, give it more time_budget",
    ),
    "bits": Chart(
        module="convaudit.reporters.charts.proved",
        title="Bits carried per layer",
        about="How many bits of each layer's output agree with the same layer computed in float64.",
        applies=_is_verified,
        otherwise="no layer was verified; audit it with verify=True",
    ),
    "findings": Chart(
        module="convaudit.reporters.charts.proved",
        title="What could go",
        about="Parameters that do nothing, as the rules of lint prove, by the layer that they were found in.",
        applies=_is_linted,
        otherwise="nobody looked what does nothing in it; audit it with lint=True",
        asked=lambda report: report.lint is not None,
        in_vain="lint found nothing in it",
    ),
}
"""Every chart by the name that ``report.plot`` has it under, in the order of a page."""


def charts_of(report: AuditReport) -> dict[str, Chart]:
    """The charts that say something of a report."""
    return {name: chart for name, chart in CHARTS.items() if chart.applies(report)}


def make_chart(name: str, report: AuditReport, theme: str | None = None) -> altair.LayerChart:
    """A chart of a report.

    Args:
        name: One of ``CHARTS``.
        report: What an audit found.
        theme: "light" or "dark", for a picture that stands alone; None: as the page that it is in.

    Raises:
        UnknownNameError: There is no chart of that name.
        UsageError: The report lacks what it shows, or there is no such theme.
        DependencyError: Altair is not installed.
    """
    if name not in CHARTS:
        hint = did_you_mean(name, CHARTS) or ";"
        raise UnknownNameError(f"no chart is called {name!r:.100}{hint} choose from {', '.join(CHARTS)}")
    if theme is not None and theme not in THEMES:
        raise UsageError(f"theme must be {' or '.join(map(repr, THEMES))}, got {theme!r:.100}")
    chart = CHARTS[name]
    if not chart.applies(report):
        raise UsageError(f"{report.source}: no {name} chart: {chart.lacking(report)}")
    try:
        made: Callable[[AuditReport], altair.LayerChart]
        made = getattr(import_module(chart.module), f"make_{name}")
        drawing = import_module("convaudit.reporters.charts.drawing")
    except ImportError as error:
        raise DependencyError("charts need altair: pip install 'convaudit[html]'") from error
    drawn: altair.LayerChart = drawing.with_theme(made(report), theme)
    return drawn
