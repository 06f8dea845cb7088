"""The generated networks: what is planted in them is idle, and without waste nothing is."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.waste.generator import BLOCKS, planted
from tests.waste.oracle import Oracle

TAKES_SOME = {"sliced", "gathered", "padded", "everything", "tokens"}
"""Blocks that leave channels unread, or add constant ones, of themselves."""


@pytest.mark.parametrize("only", BLOCKS)
def test_what_is_planted_is_idle(only: str) -> None:
    net = planted(1, only=only)
    truth = Oracle(net).truth()
    assert only in net.blocks
    for layer in net.layers:
        assert layer.zero <= truth.constant.get(layer.name, layer.zero), layer
        assert layer.idle <= truth.unread[layer.name], layer


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_idle_by_chance(seed: int) -> None:
    net = planted(seed, waste=0.0)
    truth = Oracle(net).truth()
    if not TAKES_SOME & set(net.blocks):
        assert {*truth.constant.values(), *truth.unread.values()} <= {frozenset()}


def test_networks_are_repeatable_and_differ() -> None:
    first, again, other = planted(7), planted(7), planted(8)
    assert first.model.SerializeToString() == again.model.SerializeToString()
    assert first.model.SerializeToString() != other.model.SerializeToString()


def test_every_kind_of_waste_is_planted() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(60):
        for layer in planted(seed).layers:
            kinds.update(
                kind
                for kind in ("zero", "idle", "twins", "border", "denormal", "quantised", "transposed")
                if getattr(layer, kind)
            )
            kinds["latent"] += layer.latent > 1
            kinds["inside"] += layer.output is None
    assert all(kinds.values())
    assert len(kinds) == 9
