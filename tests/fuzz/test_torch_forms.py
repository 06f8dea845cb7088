"""A few seconds of the fuzz of torch modules in many forms, and that it finds what is wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from convaudit.frontends.torch import guard
from convaudit.frontends.torch.walker.layers import Layers
from tests.fuzz.torch_forms import FORMS, examine, made

SLOW = ("exported", "dynamic", "saved", "compiled", "traced")
ONCE = len(FORMS)
MODELS = [*range(ONCE), *(i for i in range(ONCE, 3 * ONCE) if list(FORMS)[i % ONCE] not in SLOW)]


def test_no_number_is_wrong_and_nothing_is_left_behind() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    for index in MODELS:
        form, how, found = examine(0, index)
        counts[form, how] += 1
        faults += found
    assert faults == []
    assert {form for form, _ in counts} == set(FORMS)
    assert sum(number for (_, how), number in counts.items() if how == "exact") > 0.9 * len(MODELS)


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    first, again, other = made(0, 0), made(0, 0), made(1, 0)
    assert (first.names, first.expected) == (again.names, again.expected) != (other.names, other.expected)


def test_a_wrong_count_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Layers.add

    def twice(self: Layers, *arguments: Any) -> Any:
        honest(self, *arguments)
        return honest(self, *arguments)

    monkeypatch.setattr(Layers, "add", twice)
    _, _, faults = examine(0, list(FORMS).index("half"))
    assert any("macs" in fault for fault in faults)


def test_what_is_left_behind_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.random, "setstate", lambda _: None)
    hoards = next(
        index for index in range(0, 50 * len(FORMS), len(FORMS)) if "hoarding" in made(0, index).names
    )
    _, _, faults = examine(0, hoards)
    assert any("random numbers changed" in fault for fault in faults)
