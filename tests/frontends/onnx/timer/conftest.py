"""Measurements that are quick where a test is not about their worth."""

from __future__ import annotations

import pytest

from convaudit.frontends.onnx.timer import roofs, trials


@pytest.fixture
def small_roofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roofs that are timed once, and low."""
    monkeypatch.setattr(trials, "ROOF_ROUNDS", 1)
    monkeypatch.setattr(roofs, "_COPIED", 2**16)
    monkeypatch.setattr(roofs, "_TERMS", 64)


@pytest.fixture
def few_rounds(small_roofs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds of everything, and small roofs."""
    for name in ("LEAST_ROUNDS", "MOST_ROUNDS"):
        monkeypatch.setattr(trials, name, 2)
