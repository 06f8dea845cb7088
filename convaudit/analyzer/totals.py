"""Sums over a network: stored tensors once, MACs per call, of exclusive branches the costlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from convaudit.analyzer.costs import (
    bias_bytes,
    bias_elements,
    known_sum,
    stored_weight_elements,
    tensor_bytes,
    weight_elements,
)
from convaudit.formulas import Count, maximum
from convaudit.records import Branch, ConvLayer, LayerCost, Network, Totals

Counter = Callable[[ConvLayer], Count | None]
Part = tuple[tuple[Branch, ...], Count | None]
"""The exclusive arms a count sits in, the outermost first, and the count."""


def total(network: Network, layers: Sequence[LayerCost]) -> Totals:
    """Totals of a network whose layers are costed."""
    unseen = any(other.opaque for other in network.other_ops)

    def of_all(count: Count | None) -> Count | None:
        return None if unseen else count

    return Totals(
        layers=len(layers),
        params=of_all(_stored_once(layers, stored_weight_elements, bias_elements)),
        macs=of_all(sum_of_calls(layers, lambda layer: layer.macs)),
        dense_params=of_all(_stored_once(layers, _dense_weight_elements, bias_elements)),
        dense_macs=of_all(sum_of_calls(layers, lambda layer: layer.dense_macs)),
        weight_bytes=of_all(_stored_once(layers, _stored_weight_bytes, bias_bytes)),
        peak_activation_bytes=of_all(_largest([layer.activation_bytes for layer in layers])),
        macs_at_least=exclusive_sum((layer.branches, calls_macs(layer) or 0) for layer in layers) or 0,
        model_params=network.model_params,
        model_macs=exclusive_sum(
            [
                *((layer.branches, calls_macs(layer)) for layer in layers),
                *((other.branches, other.macs) for other in network.other_ops),
            ]
        ),
    )


def calls_macs(layer: LayerCost) -> Count | None:
    """MACs of all calls of a layer in one run; None if either number is unknown."""
    return None if layer.calls is None or layer.macs is None else layer.macs * layer.calls


def sum_of_calls(layers: Iterable[LayerCost], count: Callable[[LayerCost], Count | None]) -> Count | None:
    """Sum of a per-call count over one run of the network; None if a part is unknown."""
    return exclusive_sum((layer.branches, _times(count(layer), layer.calls)) for layer in layers)


def exclusive_sum(parts: Iterable[Part]) -> Count | None:
    """Sum in which of every choice only the costliest arm counts, to any depth; None if a part is unknown.

    >>> then, other = Branch(choice="If_0", arm="then_branch"), Branch(choice="If_0", arm="else_branch")
    >>> exclusive_sum([((), 1), ((then,), 20), ((then,), 30), ((other,), 40)])
    51
    """
    always: list[Count | None] = []
    choices: dict[str, dict[str, list[Part]]] = {}
    for branches, count in parts:
        if branches:
            arms = choices.setdefault(branches[0].choice, {})
            arms.setdefault(branches[0].arm, []).append((branches[1:], count))
        else:
            always.append(count)
    return known_sum(
        always + [_largest([exclusive_sum(arm) for arm in arms.values()]) for arms in choices.values()]
    )


def _stored_once(layers: Iterable[LayerCost], weight: Counter, bias: Counter) -> Count | None:
    """Sum over the stored tensors by name; a tensor computed at run time has none and does not count."""
    tensors: dict[str, Count | None] = {}
    for layer in layers:
        if layer.bias_name is not None:
            tensors.setdefault(layer.bias_name, bias(layer))
        if layer.weight_name is not None:
            tensors.setdefault(layer.weight_name, weight(layer))
    return known_sum(tensors.values())


def _dense_weight_elements(layer: ConvLayer) -> Count | None:
    weight, stored = weight_elements(layer), stored_weight_elements(layer)
    return None if weight is None or stored is None else stored + weight * (layer.groups - 1)


def _stored_weight_bytes(layer: ConvLayer) -> Count | None:
    return tensor_bytes(stored_weight_elements(layer), layer.weight_dtype)


def _largest(counts: Sequence[Count | None]) -> Count | None:
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    # not from 0 on: "max(0, formula)" would say nothing more
    return reduce(maximum, known) if known else 0


def _times(count: Count | None, calls: Count | None) -> Count | None:
    return None if count is None or calls is None else count * calls
