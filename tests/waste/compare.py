"""What is wrong with findings, and with a fixed network, by the truth about a generated one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto

import convaudit
from convaudit.errors import UsageError
from convaudit.frontends import LintRequest, Request, open_model
from convaudit.lints import Findings
from convaudit.records.findings import Finding
from tests.waste.network import Layer, Planted
from tests.waste.oracle import Oracle, Truth, session

CHANNELS = ("CA101", "CA102", "CA105")
NONE: frozenset[int] = frozenset()
EXACT = 1e-5
"""Relative distance of float32 outputs that rounding explains: sums of few products in few layers."""
QUANTISED = 0.1
"""The same, where a rounding can turn into a step of a quantised tensor."""


def by_layer(findings: Iterable[Finding], *rules: str) -> dict[str, set[int]]:
    """Channels that exact findings of some rules name, by their layer's name in its own graph."""
    found: dict[str, set[int]] = {}
    for finding in findings:
        if finding.rule in rules and finding.certainty == "exact":
            found.setdefault(finding.layer.split("/")[-1], set()).update(finding.channels or ())
    return found


def claimed_filters(model: ModelProto) -> dict[str, set[int]]:
    """Whole filters that exact claims of single channels would take, coupled ones too."""
    found: dict[str, set[int]] = {}
    how = LintRequest()
    for claim in open_model(model, Request(lint=how)).lint(how).claims:
        for region in claim.regions if claim.rule in CHANNELS and claim.certainty == "exact" else ():
            if region.outputs is not None and region.inputs is None and region.taps is None:
                found.setdefault(region.layer.split("/")[-1], set()).update(region.outputs)
    return found


def wrong_findings(net: Planted, findings: Findings, oracle: Oracle, truth: Truth) -> Iterator[str]:
    """What was planted and missed, and what was found that is not so."""
    constant, unread = by_layer(findings, "CA101"), by_layer(findings, "CA102")
    claimed = claimed_filters(net.model)
    for layer in net.layers:
        name = layer.name
        found = {"CA101": constant.get(name, set()), "CA102": unread.get(name, set())}
        truly = {"CA101": truth.constant.get(name, layer.zero | found["CA101"]), "CA102": truth.unread[name]}
        for rule, channels in found.items():
            if channels - truly[rule]:
                yield f"{rule} {name}: {sorted(channels - truly[rule])} are not so"
        taken = claimed.get(name, set())
        if taken - truly["CA101"] - truly["CA102"]:
            yield f"{name}: {sorted(taken - truly['CA101'] - truly['CA102'])} are to go, and are not idle"
        missed = (layer.zero | layer.idle) - found["CA101"] - found["CA102"] - taken
        if missed and "looped" not in net.blocks:  # what comes round again is read
            yield f"{name}: {sorted(missed)} are missed"
    yield from _wrong_weights(net, findings, oracle)


def missed_by_chance(net: Planted, findings: Findings, truth: Truth) -> int:
    """Filters that trying shows to be idle and no claim names.

    Some have to be: what is denormal does not show, a spatial pattern may have a constant mean, and a ReLU
    may be closed on all inputs that were tried.
    """
    named, claimed = by_layer(findings, "CA101", "CA102"), claimed_filters(net.model)
    return sum(
        len(
            (truth.constant.get(layer.name, NONE) | truth.unread[layer.name])
            - named.get(layer.name, set())
            - claimed.get(layer.name, set())
        )
        for layer in net.layers
    )


def _wrong_weights(net: Planted, findings: Findings, oracle: Oracle) -> Iterator[str]:
    """The same, of what each layer's weight alone tells."""
    rules: dict[str, set[str]] = {}
    for finding in findings:
        rules.setdefault(finding.layer.split("/")[-1], set()).add(finding.rule)
    twins = by_layer(findings, "CA104")
    for layer in net.layers:
        name, found = layer.name, rules.get(layer.name, set())
        weight, bias = oracle.stored[layer.weight], oracle.stored.get(layer.bias or "")
        idle = by_layer(findings, "CA101", "CA102").get(name, set())
        if not layer.twins & (twins.get(name, set()) | idle) and layer.twins:
            yield f"CA104 {name}: {sorted(layer.twins)} are missed"
        if not twins.get(name, set()) <= _alike(layer, weight, bias):
            yield f"CA104 {name}: {sorted(twins[name])} are not the same"
        truly = {
            "CA201": layer.border,
            "CA204": layer.latent > 1,
            "CA301": bool(layer.denormal),
            "CA302": False,
        }
        open_question = {"CA204"} if not weight.all() and layer.latent == 1 else set()
        for rule in truly.keys() - open_question:
            if rule == "CA201" and "CA202" in found:
                continue  # which says it of the same taps
            if truly[rule] != (rule in found):
                yield f"{rule} {name}: {'missed' if truly[rule] else 'not so'}"


