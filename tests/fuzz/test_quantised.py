"""A few seconds of the fuzz of quantised and other convolutions, and that it finds what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from convaudit.frontends.onnx.verifier import in_situ, isolated, operands
from tests.fuzz.quantised import FORMS, NOT_FALSE, examine, fuzz, made

MODELS = 60


def test_no_verdict_is_false() -> None:
    counts, faults = fuzz(0, MODELS)
    assert faults == []
    assert {form for form, _ in counts} == set(FORMS)
    verified = sum(number for (_, status), number in counts.items() if status in NOT_FALSE)
    assert verified > MODELS  # of two verifications a model


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    first, again = made(0, 3), made(0, 3)
    assert first.model.SerializeToString() == again.model.SerializeToString()
    assert first.model.SerializeToString() != made(1, 3).model.SerializeToString()


@pytest.mark.parametrize("module", [in_situ, isolated], ids=["in-situ", "isolated"])
def test_a_wrong_runtime_is_a_fault(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = module.execution

    def wrong(layer: Any, node: Any, values: Mapping[str, Any]) -> Any:
        evidence = honest(layer, node, values)
        return replace(evidence, output=evidence.output[..., ::-1] + evidence.output.dtype.type(1))

    monkeypatch.setattr(module, "execution", wrong)
    found = examine(0, 1)
    (fault,) = found.faults()
    assert "mismatch" in fault


def test_wrong_sizes_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = operands.claimed

    def wrong(*arguments: Any) -> Any:
        return replace(honest(*arguments), macs=1)

    monkeypatch.setattr(in_situ, "claimed", wrong)
    (fault,) = examine(0, 1).faults()
    assert fault.startswith("in-situ: miscounted: the accounting claims 1 MACs")
