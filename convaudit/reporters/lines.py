"""The lines above and below a table: what was audited, what it adds up to, and what to be wary of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from convaudit.analyzer.examples import Example, example_of, input_advice
from convaudit.analyzer.totals import exclusive_sum
from convaudit.formulas import Count, Formula, add, multiply, subtract
from convaudit.formulas.proportion import ratio
from convaudit.records import STATUSES, AuditReport, RuntimeInfo, Totals, Verification, status_words
from convaudit.reporters.text import counted, listed, printable
from convaudit.reporters.times import time_remarks
from convaudit.shapes import as_text
from convaudit.units import human_percentage

if TYPE_CHECKING:
    from convaudit.reporters.selection import Tables

CONVENTION = (
    "MACs: multiply-accumulates of one call, taps on padding included, bias not; FLOPs = 2*MACs. "
    "Transposed layers count input positions. saved: against the same layer with groups=1."
    " share: of the model's MACs."
)
TIME_CONVENTION = (
    "time: of one call in the model, with the layout reorders that it causes. promised: MACs with groups=1 / "
    "MACs. realised: seconds with groups=1 / seconds, {how}. efficiency: realised / promised. bound: what "
    "takes most of the time, computing, moving bytes (memory), or neither (overhead). Medians, ± half of "
    "their 95% interval; ~: neither gain nor loss is shown, since the interval holds 1.00x or is not known."
)
_ALONE, _IN_MODELS = "of layer and twin alone, in turn", "of layer and twin each in its model"
_MAX_FORMULA = 80
_MOST_LINES = 10  # of one sort
_MOST_SUMMED = 5


def heading(report: AuditReport) -> str:
    """``model.onnx (onnx), input x 1x3x224x224 float32``."""
    inputs = [
        f"{tensor.name} {as_text(tensor.shape)} {tensor.dtype}"
        + ("" if tensor.value is None else f" of {tensor.value}")
        for tensor in report.inputs
    ]
    noun = "input" if len(inputs) == 1 else "inputs"
    tail = f", {noun} {listed(inputs, 4)}" if inputs else ""
    return printable(f"{report.source} ({report.format}){tail}")


def example_lines(report: AuditReport) -> list[str]:
    """At which sizes the counts of open dimensions are shown."""
    example = example_of(report)
    if not example or example.factor is not None:
        return []
    how = input_advice(report) or "-i"
    return [printable(f"at {example} (an example: give {how} or --dim; --format json has the formulas)")]


def summary(report: AuditReport, shown: Tables | None = None) -> list[str]:
    """What the table adds up to: shares, savings, what else the model multiplies, the convention.

    Args:
        report: What an audit found.
        shown: What is listed of it; None: all its layers.
    """
    example = example_of(report)
    lines = [
        *([] if shown is None else _shown(report, shown)),
        *_shares(report, example),
        *_savings(report, example),
        *_hand_made(report, example),
        *_others(report, example),
        *_formulas(report),
    ]
    lines.append(CONVENTION)
    if report.timing is not None:
        lines.append(TIME_CONVENTION.format(how=_IN_MODELS if report.timing.files else _ALONE))
    return [printable(line) for line in lines]


def cautions(report: AuditReport) -> list[str]:
    """Warnings of the audit and notes on layers, equal notes together, not endlessly many."""
    notes: dict[str, list[str]] = {}
    for layer in report.layers:
        for note in layer.notes:
            notes.setdefault(note, []).append(layer.name)
    lines = [f"warning: {warning}" for warning in report.warnings]
    lines += _first([f"note: {listed(names)}: {note}" for note, names in notes.items()], "notes")
    return [printable(line) for line in lines]


def summed_cautions(report: AuditReport) -> list[str]:
    """The same in few lines: notes that differ in a name only are one, and open sizes are one advice."""
    lines = [f"warning: {warning}" for warning in report.warnings]
    waiting = {layer.name for layer in report.layers if layer.macs is None} if report.symbols else set()
    if waiting:
        names = " and ".join([", ".join(report.symbols[:-1]), report.symbols[-1]]).removeprefix(" and ")
        wait = "layer waits" if len(waiting) == 1 else "layers wait"
        lines.append(f"note: {len(waiting)} {wait} for {names}: give {input_advice(report) or '--dim'}")
    alike: dict[str, dict[str, str]] = {}
    for layer in report.layers:
        for note in layer.notes if layer.name not in waiting else ():
            alike.setdefault(re.sub(r"'[^']*'", "", note), {}).setdefault(layer.name, note)
    for notes in alike.values():
        (name, note), *others = notes.items()
        lines.append(f"note: {name}{f' and {len(others)} more' if others else ''}: {note}")
    rest = len(lines) - _MOST_SUMMED
    if rest > 0:
        lines = [*lines[:_MOST_SUMMED], f"and {rest} more warnings and notes: see --format markdown"]
    return [printable(line) for line in lines]


def verdicts(report: AuditReport) -> list[str]:
    """What ran, each verdict that a person has to look at, the count of all; nothing without verification."""
    verified = [(layer.name, layer.verification) for layer in report.layers if layer.verification is not None]
    if not verified:
        return []
    lines = []
    if report.runtime is not None:
        placed = _placed(report.runtime, [verdict for _, verdict in verified])
        lines.append(f"verified with {'; '.join([_ran_on(report.runtime), *placed])}")
    reasons = {
        status: [(name, verdict.reason) for name, verdict in verified if verdict.status == status]
        for status in STATUSES
    }
    for status, found in reasons.items():
        if STATUSES[status].told == "one_by_one":
            words = status_words(status)
            lines += _first([f"{words}: {name}: {reason}" for name, reason in found], f"{words} verdicts")
    parts = []
    for status, number in Counter(verdict.status for _, verdict in verified).most_common():
        different = list(dict.fromkeys(reason for _, reason in reasons[status]))
        explained = f" ({listed(different, 2)})" if STATUSES[status].told == "with_reasons" else ""
        parts.append(f"{number} {status_words(status)}{explained}")
    layers = "1 layer" if len(verified) == 1 else f"{len(verified)} layers"
    return [printable(line) for line in (*lines, f"{layers}: {', '.join(parts)}")]


def remarks(report: AuditReport, *, with_cautions: bool = True) -> list[str]:
    """What to be wary of in one of several models: its cautions, and the verdicts that are not good."""
    return [*(cautions(report) if with_cautions else ()), *verdicts(report)[:-1], *time_remarks(report)]


def verified_text(report: AuditReport) -> str:
    """How many layers are verified, in a cell: ``51 of 53``, and how many failed: ``, 1 mismatch``."""
    found = [layer.verification for layer in report.layers if layer.verification is not None]
    failed = Counter(verdict.words for verdict in found if verdict.failed)
    proven = f"{sum(verdict.verified for verdict in found)} of {len(found)}"
    return ", ".join([proven, *(f"{number} {words}" for words, number in failed.items())])


def _ran_on(runtime: RuntimeInfo) -> str:
    """``onnxruntime 1.31.1, CPUExecutionProvider, 2 threads, optimisation all, seed 0, input x 1x3x8x8``."""
    of = {name: f" of {value}" for name, value in runtime.input_values.items()}
    inputs = [f"{name} {as_text(shape)}{of.get(name, '')}" for name, shape in runtime.input_shapes.items()]
    parts = [
        f"{runtime.name} {runtime.version}",
        runtime.provider or runtime.device,
        "1 thread" if runtime.threads == 1 else f"{runtime.threads} threads",
        *([f"optimisation {runtime.optimization}"] if runtime.optimization else []),
        "given inputs" if runtime.seed is None else f"seed {runtime.seed}",
        *([f"{'input' if len(inputs) == 1 else 'inputs'} {listed(inputs, 4)}"] if inputs else []),
    ]
    return ", ".join(parts)


def _placed(runtime: RuntimeInfo, verdicts: Sequence[Verification]) -> Iterator[str]:
    """How many layers ran elsewhere than was asked for, or inside what the provider compiled."""
    layers = "1 layer" if len(verdicts) == 1 else f"{len(verdicts)} layers"
    ran = [verdict for verdict in verdicts if STATUSES[verdict.status].told != "with_reasons"]
    for other, number in Counter(verdict.provider for verdict in ran).items():
        if other is None and runtime.provider is not None:
            yield f"{runtime.name} does not tell what ran {number} of {layers}"
        elif other != runtime.provider:
            yield f"{number} of {layers} handed back to {other}"
    compiled = sum((verdict.compiled_nodes or 1) > 1 for verdict in verdicts)
    if compiled:
        yield f"{compiled} of {layers} compiled together with others"


def _shown(report: AuditReport, shown: Tables) -> Iterator[str]:
    if shown.columns is None:
        return
    if shown.left_out:
        yield (
            f"The {shown.listed} costliest of {shown.listed + shown.left_out} are listed, and the blocks: "
            "--all lists all, --depth N says how deep blocks go."
        )
    elif shown.listed != shown.all_rows:
        what = "layers" if shown.all_rows == len(report.layers) else "ops"
        yield f"{shown.listed} of {shown.all_rows} {what} shown; the totals are those of all"


def _shares(report: AuditReport, example: Example) -> Iterator[str]:
    totals = report.totals
    parts = [_part_of(totals.params, totals.model_params, "parameters", example, "the model's ")]
    if totals.macs is None:
        parts.append(f"at least {example.text(totals.macs_at_least)} MACs")
    elif report.other_ops:
        parts.append(_part_of(totals.macs, totals.model_macs, "MACs", example, "its "))
    if report.layers:
        yield f"Convolutions hold {' and '.join(parts)}."
        weights, peak = (
            "an unknown size" if size is None else example.text(size, "B")
            for size in (totals.weight_bytes, totals.peak_activation_bytes)
        )
        yield f"Their weights take {weights}; input and output of the largest layer take {peak}."
    yield from _frozen(totals, example)
    live = report.live_activations
    if live.bytes is not None:
        where = f", while {printable(live.step)} runs" if live.step else ""
        yield f"Activations take at least {example.text(live.bytes, 'B')} at once{where}."


def _frozen(totals: Totals, example: Example) -> Iterator[str]:
    if totals.model_frozen_params:
        parts = [
            _part_of(totals.model_frozen_params, totals.model_params, "parameters", example, "the model's ")
        ]
        if totals.frozen_params is not None and totals.params:
            parts.append(_part_of(totals.frozen_params, totals.params, "of the convolutions", example, ""))
        yield f"Frozen are {' and '.join(parts)}; the others are trainable."


def _savings(report: AuditReport, example: Example) -> Iterator[str]:
    totals = report.totals
    grouped = sum(layer.groups > 1 for layer in report.layers)
    if grouped:
        yield (
            f"Groups save {_part_of(totals.macs_saved, totals.dense_macs, 'MACs', example)} and "
            f"{_part_of(totals.params_saved, totals.dense_params, 'parameters', example)}, "
            f"in {grouped} of {len(report.layers)} layers."
        )


def _hand_made(report: AuditReport, example: Example) -> Iterator[str]:
    """Convolutions that are one with groups together, and what these groups save."""
    layers = {layer.name: layer for layer in report.layers} if report.hand_made_groups else {}
    for one in report.hand_made_groups[:_MOST_LINES]:
        parts = [layers[name] for name in one.layers]
        macs = add(*(part.macs for part in parts))
        dense = multiply(macs, one.groups)
        saves = _part_of(subtract(dense, macs), dense, "MACs", example)
        yield (
            f"{one.layers[0]} ... {one.layers[-1]}: {len(parts)} convolutions of the parts of one tensor, "
            f"joined again: one convolution with groups={one.groups}, made by hand; against groups=1 it "
            f"saves {saves}."
        )
    if len(report.hand_made_groups) > _MOST_LINES:
        yield f"and {len(report.hand_made_groups) - _MOST_LINES} more such groups made by hand."


def _others(report: AuditReport, example: Example) -> Iterator[str]:
    texts = []
    for op in dict.fromkeys(other.op for other in report.other_ops if not other.opaque):
        same = [other for other in report.other_ops if other.op == op]
        macs = exclusive_sum((other.branches, other.macs) for other in same)
        texts.append(f"{sum(other.count for other in same)} {op} ({example.text(macs)} MACs)")
    if texts:
        yield f"Other multiplying ops: {', '.join(texts)}."
    if report.opaque_ops:
        unknown: Counter[str] = Counter()
        for other in report.opaque_ops:
            unknown[other.op] += other.count
        yield f"Of unknown cost: {counted(list(unknown.items()))}."
    if report.uncounted_ops:
        yield f"Without multiply-accumulates: {counted(report.uncounted_ops)}."


def _formulas(report: AuditReport) -> Iterator[str]:
    for name, count in (("MACs", report.totals.macs), ("parameters", report.totals.params)):
        if isinstance(count, Formula) and len(text := str(count)) <= _MAX_FORMULA:
            yield f"Total {name} of the convolutions: {text}"


def _first(lines: list[str], what: str) -> list[str]:
    rest = len(lines) - _MOST_LINES
    return lines if rest <= 0 else [*lines[:_MOST_LINES], f"and {rest} more {what}: see --format json"]


def _part_of(part: Count | None, whole: Count | None, unit: str, example: Example, owner: str = "") -> str:
    """``1.2 M of the model's 4.8 M parameters (25.0%)``."""
    if part is None:
        return f"an unknown number of {unit}"
    if whole is None:
        return f"{example.text(part)} of {owner}{unit}, whose number is unknown"
    share = ratio(part, whole, example.sizes)
    percentage = "" if share is None else f" ({human_percentage(share)})"
    return f"{example.text(part)} of {owner}{example.text(whole)} {unit}{percentage}"
