"""What was found that a network carries for nothing, in words and as data, whatever the format."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from convaudit.files import STDIN
from convaudit.formulas import Count, Formula, add
from convaudit.formulas.proportion import ratio
from convaudit.reporters.filling import Column
from convaudit.reporters.plain import plain
from convaudit.reporters.text import counted, listed, printable
from convaudit.units import human
from convaudit.version import __version__

if TYPE_CHECKING:
    from convaudit.records.findings import Finding, LintReport, LintTotals

LINT_SCHEMA_VERSION = 1
_MOST_RUNS = 6
"""Stretches of channels to name, where there are more of them."""
_MOST_NOTES = 10


def lint_dict(report: LintReport) -> dict[str, Any]:
    """One model's findings as an object: what JSON is made of."""
    return {"schema_version": LINT_SCHEMA_VERSION, "convaudit_version": __version__, **plain(report)}


def channel_runs(channels: Iterable[int]) -> list[tuple[int, int]]:
    """Channels as stretches, each with its first and last one.

    >>> channel_runs([0, 1, 2, 5])
    [(0, 2), (5, 5)]
    """
    runs: list[tuple[int, int]] = []
    for channel in sorted(channels):
        if runs and channel <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], channel)
        else:
            runs.append((channel, channel))
    return runs


def channel_ranges(channels: Sequence[int], most: int | None = _MOST_RUNS) -> str:
    """``0-3, 17, 490 more``: the first stretches, and how many channels the others hold.

    >>> channel_ranges([0, 1, 2, 3, 17, 20, 22, 24, 26, 28, 30, 32])
    '0-3, 17, 20, 22, 24, 26, 3 more'
    """
    runs = channel_runs(channels)
    shown = runs if most is None or len(runs) <= most else runs[:most]
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in shown]
    more = len(set(channels)) - sum(last - first + 1 for first, last in shown)
    return ", ".join([*texts, f"{more} more"] if more else texts)


def share_text(part: Count | None, whole: Count | None) -> str:
    """``26 %``, two digits of it; empty if it is not known.

    >>> share_text(640, 2440), share_text(9, 1000), share_text(1, 10**6), share_text(1, None)
    ('26 %', '0.9 %', '<0.1 %', '')
    """
    share = ratio(part, whole)
    if share is None:
        return ""
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{share * 100:.0f} %" if share == 0 or share >= 0.0995 else f"{share * 100:.1f} %"


def saved_text(finding: Finding, report: LintReport) -> str:
    """``saves 350 k params (14 %), 120 M MACs (6.3 %)``; empty where it saves nothing by itself."""
    if finding.certainty == "observed":
        return ""
    totals = report.totals
    parts = [
        _share_of(count, whole, unit) or f"{human(count)} {unit}{_in_brackets(share_text(count, whole))}"
        for count, whole, unit in (
            (finding.removable_params, totals.params, "params"),
            (finding.removable_macs, totals.macs, "MACs"),
        )
        if count != 0
    ]
    return f"saves {', '.join(parts)}" if parts else ""


def state_text(finding: Finding) -> str:
    """``exact, fixable``: how sure it is, and whether ``--fix`` takes it out, or why it does not."""
    certainty = finding.certainty.replace("_", " ")
    if finding.fixable:
        return f"{certainty}, fixable"
    reason = f": {finding.reason}" if finding.reason else ""
    return f"{certainty}, not fixable{reason}"


def by_layer(report: LintReport) -> dict[str, list[Finding]]:
    """Findings by their layer's name, in the order of the report."""
    layers: dict[str, list[Finding]] = {}
    for finding in report.findings:
        layers.setdefault(finding.layer, []).append(finding)
    return layers


def lint_heading(report: LintReport) -> str:
    """``model.onnx (onnx): 5 findings in 4 of 62 convolutions``, and how many were looked at."""
    head = f"{report.source} ({report.format}): "
    if not report.findings:
        return printable(head + _nothing(report))
    layers = len(by_layer(report))
    unseen = "" if report.examined == report.layers else f", {report.examined} of which were looked at"
    return printable(
        f"{head}{_number(len(report.findings), 'finding')} in {layers} of "
        f"{_number(report.layers, 'convolution')}{unseen}"
    )


def removable_lines(report: LintReport) -> list[str]:
    """What could go, what ``--fix`` takes of it and how; nothing where there is no finding."""
    if not report.findings:
        return []
    if report.totals.removable_params == 0 and report.totals.removable_macs == 0:
        return [f"removable: 0 of {printable(human(report.totals.params))} conv params"]
    return [printable(line) for line in (removable_text(report), *_fixable(report))]


def removable_text(report: LintReport) -> str:
    """``removable: 640 k of 2.44 M conv params (26 %), 210 M of 1.9 G MACs (11 %), 2.56 MB``."""
    totals = report.totals
    size = f", {human(totals.removable_bytes, 'B')}" if totals.removable_bytes else ""
    return (
        f"removable: {_part(totals.removable_params, totals.params, 'conv params')}, "
        f"{_part(totals.removable_macs, totals.macs, 'MACs')}{size}"
    )


def fix_command(report: LintReport) -> str:
    """The command that takes out what can be taken out exactly."""
    if report.source == STDIN:
        return "convaudit lint - --fix -o smaller.onnx"
    path = PurePath(report.source)
    target = path.with_name(f"{path.stem}-smaller.onnx").name
    source, target = (
        shlex.quote(f"./{name}" if name[0] == "-" else name) for name in (report.source, target)
    )
    return f"convaudit lint {source} --fix -o {target}"


