"""The numbers that a person wants first, each in a tile of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from convaudit.analyzer.examples import example_of
from convaudit.formulas import Count
from convaudit.formulas.proportion import ratio
from convaudit.records import KINDS, AuditReport
from convaudit.reporters.model_columns import macs_text
from convaudit.reporters.text import counted, printable
from convaudit.reporters.time_cells import factor_text, realised_text, spread_text
from convaudit.units import human, human_percentage, human_seconds

Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One number, what it is, and what it means."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = ""


def report_tiles(report: AuditReport) -> list[Fact]:
    """Costs first, then what was measured, proven and found."""
    found = [
        *_costs(report),
        *_times(report),
        *_verdicts(report),
        *_findings(report),
    ]
    return [
        Fact(label=tile.label, value=printable(tile.value), detail=printable(tile.detail), tone=tile.tone)
        for tile in found
    ]


def _costs(report: AuditReport) -> Iterator[Fact]:
    totals, example = report.totals, example_of(report)
    human = example.text
    if report.other_ops and totals.model_macs is not None:
        share = _share(example.value(totals.macs), example.value(totals.model_macs))
        yield Fact(label="MACs", value=human(totals.model_macs), detail=f"{share} in convolutions")
    else:
        detail = "" if totals.flops is None else f"{human(totals.flops)} FLOPs"
        others = "of the convolutions; others are unknown" if report.other_ops else detail
        yield Fact(label="MACs", value=macs_text(report, example), detail=others)
    whole = totals.model_params if totals.model_params is not None else totals.params
    share = _share(totals.params, whole) if totals.model_params != 0 else "none"
    detail = f"{share} in convolutions" if totals.model_params is not None else "of the convolutions"
    yield Fact(label="Parameters", value=human(whole), detail=detail)
    grouped = sum(layer.groups > 1 for layer in report.layers)
    if grouped:
        saved, where = ratio(totals.macs_saved, totals.dense_macs, example.sizes), _number(grouped, "layer")
        of = "unknown, as MACs are" if saved is None else f"of {human(totals.dense_macs)} MACs with groups=1"
        yield Fact(label="Saved by groups", value=human_percentage(saved), detail=f"{of}, in {where}")
    kinds = Counter(layer.kind for layer in report.layers)
    named = counted((kind, kinds[kind]) for kind in KINDS if kinds[kind])
    yield Fact(label="Convolutions", value=str(len(report.layers)), detail=named)
    yield Fact(label="Weights", value=human(totals.weight_bytes, "B"), detail="of the convolutions")
    live, largest = totals.live_activation_bytes, totals.peak_activation_bytes
    if live is None:
        detail = "the largest input and output of a convolution"
        yield Fact(label="Activations", value=human(largest, "B"), detail=detail)
    else:
        yield Fact(label="Activations", value=human(live, "B"), detail="at least, at once in a run")


def _times(report: AuditReport) -> Iterator[Fact]:
    timing = report.timing
    if timing is None:
        return
    where = timing.cpu or "times read from a file"
    if timing.seconds is not None:
        detail = f"{spread_text(timing.spread)}, {where}"
        yield Fact(label="Time of a run", value=human_seconds(timing.seconds), detail=detail)
    if timing.too_noisy is not None:
        yield Fact(label="Groups realise", value="?", detail=timing.too_noisy, tone="unsure")
    elif timing.realised is not None:
        yield Fact(
            label="Groups realise",
            value=realised_text(timing.realised, timing.realised_interval),
            detail=f"of {factor_text(timing.promised)} that their MACs promise",
            tone="good" if timing.realised > 1 else "bad",
        )


def _verdicts(report: AuditReport) -> Iterator[Fact]:
    found = [layer.verification for layer in report.layers if layer.verification is not None]
    if not found:
        return
    words = counted(Counter(verdict.words for verdict in found).most_common())
    proven = sum(verdict.verified for verdict in found)
    wrong = any(verdict.failed for verdict in found)
    tone: Tone = "bad" if wrong else "good" if proven == len(found) else "unsure"
    yield Fact(label="Verified", value=f"{proven} of {len(found)}", detail=words, tone=tone)


def _findings(report: AuditReport) -> Iterator[Fact]:
    if report.lint is None:
        return
    lint, totals = report.lint, report.lint.totals
    if not lint.findings:
        looked = f"nothing found in {lint.examined} of {_number(lint.layers, 'convolution')}"
        yield Fact(
            label="Parameters that do nothing",
            value="0",
            detail=looked,
            tone="good" if lint.examined else "unsure",
        )
        return
    share = _share(totals.removable_params, totals.params)
    yield Fact(
        label="Parameters that do nothing",
        value=human(totals.removable_params),
        detail=f"{share} of those in convolutions; {_number(len(lint.findings), 'finding')}",
        tone="unsure",
    )


def _share(part: Count | None, whole: Count | None) -> str:
    share = ratio(part, whole)
    return "an unknown part" if share is None else human_percentage(share)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
