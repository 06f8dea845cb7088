"""What a page says of one chosen layer: its facts, verdict, times and findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convaudit.analyzer.blocks import Member
from convaudit.explaining.text import number
from convaudit.records import STATUSES, AuditReport, LayerCost, OtherLayer
from convaudit.records.findings import Finding
from convaudit.reporters.cells import bits_text, intensity_at, kernel_text
from convaudit.reporters.colours import OTHER
from convaudit.reporters.findings import by_layer, finding_lines
from convaudit.reporters.page.tiles import Tone
from convaudit.reporters.page.told import Pictures, Told, told_of
from convaudit.reporters.shown import Shown, shown
from convaudit.reporters.text import printable
from convaudit.reporters.time_cells import factor_text, realised_text, spread_text
from convaudit.shapes import as_text
from convaudit.units import human_percentage, human_seconds

Named = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding in words."""

    rule: str
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Everything about one op; what is only of convolutions is empty for another one."""

    id: str
    name: str
    kind: str
    what: str  # its kind in words
    told: Told | None
    facts: tuple[Named, ...]
    verdict: tuple[Named, ...]
    tone: Tone
    times: tuple[Named, ...]
    findings: tuple[ShownFinding, ...]
    notes: tuple[str, ...]


def layer_panels(
    report: AuditReport, members: Sequence[tuple[str, Member]], pictures: Pictures
) -> list[Panel]:
    """A panel for each op that is listed.

    Args:
        report: What an audit found.
        members: The ops that are listed, each with its row's id.
        pictures: Where pictures are kept.
    """
    findings = {} if report.lint is None else by_layer(report.lint)
    about = shown(report)
    return [
        _panel(row, member, told_of(member, report, pictures), about, findings.get(member.name, ()))
        if isinstance(member, LayerCost)
        else _other(row, member, about)
        for row, member in members
    ]


def _panel(row: str, layer: LayerCost, told: Told, about: Shown, findings: Sequence[Finding]) -> Panel:
    return Panel(
        id=row,
        name=printable(layer.name),
        kind=layer.kind,
        what=layer.kind if layer.groups == 1 else f"{layer.kind}, {layer.groups} groups",
        told=told,
        facts=_printable(_facts(layer, about)),
        verdict=_printable(_verdict(layer)),
        tone=_tone(layer),
        times=_printable(_times(layer)),
        findings=tuple(_shown(finding, about.report) for finding in findings),
        notes=tuple(map(printable, layer.notes)),
    )


def _other(row: str, op: OtherLayer, about: Shown) -> Panel:
    facts = {
        "input": f"{as_text(op.input_shape)} {op.dtype}",
        "output": as_text(op.output_shape),
        "weight": "none" if op.weight_shape is None else as_text(op.weight_shape),
        "calls in a run": about.example.text(op.calls),
        "parameters": number(op.params),
        "MACs of one call": number(op.macs),
        "share of the model's MACs": human_percentage(about.share(op)),
    }
    return Panel(
        id=row,
        name=printable(op.name),
        kind=OTHER,
        what=printable(op.op),
        told=None,
        facts=_printable(iter(facts.items())),
        verdict=(),
        tone="",
        times=(),
        findings=(),
        notes=tuple(map(printable, op.notes)),
    )


def _printable(facts: Iterator[Named]) -> tuple[Named, ...]:
    return tuple((name, printable(value)) for name, value in facts)


def _facts(layer: LayerCost, about: Shown) -> Iterator[Named]:
    human = about.example.text
    yield "operator", layer.op
    yield "input", f"{as_text(layer.input_shape)} {layer.dtype}"
    yield "output", f"{as_text(layer.output_shape)} {layer.output_dtype}"
    yield "weight", f"{as_text(layer.weight_shape)} {layer.weight_dtype}{' and bias' if layer.bias else ''}"
    yield "kernel", kernel_text(layer)
    yield "groups", str(layer.groups)
    if layer.calls != 1:
        yield "calls in a run", "?" if layer.calls is None else str(layer.calls)
    known = "" if about.model_macs is not None else "<="
    yield "share of the model's MACs", f"{known}{human_percentage(about.share(layer))}"
    yield "share of the convolutions'", human_percentage(about.share_conv(layer))
    yield "weights", human(layer.weight_bytes, "B")
    yield "input and output", human(layer.activation_bytes, "B")
    intensity = intensity_at(layer, about.example)
    yield "FLOPs per byte", "?" if intensity is None else f"{intensity:.1f}"


def _verdict(layer: LayerCost) -> Iterator[Named]:
    verdict = layer.verification
    if verdict is None:
        return
    yield verdict.words, verdict.reason
    if bits := bits_text(layer):
        yield "bits carried", bits
    if verdict.max_abs_error is not None:
        bound = "" if verdict.bound is None else f", bound {verdict.bound:.2g}"
        yield "largest error", f"{verdict.max_abs_error:.2g}{bound}"
    if verdict.location is not None:
        yield "where", verdict.location
    if verdict.format is not None:
        yield "explained by", verdict.format
    if verdict.provider is not None:
        yield "ran on", verdict.provider


def _tone(layer: LayerCost) -> Tone:
    if layer.verification is None:
        return ""
    proves = STATUSES[layer.verification.status].proves
    return "good" if proves == "right" else "bad" if proves == "wrong" else "unsure"


def _times(layer: LayerCost) -> Iterator[Named]:
    timing = layer.timing
    if timing is None:
        return
    if timing.model_seconds is not None:
        share = human_percentage(timing.model_share)
        yield (
            "one call in the model",
            f"{human_seconds(timing.model_seconds)} {spread_text(timing.model_spread)}, {share} of the run",
        )
    if timing.seconds is not None:
        yield "alone", f"{human_seconds(timing.seconds)} {spread_text(timing.spread)}"
    if layer.groups > 1:
        yield "with groups=1, alone", human_seconds(timing.dense_seconds)
        realised = realised_text(timing.realised, timing.realised_interval, timing.spread)
        yield "realised", f"{realised} of {factor_text(timing.promised)} promised"
    if timing.kernel is not None:
        yield "ran as", timing.kernel
    if timing.bound is not None:
        yield "bound by", timing.bound
    if timing.reorders:
        yield "layout reorders", str(timing.reorders)
    if timing.reason is not None:
        yield "not measured", timing.reason


def _shown(finding: Finding, report: AuditReport) -> ShownFinding:
    assert report.lint is not None
    lines = tuple(map(printable, finding_lines(finding, report.lint)))
    return ShownFinding(rule=finding.rule, name=finding.name, lines=lines)
