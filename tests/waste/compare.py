"""What is wrong with findings, and with a fixed network, by the truth about a generated one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np
from onnx import ModelProto

import convaudit
from convaudit.errors import UsageError
from convaudit.lints import Findings
from convaudit.records.findings import Finding
from tests.waste.network import Layer, Planted
from tests.waste.oracle import Oracle, Truth, session

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


def wrong_findings(net: Planted, findings: Findings, oracle: Oracle, truth: Truth) -> Iterator[str]:
    """What was missed, and what was found that is not so."""
    constant, unread = by_layer(findings, "CA101"), by_layer(findings, "CA102")
    for layer in net.layers:
        name = layer.name
        found = {"CA101": constant.get(name, set()), "CA102": unread.get(name, set())}
        truly = {"CA101": truth.constant.get(name, layer.zero | found["CA101"]), "CA102": truth.unread[name]}
        for rule, channels in found.items():
            if channels - truly[rule]:
                yield f"{rule} {name}: {sorted(channels - truly[rule])} are not so"
        missed = (truly["CA101"] | truly["CA102"] | layer.zero | layer.idle) - found["CA101"] - found["CA102"]
        if missed:
            kinds = [rule for rule in truly if missed & truly[rule]]
            yield f"{'/'.join(kinds)} {name}: {sorted(missed)} are missed"
    yield from _wrong_weights(net, findings, oracle)


def _wrong_weights(net: Planted, findings: Findings, oracle: Oracle) -> Iterator[str]:
    """The same, of what each layer's weight alone tells."""
    rules: dict[str, set[str]] = {}
    for finding in findings:
        rules.setdefault(finding.layer.split("/")[-1], set()).add(finding.rule)
    twins = by_layer(findings, "CA104")
    for layer in net.layers:
        name, found = layer.name, rules.get(layer.name, set())
        weight, bias = oracle.stored[layer.weight], oracle.stored.get(layer.bias or "")
        if layer.twins and not layer.twins & twins.get(name, set()):
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
    saved = convolution_params(net.model) - convolution_params(smaller)
    if saved != findings.totals.fixable_params:
        yield f"{saved} parameters of convolutions are gone, {findings.totals.fixable_params} were promised"
    for field in ("input", "output"):
        if getattr(net.model.graph, field) != getattr(smaller.graph, field):
            yield f"its {field}s are not as they were"
    yield from wrong_outputs(net, smaller)


def convolution_params(model: ModelProto) -> int:
    """As the audit counts them."""
    params = convaudit.audit(model).totals.params
    assert isinstance(params, int)
    return params


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
