"""The records: what each verdict means, written down in one table and nowhere else."""

from __future__ import annotations

import ast
import json
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

import convaudit
from convaudit.records import STATUSES, Status, Verification, status_words

ROOT = Path(convaudit.__file__).parent
TABLE = ROOT / "records" / "verification.py"
CERTAINTIES = ROOT / "records/findings.py"
"""How sure a finding is shares two words with the statuses; the types of a ``Certainty`` are there."""
WORDS = set(STATUSES) | {status_words(status) for status in STATUSES}

MEANINGS = [
    # status, verified, failed
    pytest.param("exact", True, False, id="exact"),
    pytest.param("within_rounding", True, False, id="within-rounding"),
    pytest.param("low_accuracy", True, False, id="low-accuracy"),
    pytest.param("miscounted", False, True, id="miscounted"),
    pytest.param("mismatch", False, True, id="mismatch"),
    pytest.param("vacuous", False, False, id="vacuous"),
    pytest.param("not_executed", False, False, id="not-executed"),
    pytest.param("not_supported", False, False, id="not-supported"),
]


@pytest.mark.parametrize(("status", "verified", "failed"), MEANINGS)
def test_a_verdict_proves_a_layer_right_or_wrong_or_neither(status, verified, failed):
    verdict = Verification(status=status, reason="told")
    assert (verdict.verified, verdict.failed) == (verified, failed)


def test_a_worse_call_decides_and_a_vacuous_one_takes_nothing_away():
    severity = {status: Verification(status=status, reason="told").severity for status in STATUSES}
    assert severity["vacuous"] < severity["exact"] < severity["low_accuracy"] < severity["mismatch"]
    assert severity["not_executed"] == min(severity.values())


def test_every_status_is_a_row_of_the_table_and_a_word_of_the_schema():
    schema = json.loads((resources.files("convaudit.reporters") / "report.schema.json").read_text())
    assert set(STATUSES) == set(get_args(Status)), "the words of Status are not those of the table"
    described = set(schema["$defs"]["verification"]["properties"]["status"]["enum"])
    assert described == set(STATUSES), "the statuses in report.schema.json are not those of the table"


def listed_statuses(source: str) -> list[set[str]]:
    """The statuses in each tuple, list, set, dictionary or pattern that names several."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.MatchOr | ast.BoolOp):
            named = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)} & WORDS
            found += [named] if len(named) > 1 else []
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_lists_statuses(path):
    assert path in (TABLE, CERTAINTIES) or listed_statuses(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("status in ('exact', 'within_rounding')", id="tuple"),
        pytest.param("{'mismatch': 'red', 'miscounted': 'red'}", id="dictionary"),
        pytest.param("words in ('not executed', 'not supported')", id="words"),
        pytest.param("status == 'exact' or status == 'low_accuracy'", id="comparisons"),
    ],
)
def test_the_test_of_lists_can_fail(source):
    assert len(listed_statuses(source)) == 1
