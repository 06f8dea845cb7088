"""Columns of what was measured: never a number without its spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.filling import Column, LayerColumn, text_column, word_column
from convaudit.units import human_percentage, human_seconds, three_digits

if TYPE_CHECKING:
    from convaudit.records.timing import Timing

NONE = "-"
"""Where there is nothing to tell: a layer with groups=1 promises nothing."""
_Interval = tuple[float, float]


def spread_text(spread: float | None) -> str:
    """``±3%``, rounded up; ``±?`` where there was one sample only.

    >>> spread_text(0.0213), spread_text(0.0001), spread_text(None)
    ('±3%', '±1%', '±?')
    """
    return "±?" if spread is None else f"±{max(1, -int(-spread * 100 // 1))}%"


def factor_text(factor: float | None) -> str:
    """``32x``, ``2.31x``.

    >>> factor_text(32.0), factor_text(2.3125), factor_text(None)
    ('32x', '2.31x', '?')
    """
    if factor is None:
        return "?"
    return f"{factor:.0f}x" if factor.is_integer() else f"{three_digits(factor)}x"


def realised_text(realised: float | None, interval: _Interval | None, spread: float | None = None) -> str:
    """``2.31x ±3%``; ``~1.02x ±5%`` where the interval holds 1, or there is none, so that nothing is shown.

    >>> realised_text(2.3125, (2.26, 2.36)), realised_text(1.02, (0.97, 1.07))
    ('2.31x ±3%', '~1.02x ±5%')
    >>> realised_text(2.3125, None, 0.2)
    '~2.31x ±20%'
    """
    if realised is None:
        return "?"
    if interval is not None:
        spread = half_width(realised, interval)
    unsure = "~" if interval is None or interval[0] <= 1 <= interval[1] else ""
    return f"{unsure}{three_digits(realised)}x {spread_text(spread)}"


def half_width(middle: float, interval: _Interval | None) -> float | None:
    """Half of an interval, relative to what it holds."""
    return None if interval is None or not middle else (interval[1] - interval[0]) / 2 / middle


def timed_cell(text: Callable[[Timing], str], *, grouped: bool = False) -> Callable[[LayerCost], str]:
    """A cell of a layer's timing: empty where nobody asked, ``-`` where only a layer with groups has one."""

    def cell(layer: LayerCost) -> str:
        if layer.timing is None:
            return ""
        return NONE if grouped and layer.groups == 1 else text(layer.timing)

    return cell


def timed_number(key: str) -> Callable[[LayerCost], float | None]:
    """A number of a layer's timing, to sort by."""
    return lambda layer: None if layer.timing is None else getattr(layer.timing, key)


def in_model_text(timing: Timing) -> str:
    """``845 us ±3%``: one call in the model."""
    if timing.model_seconds is None:
        return "?"
    return f"{human_seconds(timing.model_seconds)} {spread_text(timing.model_spread)}"


def alone_text(key: str) -> Callable[[Timing], str]:
    """``845 us ±3%``: one call of the layer or of its twin, alone."""

    def text(timing: Timing) -> str:
        seconds = getattr(timing, key)
        return "?" if seconds is None else f"{human_seconds(seconds)} {spread_text(timing.spread)}"

    return text


def efficiency_text(efficiency: float | None) -> str:
    """``43%``: its spread is that of what was realised."""
    return "?" if efficiency is None else f"{efficiency:.0%}"


def _inefficiency(layer: LayerCost) -> float | None:
    efficiency = None if layer.timing is None else layer.timing.efficiency
    return None if efficiency is None else -efficiency


def _share_total(report: AuditReport) -> str:
    """The convolutions' part of a run, with their reorders."""
    parts = report.timing.parts if report.timing else ()
    shares = [part.share for part in parts if part.kind in ("layers", "reorders")]
    return human_percentage(sum(shares)) if shares else ""


def _promised_total(report: AuditReport) -> str:
    promised = report.timing and report.timing.promised
    return factor_text(promised) if promised else ""


def _realised_total(report: AuditReport) -> str:
    timing = report.timing
    if timing is None or timing.realised is None or timing.too_noisy is not None:
        return ""
    return realised_text(timing.realised, timing.realised_interval)


def _efficiency_total(report: AuditReport) -> str:
    timing = report.timing
    if timing is None or timing.efficiency is None or timing.too_noisy is not None:
        return ""
    return efficiency_text(timing.efficiency)


def model_time_columns(reports: Sequence[AuditReport]) -> dict[str, Column]:
    """Of several models: one run of each, and what its groups are worth together."""
    runs = []
    for report in reports:
        timing = report.timing
        seconds = None if timing is None else timing.seconds
        spread = "" if timing is None or seconds is None else f" {spread_text(timing.spread)}"
        runs.append(f"{human_seconds(seconds)}{spread}")
    return {
        "time": Column(header="time", cells=runs),
        "promised": Column(
            header="promised", cells=[_promised_total(report) or _nothing(report) for report in reports]
        ),
        "realised": Column(
            header="realised", cells=[_realised_total(report) or _nothing(report) for report in reports]
        ),
    }


def _nothing(report: AuditReport) -> str:
    """``?`` for what was not measured, ``-`` where there is nothing to measure."""
    return "?" if any(layer.groups > 1 for layer in report.layers) else NONE


TIME_COLUMNS: dict[str, LayerColumn] = {
    "time": text_column("time", timed_cell(in_model_text), left=False, number=timed_number("model_seconds")),
    "time_share": text_column(
        "of run",
        timed_cell(lambda timing: human_percentage(timing.model_share)),
        left=False,
        number=timed_number("model_share"),
        total=_share_total,
    ),
    "promised": text_column(
        "promised",
        timed_cell(lambda timing: factor_text(timing.promised), grouped=True),
        left=False,
        number=timed_number("promised"),
        total=_promised_total,
    ),
    "realised": text_column(
        "realised",
        timed_cell(
            lambda timing: realised_text(timing.realised, timing.realised_interval, timing.spread),
            grouped=True,
        ),
        left=False,
        number=timed_number("realised"),
        total=_realised_total,
    ),
    "efficiency": text_column(
        "efficiency",
        timed_cell(lambda timing: efficiency_text(timing.efficiency), grouped=True),
        left=False,
        number=_inefficiency,
        total=_efficiency_total,
    ),
    "bound": word_column("bound", timed_cell(lambda timing: timing.bound or "?")),
    "ran": word_column("ran as", timed_cell(lambda timing: timing.kernel or "?")),
    "reorders": text_column(
        "reorders",
        timed_cell(lambda timing: "?" if timing.reorders is None else str(timing.reorders)),
        left=False,
        number=timed_number("reorders"),
    ),
    "seconds": text_column(
        "alone", timed_cell(alone_text("seconds")), left=False, number=timed_number("seconds")
    ),
    "dense_seconds": text_column(
        "twin alone",
        timed_cell(alone_text("dense_seconds"), grouped=True),
        left=False,
        number=timed_number("dense_seconds"),
    ),
    "dense_ran": word_column(
        "twin ran as", timed_cell(lambda timing: timing.dense_kernel or "?", grouped=True)
    ),
    "spread": text_column(
        "spread",
        timed_cell(lambda timing: spread_text(timing.spread)),
        left=False,
        number=timed_number("spread"),
    ),
}
"""One row each; ``COLUMNS`` has them beside the others."""
