"""Measurements that are quick where a test is not about their worth."""

from __future__ import annotations

import pytest

from convaudit.frontends.onnx.timer import roofs, trials


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds of everything, and small roofs."""
    for name in ("LEAST_ROUNDS", "MOST_ROUNDS", "ROOF_ROUNDS"):
        monkeypatch.setattr(trials, name, 2)
    monkeypatch.setattr(roofs, "_COPIED", 2**16)
    monkeypatch.setattr(roofs, "_TERMS", 64)
