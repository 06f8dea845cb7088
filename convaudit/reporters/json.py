"""JSON: exact integers, formulas as text, everything that was found.

``report.schema.json`` beside this file is the schema of an audit, or of a list of them. What is not a finite
number is ``null``: the ``bits`` of an exact result, for one, whose ``status`` says so.

``schema_version`` rises when a key goes, or changes its type or meaning. Keys and words (a status, a kind)
are added without that: a reader should ignore keys that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from convaudit.records import AuditReport
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.plain import plain, report_dict
from convaudit.reporters.text import json_text

if TYPE_CHECKING:
    from convaudit.checks.diff import Difference
    from convaudit.checks.outcome import CheckedModel
    from convaudit.records.explanation import Explanation
    from convaudit.records.findings import LintReport
    from convaudit.records.timing import Sweep

DIFF_SCHEMA_VERSION = 1


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """The report as an object."""
    return json_text(report_dict(report, view, lazy=True))


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """A list of the reports' objects."""
    return json_text(map(partial(report_dict, view=view, lazy=True), reports))


def render_diff(difference: Difference, view: View = DEFAULT_VIEW) -> str:
    """What differs, with exact numbers; a count that is a formula is text. ``times`` is null if not timed."""
    changed = [
        {
            "before": layer.before.name,
            "after": layer.after.name,
            "fields": {change.field: _change(change) for change in layer.changes},
        }
        for layer in difference.changed
    ]
    document = {
        "schema_version": DIFF_SCHEMA_VERSION,
        **{
            side: {"source": report.source, "format": report.format}
            for side, report in (("before", difference.before), ("after", difference.after))
        },
        "equal": difference.equal,
        "added": difference.added,
        "removed": difference.removed,
        "changed": changed,
        "renamed": difference.renamed,
        "totals": {total.name: {**_change(total), "delta": total.delta} for total in difference.totals},
        "notes": difference.notes,
        "times": difference.times,
    }
    return json_text(plain(document))


def render_sweep(sweep: Sweep, view: View = DEFAULT_VIEW) -> str:
    """The layer's rows as an object."""
    from convaudit.reporters.sweeps import sweep_dict

    return json_text(sweep_dict(sweep))


def render_sweeps(sweeps: Sequence[Sweep], view: View = DEFAULT_VIEW) -> str:
    """A list of such objects."""
    from convaudit.reporters.sweeps import sweep_dict

    return json_text([sweep_dict(sweep) for sweep in sweeps])


def render_explain(explanations: Sequence[Explanation], view: View = DEFAULT_VIEW) -> str:
    """The explanation as an object; several as a list of them."""
    from convaudit.reporters.explained import explanation_dict

    several = [explanation_dict(told) for told in explanations]
    return json_text(several[0] if len(several) == 1 else several)


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """A list of the models' objects, of one model too; ``lint.schema.json`` is their schema."""
    from convaudit.reporters.findings import lint_dict

    return json_text(map(lint_dict, reports))


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """A list of the models' objects, of one model too; ``check.schema.json`` is their schema."""
    from convaudit.reporters.checked import checked_dict

    return json_text(map(checked_dict, models))


def _change(change: Any) -> dict[str, Any]:
    return {"before": change.before, "after": change.after}
