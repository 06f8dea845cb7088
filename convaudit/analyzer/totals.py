"""Sums over a network: stored tensors once, MACs per call, of exclusive branches the costlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from convaudit.analyzer.costs import stored_sizes, weight_elements
from convaudit.formulas import Count, add, largest, multiply
from convaudit.records import Branch, LayerCost, Network, Totals

ArmCount = tuple[tuple[Branch, ...], Count | None]
"""The exclusive arms a count sits in, the outermost first, and the count."""


def network_totals(network: Network, layers: Sequence[LayerCost]) -> Totals:
    """Totals of a network whose layers are costed."""
    params, weight_bytes = _stored_once(layers)
    unseen = any(other.opaque for other in network.other_ops)

    def of_all(count: Count | None) -> Count | None:
        return None if unseen else count

    return Totals(
        layers=len(layers),
        params=of_all(params),
        macs=of_all(sum_of_calls(layers, lambda layer: layer.macs)),
        dense_params=of_all(add(params, _saved_by_groups(layers))),
        dense_macs=of_all(sum_of_calls(layers, lambda layer: layer.dense_macs)),
        weight_bytes=of_all(weight_bytes),
        peak_activation_bytes=of_all(largest(layer.activation_bytes for layer in layers)),
        trainable_params=network.trainable.layers if network.trainable else None,
        model_trainable_params=network.trainable.model if network.trainable else None,
        live_activation_bytes=network.live_activations.bytes,
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
    return multiply(layer.macs, layer.calls)


def sum_of_calls(layers: Iterable[LayerCost], count: Callable[[LayerCost], Count | None]) -> Count | None:
    """Sum of a per-call count over one run of the network; None if a part is unknown."""
    return exclusive_sum((layer.branches, multiply(count(layer), layer.calls)) for layer in layers)


def exclusive_sum(parts: Iterable[ArmCount]) -> Count | None:
    """Sum in which of every choice only the costliest arm counts, to any depth; None if a part is unknown.

    >>> then, other = Branch(choice="If_0", arm="then_branch"), Branch(choice="If_0", arm="else_branch")
    >>> exclusive_sum([((), 1), ((then,), 20), ((then,), 30), ((other,), 40)])
    51
    """
    always: list[Count | None] = []
    choices: dict[str, dict[str, list[ArmCount]]] = {}
    for branches, count in parts:
        if branches:
            arms = choices.setdefault(branches[0].choice, {})
            arms.setdefault(branches[0].arm, []).append((branches[1:], count))
        else:
            always.append(count)
    return add(*always, *(largest(map(exclusive_sum, arms.values())) for arms in choices.values()))


def _stored_once(layers: Iterable[LayerCost]) -> tuple[Count | None, Count | None]:
    """Elements and bytes of the stored tensors, each counted once; one computed at run time has no name."""
    tensors = {name: sizes for layer in layers for name, *sizes in stored_sizes(layer)}
    return add(*(elements for elements, _ in tensors.values())), add(*(size for _, size in tensors.values()))


def _saved_by_groups(layers: Iterable[LayerCost]) -> Count | None:
    """Parameters that the weights would have more with groups=1, of each stored weight once."""
    saved: dict[str, list[Count | None]] = {}
    for layer in layers:
        if layer.weight_name is not None:
            more = multiply(weight_elements(layer), layer.groups - 1)
            saved.setdefault(layer.weight_name, []).append(more)
    return add(*map(largest, saved.values()))
