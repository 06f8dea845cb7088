"""Facts about random graphs against runs of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convaudit.frontends.onnx.channels.transfers import TRANSFERS
from tests.frontends.onnx.channels.brute import disagreements
from tests.frontends.onnx.channels.facts import facts_of
from tests.frontends.onnx.channels.random_graphs import random_model


@pytest.mark.parametrize("seed", range(20))
def test_runs_agree_with_facts(seed):
    source = random_model(seed)
    facts = facts_of(source)
    assert facts.known
    assert facts.read
    assert disagreements(source, facts, seed=seed) == []


FAULTS = [
    pytest.param("AveragePool", {"forward": TRANSFERS["MaxPool"].forward}, 13, id="padding-counts"),
    pytest.param("Pad", {"forward": lambda site: [site.known()]}, 29, id="padding-forgotten"),
    pytest.param("Softmax", {"backward": TRANSFERS["Relu"].backward}, 9, id="channels-that-meet"),
]


@pytest.mark.parametrize(("op", "fault", "seed"), FAULTS)
def test_a_wrong_rule_is_seen(op, fault, seed, monkeypatch):
    monkeypatch.setitem(TRANSFERS, op, replace(TRANSFERS[op], **fault))
    source = random_model(seed)
    assert disagreements(source, facts_of(source), seed=seed) != []
