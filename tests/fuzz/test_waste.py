"""A few seconds of the fuzz of lint and --fix, and that it finds what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from onnx import TensorProto, numpy_helper

import convaudit
from convaudit.linting import report as reports
from tests.fuzz.waste import examine, fuzz

NETWORKS = 20


def test_what_is_planted_is_found_and_fixed_and_nothing_else() -> None:
    counts, faults = fuzz(0, NETWORKS)
    assert faults == []
    assert counts["networks"] == NETWORKS
    assert counts["fixable"] > NETWORKS / 2
    assert counts["unread"] > NETWORKS


@pytest.mark.parametrize(
    "seed", [pytest.param(320, id="float-behind-integers"), pytest.param(20049, id="no-convolution-shrinks")]
)
def test_once_wrong(seed: int) -> None:
    assert examine(seed, Counter()) == []


def test_a_wrong_finding_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = reports.findings_of

    def wrong(*arguments: Any) -> Any:
        findings, totals = honest(*arguments)
        return tuple(replace(one, channels=(0, 1)) if one.channels else one for one in findings), totals

    monkeypatch.setattr(reports, "findings_of", wrong)
    assert any("are not so" in fault for fault in examine(0, Counter(), ("lint",)))


def test_a_missing_finding_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "findings_of", lambda *arguments: ((), None))
    monkeypatch.setattr("tests.waste.compare.claimed_filters", lambda model: {})
    assert any("are missed" in fault for fault in examine(0, Counter(), ("lint",)))


def test_a_wrong_fix_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = convaudit.fix

    def wrong(*arguments: Any) -> Any:
        smaller = honest(*arguments)
        for tensor in smaller.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.01, tensor.name))
        return smaller

    monkeypatch.setattr(convaudit, "fix", wrong)
    assert any("away" in fault for fault in examine(2, Counter(), ("fix",)))
