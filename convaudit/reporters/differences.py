"""What a difference of two audits says, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator

from convaudit.analyzer.examples import Example, example_of
from convaudit.checks.diff import Difference, LayerChange, Total, value_text
from convaudit.checks.matching import SHAPES
from convaudit.checks.speed import Speed
from convaudit.formulas import Count, Formula
from convaudit.formulas.proportion import ratio
from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.filling import Column
from convaudit.reporters.text import printable
from convaudit.units import human, human_percentage, human_seconds, three_digits


def layer_rows(difference: Difference) -> Iterator[tuple[str, str, str]]:
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


def total_columns(difference: Difference) -> dict[str, Column]:
    """The totals of both models and their deltas, one row each."""
    totals = difference.totals
    example = example_of(difference.before, difference.after)
    return {
        "total": Column(header="total", cells=[total.name.replace("_", " ") for total in totals], left=True),
        "before": Column(header="before", cells=[_count(total.before, example) for total in totals]),
        "after": Column(header="after", cells=[_count(total.after, example) for total in totals]),
        "delta": Column(header="delta", cells=[_delta(total, example) for total in totals]),
        "change": Column(header="", cells=[_share(total, example) for total in totals]),
    }


def _count(count: Count | None, example: Example) -> str:
    return printable(example.text(count) if isinstance(count, Formula) else value_text(count))


def _delta(total: Total, example: Example) -> str:
    if isinstance(total.delta, int):
        return f"{total.delta:+,}" if total.delta else "0"
    return _count(total.delta, example)


def _share(total: Total, example: Example) -> str:
    if total.delta in (None, 0):
        return ""
    share = ratio(total.delta, total.before, example.sizes)
    return "" if share is None else ("+" if share > 0 else "") + human_percentage(share)


def notes(difference: Difference) -> list[str]:
    """How many layers differ, and what explains it."""
    summary = (
        f"{len(difference.changed)} changed, {len(difference.removed)} removed, {len(difference.added)} added"
        f" of {len(difference.before.layers)} and {len(difference.after.layers)} convolutions"
    )
    lines = ["equal" if difference.equal else summary]
    example = example_of(difference.before, difference.after)
    if example and example.factor is None:
        lines.append(f"at {example} (an example: give -i or --dim)")
    if difference.renamed:
        lines.append(f"{len(difference.renamed)} matched by what they compute, under other names")
    return [printable(line) for line in (*lines, *difference.notes)]


def time_columns(difference: Difference) -> dict[str, Column]:
    """What each change promised beside what it is worth, one row for each; the sums below them.

    Layers in which nothing changed share one row.
    """
    times = difference.times
    if times is None:
        return {}
    changes = {change.after.name: change for change in difference.changed}
    layers = [speed for speed in times.layers if speed.after in changes]
    rows = [(_speed_name(speed), _what(changes[speed.after]), speed) for speed in layers]
    rows += [(speed.after, "", speed) for speed in (times.changed, times.unchanged) if speed is not None]
    rows.append(("the model", "", times.model))
    names, changed, speeds = (list(cells) for cells in zip(*rows, strict=True))
    return {
        "layer": Column(header="time of", cells=names, left=True),
        "change": Column(header="change", cells=changed, left=True),
        "promised": Column(header="promised", cells=[_promised(speed) for speed in speeds]),
        "realised": Column(header="realised", cells=[_realised(speed) for speed in speeds]),
        "before": Column(header="before", cells=[human_seconds(speed.seconds_before) for speed in speeds]),
        "after": Column(header="after", cells=[human_seconds(speed.seconds_after) for speed in speeds]),
    }


def _promised(speed: Speed) -> str:
    """``3.97x bytes``: of weights, where the multiply-adds are the same."""
    if speed.promised is None:
        return "?"
    return f"{three_digits(speed.promised)}x{' bytes' if speed.promised_by == 'weight_bytes' else ''}"


def _realised(speed: Speed) -> str:
    """``0.31x (0.30 to 0.33)``, ``~`` where that holds 1: never without it, or without saying so."""
    if speed.realised is None:
        return "?"
    if speed.realised_interval is not None:
        low, high = speed.realised_interval
        unsure = "~" if low <= 1 <= high else ""
        return f"{unsure}{three_digits(speed.realised)}x ({three_digits(low)} to {three_digits(high)})"
    spread = "?" if speed.spread is None else f"±{speed.spread:.0%}"
    return f"~{three_digits(speed.realised)}x ({spread}, too few turns)"


def time_notes(difference: Difference) -> list[str]:
    """What was run, how often, and why something is not known."""
    times = difference.times
    if times is None:
        return []
    ran = [_ran(report) for report in (difference.before, difference.after)]
    lines = [
        f"timed in {_turns(times.model.turns)} of both with {' and '.join(dict.fromkeys(ran))}",
        "realised: seconds before / after, the median over turns, with its 95% interval; ~: neither gain nor "
        "loss is shown, since that holds 1.00x or is not known; seconds are of one run of the model, medians",
    ]
    lines += [f"{side.source}: {text}" for side, text in _alone(difference)]
    reasons = [speed.reason for speed in (*times.layers, times.model) if speed.reason]
    lines += dict.fromkeys(reasons)
    return [printable(line) for line in lines]


def _turns(number: int) -> str:
    return "1 turn" if number == 1 else f"{number} turns"


def _ran(report: AuditReport) -> str:
    runtime = report.timing.runtime if report.timing else None
    if runtime is None:
        return "?"
    threads = f"{runtime.threads} thread{'s' * (runtime.threads != 1)}"
    return f"{runtime.name} {runtime.version}, {runtime.provider or runtime.device}, {threads}"


def _alone(difference: Difference) -> Iterator[tuple[AuditReport, str]]:
    """The time of the layers that only one of the models has."""
    for report, layers in ((difference.before, difference.removed), (difference.after, difference.added)):
        known = [layer.timing.model_share for layer in layers if layer.timing and layer.timing.model_share]
        seconds = report.timing.profiled_seconds if report.timing else None
        if known and seconds is not None:
            takes = "layer that only it has takes" if len(layers) == 1 else "layers that only it has take"
            yield report, f"{len(layers)} {takes} {human_seconds(sum(known) * seconds)}"


def _speed_name(speed: Speed) -> str:
    before, after = printable(speed.before), printable(speed.after)
    return before if before == after.removesuffix("_quant") else f"{before} -> {after}"


def _what(change: LayerChange) -> str:
    """The change in few words: what follows from it is left out."""
    fields = {field.field for field in change.changes}
    implied = {"params", "macs", *SHAPES} | ({"dtype"} if "weight_dtype" in fields else set())
    told = [field for field in change.changes if field.field not in implied]
    return printable(", ".join(map(str, told or change.changes)))
