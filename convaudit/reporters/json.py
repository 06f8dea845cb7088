"""The report as JSON: exact integers, formulas as text, everything that was found.

``report.schema.json`` beside this file is the schema. What is not a finite number is ``null``: the ``bits``
of an exact result, for one, whose ``status`` says so.

``schema_version`` rises when a key goes, or changes its type or meaning. Keys and words (a status, a kind)
are added without that: a reader should ignore keys that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.records import AuditReport
from convaudit.reporters.plain import report_dict
from convaudit.reporters.select import EVERYTHING, Selection
from convaudit.reporters.text import json_text


def render_json(
    reports: Sequence[AuditReport], selection: Selection = EVERYTHING, *, as_list: bool = False
) -> str:
    """One report's object, or ``as_list`` those of all."""
    objects = [report_dict(report, selection) for report in reports]
    return json_text(objects if as_list else objects[0])
