"""Charts of what was proven: bits carried where verified, and what could go where linted."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import altair as alt

from convaudit.records import STATUSES, AuditReport, status_words
from convaudit.reporters.charts import CHARTS
from convaudit.reporters.charts.drawing import (
    LAYER_TOOLTIP,
    ROW_HEIGHT,
    counts_axis,
    finished,
    if_chosen,
    inline,
    layered,
    names_axis,
    tooltip,
)
from convaudit.reporters.charts.rows import (
    MOST_DRAWN,
    Datum,
    Drawn,
    Subject,
    data_of,
    safe,
)
from convaudit.reporters.colours import DOUBTFUL, GOOD, STATUS_COLOURS
from convaudit.units import human, human_percentage

_VERDICTS = {"status": "verdict", "bits_text": "bits carried", "reason": "why"}
_FOUND = {"rule": "rule", "what": "finding", "removes": "could go", "message": "why"}


def make_bits(report: AuditReport) -> alt.LayerChart:
    """A row for each layer: the bits that agree with float64, coloured by the verdict."""
    subject = Subject(report)
    rows = [row for row in subject.rows if row.cost.verification is not None]
    notes = []
    if len(rows) > MOST_DRAWN:
        notes.append(f"Only the {MOST_DRAWN} layers that carry the fewest bits out of {len(rows):,}.")
        kept = {row.index for row in sorted(rows, key=_bits)[:MOST_DRAWN]}
        rows = [row for row in rows if row.index in kept]
    data = data_of(rows, subject)
    finite = [_bits(row) for row in rows if isfinite(_bits(row)) and _bits(row) >= 0]
    end = max([*finite, 24.0]) * 1.06
    for datum, row in zip(data, rows, strict=True):
        datum.update(_verdict(row, end))
    base = alt.Chart(inline(data)).encode(y=names_axis(data), tooltip=tooltip(LAYER_TOOLTIP | _VERDICTS))
    statuses = [status for status in STATUSES if any(datum["key"] == status for datum in data)]
    scale = alt.Scale(
        domain=[status_words(status) for status in statuses],
        range=[STATUS_COLOURS[status] for status in statuses],
    )
    colour = alt.Color("status:N", title=None, scale=scale, legend=alt.Legend(orient="top", symbolOpacity=1))
    x = alt.X("bits:Q", title="bits carried", axis=alt.Axis(orient="top", tickCount=8)).scale(domain=[0, end])
    compared = base.transform_filter("isValid(datum.bits)")
    chart = layered(
        compared.mark_rule(strokeWidth=2, opacity=0.4).encode(x=x, x2=alt.datum(0), color=colour),
        compared.mark_circle(size=75, opacity=1).encode(
            x=x, color=colour, stroke=if_chosen("currentColor", "transparent"), strokeWidth=if_chosen(3, 0)
        ),
        base.mark_text(align="left", dx=8, fontSize=10).encode(x=alt.X("at:Q"), text="mark:N"),
    )
    lines = [_summed(report), *notes]
    height = max(ROW_HEIGHT * len(data), 2 * ROW_HEIGHT)
    return finished(chart, CHARTS["bits"].title, lines, height=height, about=CHARTS["bits"].about)


def _bits(row: Drawn) -> float:
    """Bits, infinite where exact; -1 where nothing was compared, since that is what to look at first."""
    verdict = row.cost.verification
    return -1.0 if verdict is None or verdict.bits is None else verdict.bits


def _verdict(row: Drawn, end: float) -> Datum:
    verdict, bits = row.cost.verification, _bits(row)
    assert verdict is not None
    failed = f" {verdict.words}" if not verdict.verified else ""
    return {
        "key": verdict.status,
        "status": verdict.words,
        "reason": safe(verdict.reason),
        "bits": None if bits < 0 else min(bits, end / 1.04),
        "at": 0.0 if bits < 0 else min(bits, end / 1.04),
        "bits_text": "nothing compared" if bits < 0 else f"{bits:.1f}".replace("inf", "all"),
        "mark": failed.strip() if bits < 0 else (f"{bits:.1f}".replace("inf", "all, exact") + failed),
    }


def _summed(report: AuditReport) -> str:
    verdicts = [layer.verification for layer in report.layers if layer.verification is not None]
    right = sum(verdict.verified for verdict in verdicts)
    wrong = sum(verdict.failed for verdict in verdicts)
    texts = [f"{right:,} of {len(report.layers):,} layers are proven right"]
    texts += [f"{wrong:,} {'is' if wrong == 1 else 'are'} wrong"] if wrong else []
    rest = len(report.layers) - right - wrong
    texts += [f"of {rest:,} nothing is proven"] if rest else []
    return ", ".join(texts) + ". float32 holds 24 bits, float16 and TF32 11, bfloat16 8."


def make_findings(report: AuditReport) -> alt.LayerChart:
    """A bar for each layer with findings, a piece for each: the parameters that could go."""
    lint = report.lint
    assert lint is not None
    subject = Subject(report)
    rows = {row.cost.name: row for row in subject.rows}
    found = []
    for finding in lint.findings:
        size = subject.number(finding.removable_params)
        found.append((finding, size or 0))
    sums: dict[str, int] = {}
    for finding, size in found:
        sums[finding.layer] = sums.get(finding.layer, 0) + size
    kept = set(sorted(sums, key=lambda name: -sums[name])[:MOST_DRAWN])
    shown = [row for name, row in rows.items() if name in kept]
    labels = dict(zip((row.cost.name for row in shown), data_of(shown, subject), strict=True))
    data: list[Datum] = []
    ends: dict[str, int] = {}
    for finding, size in found:
        if finding.layer in labels:
            start = ends.get(finding.layer, 0)
            ends[finding.layer] = start + size
            data.append(
                labels[finding.layer]
                | {
                    "start": start,
                    "end": start + size,
                    "rule": finding.rule,
                    "what": finding.name,
                    "message": safe(finding.message),
                    "fixable": "taken out by --fix" if finding.fixable else "to be judged",
                    "removes": f"{human(finding.removable_params)} params, "
                    f"{human(finding.removable_macs)} MACs",
                }
            )
    ordered = list(labels.values())
    notes = [_removable(report)]
    if len(sums) > len(kept):
        notes.append(f"Only the {MOST_DRAWN} layers with the most that could go out of {len(sums):,}.")
    chart = _finding_bars(data, ordered, report)
    height = max(ROW_HEIGHT * len(ordered), 2 * ROW_HEIGHT)
    return finished(chart, CHARTS["findings"].title, notes, height=height, about=CHARTS["findings"].about)


def _removable(report: AuditReport) -> str:
    assert report.lint is not None
    totals = report.lint.totals
    share = ""
    if isinstance(totals.removable_params, int) and isinstance(totals.params, int) and totals.params:
        share = f" ({human_percentage(totals.removable_params / totals.params)})"
    return (
        f"{human(totals.removable_params)} of {human(totals.params)} parameters of convolutions{share} do "
        "nothing. Each bar counts a parameter once, also those of layers that read this one."
    )


def _finding_bars(data: Sequence[Datum], rows: Sequence[Datum], report: AuditReport) -> alt.LayerChart:
    fixable = {"taken out by --fix": GOOD, "to be judged": DOUBTFUL}
    told = [text for text in fixable if any(datum["fixable"] == text for datum in data)]
    scale = alt.Scale(domain=told, range=[fixable[text] for text in told])
    colour = alt.Color("fixable:N", title=None, scale=scale, legend=alt.Legend(orient="top"))
    by_layer: dict[int, list[Datum]] = {}
    for datum in data:
        by_layer.setdefault(datum["layer"], []).append(datum)
    texts = [
        {
            "label": pieces[0]["label"],
            "end": max(piece["end"] for piece in pieces),
            "text": f"{human(max(piece['end'] for piece in pieces))}  "
            + " ".join(dict.fromkeys(piece["rule"] for piece in pieces)),
        }
        for pieces in by_layer.values()
    ]
    y = names_axis(rows)
    bars = (
        alt.Chart(inline(data))
        .mark_bar(stroke="transparent")
        .encode(
            y=y,
            x=alt.X("start:Q", title="parameters", axis=counts_axis()),
            x2="end:Q",
            color=colour,
            stroke=if_chosen("currentColor", "transparent"),
            tooltip=tooltip({"name": "layer", **_FOUND, "fixable": "fix"}),
        )
    )
    marks = (
        alt.Chart(inline(texts))
        .mark_text(align="left", dx=5, fontSize=10)
        .encode(y=y, x="end:Q", text="text:N")
    )
    return layered(bars, marks)