def note_lines(notes: Sequence[str]) -> list[str]:
    """Notes as lines, those of equal reasons together, not endlessly many."""
    reasons: dict[str, list[str]] = {}
    for note in notes:
        name, colon, reason = note.partition(": ")
        reasons.setdefault(reason if colon else note, []).extend([name] if colon else [])
    lines = [f"{listed(names)}: {reason}" if names else reason for reason, names in reasons.items()]
    rest = len(lines) - _MOST_NOTES
    lines = lines if rest <= 0 else [*lines[:_MOST_NOTES], f"and {rest} more notes: see --format json"]
    return [printable(line) for line in lines]


def lint_summary(reports: Sequence[LintReport]) -> dict[str, Column]:
    """One row a model: what was found, what could go, and what of it ``--fix`` takes out."""
    return {
        "name": Column(header="model", cells=[printable(one.source) for one in reports], left=True),
        "layers": Column(header="layers", cells=[_looked_at(one) for one in reports]),
        "findings": Column(header="findings", cells=[str(len(one.findings)) for one in reports]),
        "params": Column(header="removable", cells=[_removable(one, "params") for one in reports]),
        "macs": Column(header="MACs", cells=[_removable(one, "macs") for one in reports]),
        "fixable": Column(
            header="fixable", cells=[printable(human(one.totals.fixable_params)) for one in reports]
        ),
    }


def finding_columns(report: LintReport) -> dict[str, Column]:
    """One row a finding, for formats that have tables of any width."""
    findings, totals = report.findings, report.totals
    cells = {
        "layer": [finding.layer for finding in findings],
        "rule": [f"{finding.rule} {finding.name}" for finding in findings],
        "finding": [finding_text(finding) for finding in findings],
        "params": [_share_cell(finding.removable_params, totals.params) for finding in findings],
        "MACs": [_share_cell(finding.removable_macs, totals.macs) for finding in findings],
        "certainty": [state_text(finding) for finding in findings],
    }
    numbers = ("params", "MACs")
    return {
        key: Column(header=key, cells=[printable(cell) for cell in texts], left=key not in numbers)
        for key, texts in cells.items()
    }


def finding_text(finding: Finding) -> str:
    """The message, and the channels that it is about."""
    if finding.channels is None:
        return finding.message
    return f"{finding.message}; channels {channel_ranges(finding.channels)}"


def finding_lines(finding: Finding, report: LintReport) -> Iterator[str]:
    """The message; the channels; what it saves, and how sure it is."""
    yield printable(finding.message)
    if finding.channels:
        word = "channel" if len(finding.channels) == 1 else "channels"
        yield f"{word} {channel_ranges(finding.channels)}"
    saved = saved_text(finding, report)
    yield printable("; ".join(filter(None, [saved, state_text(finding)])))


def selected_totals(report: LintReport, certainty: str) -> tuple[Count | None, Count | None]:
    """Params and MACs of the fixable findings of one certainty."""
    found = [one for one in report.findings if one.fixable and one.certainty == certainty]
    return add(*(one.removable_params for one in found)), add(*(one.removable_macs for one in found))


def _fixable(report: LintReport) -> Iterator[str]:
    params, macs = selected_totals(report, "exact")
    if any(one.fixable and one.certainty == "exact" for one in report.findings):
        yield f"fixable: {_amount(params, macs, report.totals)}, by {fix_command(report)}"
    rounded = [one for one in report.findings if one.fixable and one.certainty == "within_rounding"]
    if rounded:
        params, macs = selected_totals(report, "within_rounding")
        yield f"within rounding: {_amount(params, macs, report.totals)} more, with --fix --within-rounding"
    if not any(one.fixable for one in report.findings):
        yield "fixable: none of it; each finding says why"


def _amount(params: Count | None, macs: Count | None, totals: LintTotals) -> str:
    return f"{human(params)} params and {_share_of(macs, totals.macs, 'MACs') or f'{human(macs)} MACs'}"


def _nothing(report: LintReport) -> str:
    """What was looked at in vain: finding nothing where nothing was looked at says nothing."""
    if not report.layers:
        return "it has no convolution, so nothing was looked at"
    where = f"{report.examined} of {_number(report.layers, 'convolution')}"
    size = "" if report.totals.params is None else f" ({human(report.totals.params)} params)"
    return f"nothing found by {_number(len(report.rules), 'rule')} in {where}{size}"


def _looked_at(report: LintReport) -> str:
    seen = report.examined == report.layers
    return str(report.layers) if seen else f"{report.examined} of {report.layers}"


def _removable(report: LintReport, what: str) -> str:
    totals = report.totals
    return printable(_share_cell(getattr(totals, f"removable_{what}"), getattr(totals, what)))


def _share_of(part: Count | None, whole: Count | None, unit: str) -> str:
    """``0.4 % of the MACs``: shorter than a formula, and the same for all sizes; empty if it is neither."""
    share = share_text(part, whole)
    return f"{share} of the {unit}" if isinstance(part, Formula) and share else ""


def _share_cell(part: Count | None, whole: Count | None) -> str:
    if isinstance(part, Formula) and (share := share_text(part, whole)):
        return share
    return f"{human(part)}{_in_brackets(share_text(part, whole) if part != 0 else '')}"


def _part(part: Count | None, whole: Count | None, unit: str) -> str:
    if part is None:
        return f"an unknown number of {unit}"
    if share := _share_of(part, whole, unit):
        return share
    return f"{human(part)} of {human(whole)} {unit}{_in_brackets(share_text(part, whole))}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _number(number: int, noun: str) -> str:
    return counted([(noun if number == 1 else f"{noun}s", number)])
