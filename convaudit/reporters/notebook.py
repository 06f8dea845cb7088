"""What records look like in a notebook: one function for each type, in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from convaudit.checks import CheckedModel, Difference, Outcome, Outcomes
from convaudit.explaining import explanation
from convaudit.records import AuditReport, LayerCost, LayerCosts, Totals
from convaudit.records.findings import LintReport
from convaudit.records.timing import Sweep
from convaudit.reporters import DEFAULT_VIEW
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.columns import filled_columns
from convaudit.reporters.filling import Column
from convaudit.reporters.html import folded_html, framed, heading_html, list_html, table_html
from convaudit.reporters.lines import cautions, example_lines, heading, summary, verdicts
from convaudit.reporters.selection import tables
from convaudit.reporters.times import time_lines
from convaudit.shapes import as_text
from convaudit.units import human, human_percentage

_MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}


def html_of(record: Any) -> str:
    """A record, or a list of records, as HTML for a notebook's cell.

    Raises:
        TypeError: There is no function for its type.
    """
    for kind in type(record).__mro__:
        if kind in HTML:
            return HTML[kind](record)
    raise TypeError(f"{type(record).__name__} has no HTML")


def report_html(report: AuditReport) -> str:
    """An audit: its layers, or of many the costliest, the blocks and all of them on demand; the sums."""
    about = tables(report, DEFAULT_VIEW)
    parts = [f"<div>{table_html(columns)}</div>" for columns in (about.columns, about.blocks) if columns]
    if about.left_out:
        every = filled_columns(report, report.layers)
        parts.append(folded_html(f"all {len(report.layers):,} layers", table_html(every)))
    lines = [*summary(report, about), *cautions(report), *verdicts(report), *time_lines(report)]
    example = ", ".join(example_lines(report))
    return framed(heading_html(heading(report), example), *parts, list_html(lines))


def layer_html(layer: LayerCost) -> str:
    """One layer explained: its arithmetic with the numbers filled in, its wiring, its window."""
    from convaudit.reporters.pictures import grid_svg, wiring_svg

    told = explanation(layer)
    axes = " x ".join(factor.name for factor in told.weight)
    rows: list[tuple[str, str, str]] = [
        ("input", as_text(layer.input_shape), layer.dtype),
        ("weight", as_text(layer.weight_shape), axes),
        *((dimension.name, as_text((dimension.size,)), dimension.text) for dimension in told.dimensions),
        ("params", human(layer.params), told.params.text),
        ("MACs", human(layer.macs), told.macs.text),
    ]
    if layer.groups > 1:
        rows.append(("params, groups=1", human(layer.dense_params), told.dense_params.text))
        rows.append(("MACs, groups=1", human(layer.dense_macs), told.dense_macs.text))
    names, values, why = (list(cells) for cells in zip(*rows, strict=True))
    columns = {
        "name": Column(header="", cells=names, left=True),
        "value": Column(header="", cells=values),
        "why": Column(header="", cells=why, left=True),
    }
    groups = f", {layer.groups} groups" if layer.groups > 1 else ""
    what = f"{layer.kind} {channels_text(layer)} {kernel_text(layer)}{groups}"
    pictures = "".join(picture for picture in (wiring_svg(told), grid_svg(told)) if picture)
    return framed(
        heading_html(layer.name, what),
        f'<div class="pictures">{pictures}</div>' if pictures else "",
        table_html(columns),
        list_html(_layer_lines(layer, told.remarks)),
    )


def _layer_lines(layer: LayerCost, remarks: Sequence[str]) -> list[str]:
    verdict = layer.verification
    verified = [f"{verdict.words}: {verdict.reason}"] if verdict is not None else []
    return [*remarks, *verified, *layer.notes]


def layers_html(layers: LayerCosts) -> str:
    """LayerCosts as a table of what each of them is and costs, in counts of one call."""
    texts: dict[str, list[str]] = {
        "layer": [layer.name for layer in layers],
        "kind": [layer.kind for layer in layers],
        "channels": [channels_text(layer) for layer in layers],
        "kernel": [kernel_text(layer) for layer in layers],
        "output": [as_text(layer.output_shape) for layer in layers],
        "groups": [str(layer.groups) for layer in layers],
        "params": [human(layer.params) for layer in layers],
        "MACs": [human(layer.macs) for layer in layers],
        "saved": [human(layer.macs_saved) for layer in layers],
    }
    words = ("layer", "kind", "kernel", "output")
    columns = {key: Column(header=key, cells=cells, left=key in words) for key, cells in texts.items()}
    number = "1 convolution" if len(layers) == 1 else f"{len(layers):,} convolutions"
    return framed(heading_html(number), table_html(columns) if layers else "")


def totals_html(totals: Totals) -> str:
    """What all convolutions cost, beside the same with groups=1, and the whole model."""
    counted = [
        ("parameters", totals.params, totals.dense_params, totals.params_saved, totals.model_params),
        ("MACs", totals.macs, totals.dense_macs, totals.macs_saved, totals.model_macs),
    ]
    columns = {
        "what": Column(header="", cells=[row[0] for row in counted], left=True),
        "now": Column(header="convolutions", cells=[human(row[1]) for row in counted]),
        "dense": Column(header="with groups=1", cells=[human(row[2]) for row in counted]),
        "saved": Column(header="groups save", cells=[human(row[3]) for row in counted]),
        "share": Column(header="", cells=[_part(row[3], row[2]) for row in counted]),
        "model": Column(header="whole model", cells=[human(row[4]) for row in counted]),
    }
    lines = [
        f"weights take {human(totals.weight_bytes, 'B')}; input and output of the largest layer take "
        f"{human(totals.peak_activation_bytes, 'B')}"
    ]
    if totals.macs is None:
        lines.append(f"MACs are at least {human(totals.macs_at_least)}: those of some layers are unknown")
    number = "1 convolution" if totals.layers == 1 else f"{totals.layers:,} convolutions"
    return framed(heading_html(f"Totals of {number}"), table_html(columns), list_html(lines))


def _part(part: Any, whole: Any) -> str:
    known = isinstance(part, int) and isinstance(whole, int) and whole
    return human_percentage(part / whole) if known else ""


def difference_html(difference: Difference) -> str:
    """The layers that differ, the totals with their deltas, and what explains them."""
    from convaudit.reporters.differences import layer_rows, notes, time_columns, time_notes, total_columns

    before, after = difference.before, difference.after
    rows = list(layer_rows(difference))
    layers = ""
    if rows:
        signs, names, changes = (list(cells) for cells in zip(*rows, strict=True))
        layers = table_html(
            {
                "sign": Column(header="", cells=signs, left=True),
                "name": Column(header="layer", cells=names, left=True),
                "change": Column(header="change", cells=changes, left=True),
            },
            wrapped=("change",),
        )
    return framed(
        heading_html(f"{before.source} ({before.format}) → {after.source} ({after.format})"),
        layers,
        f"<div>{table_html(total_columns(difference))}</div>",
        f"<div>{table_html(time_columns(difference))}</div>" if difference.times else "",
        list_html([*notes(difference), *time_notes(difference)]),
    )


def outcomes_html(outcomes: Sequence[Outcome]) -> str:
    """Verdicts on one model, one row each; none: it keeps every budget."""
    if not outcomes:
        return framed(heading_html("✓ every budget is kept", getattr(outcomes, "source", "")))
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    broken = f"{failed} of the checks failed" if failed else "no check failed"
    return framed(heading_html(broken), _outcome_table(outcomes))


def _outcome_table(outcomes: Sequence[Outcome]) -> str:
    columns = {
        "mark": Column(header="", cells=[_MARKS[outcome.status] for outcome in outcomes], left=True),
        "rule": Column(header="check", cells=[outcome.rule for outcome in outcomes], left=True),
        "message": Column(header="finding", cells=[_message(outcome) for outcome in outcomes], left=True),
    }
    return table_html(columns, wrapped=("message",))


def _message(outcome: Outcome) -> str:
    from convaudit.reporters.outcomes import contributor_lines

    return "\n".join([outcome.message, *contributor_lines(outcome)])


def checked_html(model: CheckedModel) -> str:
    """All verdicts on one model, or why there are none."""
    from convaudit.reporters.outcomes import verdict

    if model.error is not None:
        return framed(heading_html(model.source, model.error))
    return framed(heading_html(model.source, verdict(model)), _outcome_table(model.outcomes))


def lint_html(report: LintReport) -> str:
    """What a network carries for nothing, one row a finding."""
    from convaudit.reporters.findings import finding_columns, lint_heading, note_lines, removable_lines

    table = table_html(finding_columns(report), wrapped=("finding", "certainty")) if report.findings else ""
    lines = [*removable_lines(report), *note_lines(report.notes)]
    return framed(heading_html(lint_heading(report)), table, list_html(lines))


def sweep_html(sweep: Sweep) -> str:
    """One layer at every number of groups."""
    from convaudit.reporters.sweeps import sweep_columns, sweep_heading, sweep_lines

    return framed(
        heading_html(sweep_heading(sweep)), table_html(sweep_columns(sweep)), list_html(sweep_lines(sweep))
    )


def sweeps_html(sweeps: Sequence[Sweep]) -> str:
    """All distinct layers of a model, a row each."""
    from convaudit.reporters.sweeps import summary_columns, summary_lines

    if not sweeps:
        return framed(heading_html("nothing was swept"))
    heading = heading_html(f"{sweeps[0].source}: {len(sweeps)} distinct layers")
    return framed(heading, table_html(summary_columns(sweeps)), list_html(summary_lines(sweeps)))


HTML: dict[type, Callable[[Any], str]] = {
    AuditReport: report_html,
    LayerCost: layer_html,
    LayerCosts: layers_html,
    Totals: totals_html,
    Difference: difference_html,
    Outcome: lambda outcome: framed(_outcome_table([outcome])),
    Outcomes: outcomes_html,
    CheckedModel: checked_html,
    LintReport: lint_html,
    Sweep: sweep_html,
}
"""By the type of what is shown; subclasses are shown as these are."""
