"""What could go from a graph: coupled channels that nobody needs, cropped kernels, groups that are found."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.frontends.onnx.channels.facts import Facts, ValueKey
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Claim

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrouped:
    """A dense layer that hides groups: in these orders of its channels its weight is block-diagonal."""

    groups: int
    outputs: Indices  # the output channel that stands at each place
    inputs: Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to go from a graph, and how each claim stands to it.

    Attributes:
        kept: Of each tensor that shrinks, stored ones too: the indices that stay, ascending, by axis.
        crops: By layer: of each spatial axis the first tap that stays, and the first one behind them.
        regrouped: By layer.
        claims: All claims, fixable where the plan holds what they ask for, else with the reason.
    """

    kept: Mapping[ValueKey, Mapping[int, Indices]] = field(default_factory=dict)
    crops: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    regrouped: Mapping[str, Regrouped] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()


Selected = Collection[tuple[str, str, Any]]
"""Rule, layer and channels of the findings that are to be fixed."""


def make_plan(walked: Walked, facts: Facts, selected: Selected | None = None) -> Plan:
    """Decide what could go.

    Args:
        walked: The model.
        facts: What is known of its tensors.
        selected: What alone is to go; None: all that can.
    """
    return Plan(claims=tuple(claim for weight in facts.weights.values() for claim in weight.claims))
