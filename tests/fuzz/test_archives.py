"""A few dozen damaged files; ``python -m tests.fuzz.archives SEED N`` makes as many as wanted."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import save_model
from tests.fuzz.archives import Verdict, _problem, findings, mutated
from tests.fuzz.children import Outcome


def test_damaged_files_are_audited_or_refused() -> None:
    counts: Counter[str] = Counter()
    assert list(findings(7, 24, counts)) == []
    assert counts["audited"] > 2
    assert counts["refused"] > 10


def test_mutations_change_the_file_and_are_repeatable(tmp_path: Path) -> None:
    content = save_model(tmp_path / "model.onnx").read_bytes()
    made = [mutated(content, ".onnx", random.Random(i)) for i in range(30)]
    assert made == [mutated(content, ".onnx", random.Random(i)) for i in range(30)]
    assert sum(changed != content for changed in made) > 25


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        pytest.param(Outcome(value=Verdict(0, "", 0.1)), None, id="audited"),
        pytest.param(Outcome(value=Verdict(2, "error: no model", 0.1)), None, id="refused"),
        pytest.param(Outcome(value=Verdict(1, "", 0.1)), "exit code 1", id="other-code"),
        pytest.param(Outcome(value=Verdict(2, "error: internal error: X", 0.1)), "internal", id="internal"),
        pytest.param(Outcome(value=Verdict(2, "", 21)), "took 21 s", id="slow"),
        pytest.param(Outcome(value=Verdict(2, "", 1), peak_bytes=2 * 10**9), "took 2.0 GB", id="greedy"),
        pytest.param(Outcome(crash="ended with exit code -11"), "exit code -11", id="crash"),
    ],
)
def test_what_is_a_finding(outcome: Outcome, problem: str | None) -> None:
    found = _problem(outcome)
    assert found is None if problem is None else problem in str(found)
