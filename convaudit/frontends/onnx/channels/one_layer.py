"""Claims of one layer's weight: which of them a plan can carry out, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.coupled import Coupled
from convaudit.frontends.onnx.channels.facts import Facts, ValueKey
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.linting.crops import Crop, cropped_padding
from convaudit.records import ConvLayer
from convaudit.records.findings import Claim

_CROPPED = ("CA201", "CA202")
_REASONS = {
    "CA104": "filters that are the same are not joined yet",
    "CA301": "zeros in their place would be other weights",
    "CA302": "what they should be is not known",
}
Selected = Collection[tuple[str, str, Any]]
"""Rule, layer and channels of the findings that are to be fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrouped:
    """A dense layer that hides groups: in these orders of its channels its weight is block-diagonal."""

    groups: int
    outputs: Indices  # the output channel that stands at each place
    inputs: Indices


def is_selected(claim: Claim, selected: Selected | None) -> bool:
    """Whether a claim is to be fixed, if it can be."""
    return selected is None or claim.key in selected


@dataclass
class OneLayer:
    """Changes of single layers.

    Attributes:
        crops: By layer.
        regrouped: By layer.
        claims: With their reasons.
    """

    crops: dict[str, Crop] = field(default_factory=dict)
    regrouped: dict[str, Regrouped] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)


def of_single_layers(
    coupled: Coupled,
    facts: Facts,
    shrinking: Mapping[ValueKey, object],
    looked_at: set[str],
    selected: Selected | None = None,
) -> OneLayer:
    """What each weight alone tells.

    Args:
        coupled: The graph.
        facts: With the claims.
        shrinking: Tensors that lose channels.
        looked_at: Layers whose constant filters the graph's claims hold already.
        selected: What alone is to go; None: all that can.
    """
    found = OneLayer()
    sites = {site.layer.name: site for site in coupled.sites if site.layer is not None}
    for name, weight in facts.weights.items():
        site = sites[name]
        operands = dict(zip(CONV_OPS[site.op].roles, site.inputs, strict=False))
        why_not = _why_not(coupled, operands.get("weight"))
        for claim in weight.claims:
            if claim.rule == "CA101" and name in looked_at:
                continue
            reason = why_not
            if claim.rule in _CROPPED:
                crop = _crop(found, site.layer, weight.crops.get(claim.rule))
                reason = reason or (crop if isinstance(crop, str) else None)
                if reason is None and is_selected(claim, selected) and not isinstance(crop, str):
                    found.crops[name] = crop
            elif claim.rule == "CA204" and (latent := weight.latent) is not None:
                reason = reason or _why_no_groups(site.layer, operands["weight"] in shrinking)
                if reason is None and is_selected(claim, selected):
                    found.regrouped[name] = Regrouped(
                        groups=latent.groups, outputs=latent.outputs, inputs=latent.inputs
                    )
            else:
                reason = claim.reason or _REASONS.get(claim.rule, "there is no fix")
            found.claims.append(replace(claim, fixable=reason is None, reason=reason))
    return found


def _why_not(coupled: Coupled, weight: ValueKey | None) -> str | None:
    """Why a kernel cannot be another one; None if it can."""
    if weight is None or not coupled.tensors.is_stored(weight):
        return "its weight is calculated from what is stored"
    if len(coupled.readers.get(weight, ())) > 1:
        return "other nodes read its weight too"
    return None


def _why_no_groups(layer: ConvLayer | None, shrinks: bool) -> str | None:
    """Why a layer's groups cannot be written; None if they can."""
    if layer is None or layer.deformable or layer.layout != "channels_first":
        return "its channels cannot be reordered"
    return "others of its channels go first" if shrinks else None


def _crop(found: OneLayer, layer: ConvLayer | None, crop: Crop | None) -> Crop | str:
    """What may stay of a kernel, with what earlier claims take; else why nothing can go."""
    if crop is None or layer is None:
        return "the taps that stay are no smaller kernel"
    earlier = found.crops.get(layer.name, crop)
    both = tuple((max(one[0], two[0]), min(one[1], two[1])) for one, two in zip(crop, earlier, strict=True))
    if cropped_padding(layer, both) is None:
        return "its padding is smaller than what would go of the kernel, or is not known"
    return both
