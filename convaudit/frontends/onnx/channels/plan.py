"""What could go from a graph: coupled channels that nobody needs, cropped kernels, groups that are found."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

import numpy as np

from convaudit.frontends.onnx.channels.attributed import Causes
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.coupled import coupled
from convaudit.frontends.onnx.channels.facts import Facts, ValueKey
from convaudit.frontends.onnx.channels.idle import layer_channels
from convaudit.frontends.onnx.channels.one_layer import Regrouped, Selected, is_selected, of_single_layers
from convaudit.frontends.onnx.channels.ties.reshaping import Shuffle
from convaudit.frontends.onnx.channels.worded import claim_of
from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to go from a graph, and how each claim stands to it.

    Attributes:
        kept: Of each tensor that shrinks, stored ones too: the indices that stay, ascending, by axis.
        crops: By layer: of each spatial axis the first tap that stays, and the first one behind them.
        regrouped: By layer.
        shuffles: Channel shuffles, by the address of the Reshape that ends each.
        dropped: Layers that go as a whole, since nothing leads from them to an output.
        claims: All claims, fixable where the plan holds what they ask for, else with the reason.
    """

    kept: Mapping[ValueKey, Mapping[int, Indices]] = field(default_factory=dict)
    crops: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    regrouped: Mapping[str, Regrouped] = field(default_factory=dict)
    shuffles: Mapping[Address, Shuffle] = field(default_factory=dict)
    dropped: Set[str] = frozenset()
    claims: tuple[Claim, ...] = ()


def make_plan(walked: Walked, facts: Facts, selected: Selected | None = None) -> Plan:
    """Decide what could go.

    Args:
        walked: The model.
        facts: What is known of its tensors.
        selected: What alone is to go; None: all that can.
    """
    graph = coupled(walked, facts)
    layers = list(layer_channels(graph, facts))
    causes = Causes(graph, layers).found()
    claims = [claim_of(cause, layers, graph, facts) for cause in causes]
    roots = {
        root
        for cause, claim in zip(causes, claims, strict=True)
        if claim.fixable and is_selected(claim, selected)
        for root in cause.roots
    }
    going = graph.classes.removable
    if selected is not None:
        going = going & np.isin(graph.classes.roots, np.fromiter(roots, np.intp, len(roots)))
    kept = graph.classes.kept(going)
    single = of_single_layers(graph, facts, kept, {one.layer.name for one in layers}, selected)
    return Plan(
        kept=kept,
        crops=single.crops,
        regrouped=single.regrouped,
        shuffles=graph.shuffles,
        dropped={
            one.layer.name
            for one in layers
            if one.outs.key in graph.dropped
            and any(
                claim.layer == one.layer.name and claim.fixable and is_selected(claim, selected)
                for claim in claims
            )
        },
        claims=tuple(_of_selected(claim, selected) for claim in (*claims, *single.claims)),
    )


def _of_selected(claim: Claim, selected: Selected | None) -> Claim:
    if not claim.fixable or is_selected(claim, selected):
        return claim
    return replace(claim, fixable=False, reason="it was not selected")
