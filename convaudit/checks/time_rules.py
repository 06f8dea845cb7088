"""Rules of measured times: what a spread leaves undecided is neither failed nor passed, but skipped.

A check fails where all of the interval lies beyond the limit, and passes where all of it lies within. If the
interval holds the limit, if there were too few runs to have one, if the time budget ended before a layer's
turn, or if the machine was too noisy, it is skipped and says so: a build must not break by chance, nor does
what was not shown count as kept. Noise only ever adds time, so what a noisy machine does in time is passed
all the same. A model that was not timed fails, and so does one that was timed at sizes that it leaves open:
nobody chose these.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from convaudit.checks.outcome import Contributor, Outcome, OutcomeStatus, percent
from convaudit.checks.quantities import fix_sizes
from convaudit.records import AuditReport
from convaudit.units import human_seconds, three_digits

if TYPE_CHECKING:
    from convaudit.records.timing import ModelTiming, Timing

_MOST = 3


def max_time(name: str, report: AuditReport, limit: float) -> Outcome:
    """The median of a run of the model stays within a limit in seconds."""
    timing, allowed = report.timing, human_seconds(limit)
    if timing is None or timing.seconds is None:
        message = f"the model was not timed; audit it with time=True (limit {allowed})"
        return Outcome(rule=name, status="failed", message=message, limit=limit)
    if opened := _open(report):
        message = f"{opened} (limit {allowed})"
        return Outcome(rule=name, status="failed", message=message, limit=limit)
    status: OutcomeStatus = "skipped"
    found = f"{human_seconds(timing.seconds)} a run"
    if timing.interval is None:
        message = f"{found}, limit {allowed}: {_runs(timing.runs)} not tell its spread; give more time"
    else:
        low, high = timing.interval
        found += f" ({human_seconds(low)} to {human_seconds(high)}{_where(timing)})"
        if high <= limit:
            status, message = "passed", f"{found}, within {allowed}"
        elif low <= limit:
            message = f"{found}: undecided, the limit of {allowed} lies in the interval"
        elif timing.too_noisy:
            message = f"{found}, over the limit of {allowed}, but {timing.too_noisy}"
        else:
            over = percent(Fraction(timing.seconds - limit) / Fraction(limit))
            status, message = "failed", f"{found}, {over} over the limit of {allowed}"
    return Outcome(
        rule=name,
        status=status,
        message=message,
        value=timing.seconds,
        limit=limit,
        contributors=_slowest(report, timing) if status == "failed" else (),
    )


def min_realised(name: str, report: AuditReport, limit: Fraction) -> Outcome:
    """The grouped layers together realise a share of the speed-up that their MACs promise."""
    grouped = [layer for layer in report.layers if layer.groups > 1]
    timing = report.timing
    if not grouped:
        message = "the model contains no grouped convolution"
        return Outcome(rule=name, status="skipped", message=message, limit=limit)
    opened, left_out = _open(report), timing.left_out if timing else 0
    if opened or timing is None or timing.realised is None or not timing.promised:
        why = "the model was not timed; audit it with time=True" if timing is None else _unmeasured(report)
        message = f"{opened or why} (at least {percent(limit)} of what groups promise is to be realised)"
        undecided = left_out and not opened
        return Outcome(rule=name, status="skipped" if undecided else "failed", message=message, limit=limit)
    value = Fraction(timing.realised) / Fraction(timing.promised)
    found = (
        f"groups promised {three_digits(timing.promised)}x and realised {three_digits(timing.realised)}x "
        f"({percent(value)}) over {timing.grouped_layers} of {len(grouped)} layers"
    )
    status, rest = _realised_verdict(timing, limit)
    return Outcome(
        rule=name,
        status=status,
        message=found + rest,
        value=value,
        limit=limit,
        contributors=_worst_off(report) if status == "failed" else (),
    )


def _realised_verdict(timing: ModelTiming, limit: Fraction) -> tuple[OutcomeStatus, str]:
    if timing.realised_interval is None or not timing.promised:
        return "skipped", f": undecided, too few rounds to tell its spread (limit {percent(limit)})"
    low, high = (Fraction(end) / Fraction(timing.promised) for end in timing.realised_interval)
    interval = f" ({percent(low)} to {percent(high)}{_where(timing)})"
    if timing.too_noisy:
        return "skipped", f"{interval}, limit {percent(limit)}: {timing.too_noisy}"
    if timing.left_out:
        rest = f"the time budget ended before {timing.left_out} of the others; give more with --time-budget"
        return "skipped", f"{interval}, limit {percent(limit)}: undecided, {rest}"
    if low >= limit:
        return "passed", f"{interval}, at least {percent(limit)}"
    if high >= limit:
        return "skipped", f"{interval}: undecided, the limit of {percent(limit)} lies in the interval"
    return "failed", f"{interval}, less than {percent(limit)}"


def _open(report: AuditReport) -> str:
    """That times are of sizes that the model leaves open; empty if they are not."""
    if not report.symbols or (report.timing and report.timing.files):
        return ""
    return f"times depend on {fix_sizes(report.symbols, report)}"


def _runs(number: int) -> str:
    return "1 run does" if number == 1 else f"{number} runs do"


def _unmeasured(report: AuditReport) -> str:
    reasons = [
        f"{layer.name}: {layer.timing.reason}"
        for layer in report.layers
        if layer.groups > 1 and layer.timing and layer.timing.reason
    ]
    return "; ".join(["what groups realise is unknown", *reasons[:1]])


def _where(timing: ModelTiming) -> str:
    """What it was measured on: a time means nothing without."""
    runtime = timing.runtime
    if runtime is None:
        return ""
    threads = f"{runtime.threads} thread{'s' * (runtime.threads != 1)}"
    return f"; {runtime.name} {runtime.version}, {runtime.provider or runtime.device}, {threads}"


def _slowest(report: AuditReport, timing: ModelTiming) -> tuple[Contributor, ...]:
    """The layers that take most of a run, among other ops that take more."""
    total = timing.profiled_seconds or timing.seconds or 0.0
    layers = [
        (layer.timing.model_share * total, layer.name, True)
        for layer in report.layers
        if layer.timing and layer.timing.model_share
    ]
    parts = sorted(layers, reverse=True)[:_MOST]
    least = parts[-1][0] if len(parts) == _MOST else 0.0
    others = [
        (part.seconds, f"{part.count} {part.name}", False)
        for part in timing.parts
        if part.kind == "other_op" and part.seconds > least
    ]
    parts = sorted([*parts, *sorted(others, reverse=True)[:_MOST]], reverse=True)
    return tuple(
        Contributor(name=name, detail=f"{human_seconds(seconds)} ({seconds / total:.1%})", is_layer=is_layer)
        for seconds, name, is_layer in parts
    )


def _worst_off(report: AuditReport) -> tuple[Contributor, ...]:
    from convaudit.timing.verdicts import lost_seconds, worst_off  # imported where something was timed

    return tuple(
        Contributor(name=layer.name, detail=_loss(layer.timing, lost_seconds(layer)))
        for layer in worst_off(report)
        if layer.timing is not None
    )


def _loss(timing: Timing, lost: float) -> str:
    realised, promised = (three_digits(value or 0.0) for value in (timing.realised, timing.promised))
    return f"realised {realised}x of {promised}x, {human_seconds(lost)} a run lost"