def _alike(layer: Layer, weight: Any, bias: Any) -> set[int]:
    """Filters that another one is the same as."""
    if layer.transposed:
        parts = weight.reshape(layer.groups, -1, *weight.shape[1:])
        weight = np.swapaxes(parts, 1, 2).reshape(-1, parts.shape[1], *weight.shape[2:])
    group = len(weight) // layer.groups
    keys = [
        (index // group, row.tobytes(), None if bias is None else float(bias[index]))
        for index, row in enumerate(weight)
    ]
    return {index for index, key in enumerate(keys) if keys.count(key) > 1}


def wrong_fix(net: Planted, findings: Findings) -> Iterator[str]:
    """What is wrong with the smaller network."""
    fixable = [finding for finding in findings if finding.fixable and finding.certainty == "exact"]
    try:
        smaller = convaudit.fix(net.model)
    except UsageError as error:
        if fixable:
            yield f"not fixed: {error}"
        return
    if not fixable:
        yield "fixed, though nothing is fixable"
    again = [
        finding for finding in convaudit.lint(smaller) if finding.fixable and finding.certainty == "exact"
    ]
    for finding in again:
        yield f"found again: {finding.rule} {finding.layer}: {finding.message}"
    saved = convolution_params(net.model) - convolution_params(smaller) + _new_biases(net, smaller)
    counts = [finding.removable_params for finding in fixable]
    promised = sum(count for count in counts if isinstance(count, int))
    if None in counts or saved < promised:  # what goes first may set more free
        yield f"{saved} parameters of convolutions are gone, {promised} were promised"
    for field in ("input", "output"):
        if getattr(net.model.graph, field) != getattr(smaller.graph, field):
            yield f"its {field}s are not as they were"
    yield from wrong_outputs(net, smaller)


def convolution_params(model: ModelProto) -> int:
    """As the audit counts them."""
    params = convaudit.audit(model).totals.params
    assert isinstance(params, int)
    return params


def _new_biases(net: Planted, smaller: ModelProto) -> int:
    """Elements of biases that constants were folded into, of layers that had none."""
    before = {node.name for node in nodes(net.model.graph) if len(node.input) > 2 and node.input[2]}
    after = {node.name for node in nodes(smaller.graph) if len(node.input) > 2 and node.input[2]}
    return sum(
        layer.out_channels
        for layer in convaudit.audit(smaller).layers
        if isinstance(layer.out_channels, int) and layer.name.split("/")[-1] in after - before
    )


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Those of its bodies too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def wrong_outputs(net: Planted, smaller: ModelProto) -> Iterator[str]:
    """Outputs that rounding does not explain."""
    limit = QUANTISED if any(layer.quantised for layer in net.layers) else EXACT
    for optimise in (False, True):
        original, fixed = session(net.model, optimise=optimise), session(smaller, optimise=optimise)
        for run in range(3):
            feeds = net.feeds(100 + run)
            for place, (y, z) in enumerate(
                zip(original.run(None, feeds), fixed.run(None, feeds), strict=True)
            ):
                if y.shape != z.shape or y.dtype != z.dtype:
                    yield f"output {place} is {z.dtype}{list(z.shape)}, was {y.dtype}{list(y.shape)}"
                    return
                distance = np.linalg.norm(y.astype(np.float64) - z) / (
                    np.linalg.norm(y) + prod(y.shape) * 1e-30
                )
                if not distance <= limit:
                    yield f"output {place} is {distance:.2g} away, optimised: {optimise}"
                    return
