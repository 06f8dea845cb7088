"""The channel analysis: forward and backward over the whole graph."""

from __future__ import annotations

from collections.abc import Mapping

from convaudit.errors import ConvauditError, first_line
from convaudit.frontends.onnx.channels.facts import Facts, Mask
from convaudit.frontends.onnx.channels.stored import Stored
from convaudit.frontends.onnx.walker import Walked
from convaudit.linting.weights import WeightFacts, examine


def analyse(walked: Walked, ignored: Mapping[str, Mask] | None = None) -> Facts:
    """Look at every tensor of a model, with one pass over the weights.

    Args:
        walked: The model.
        ignored: Kernels that are to be taken for zero, by the layer's name: (groups, out/groups, in/groups).

    Raises:
        LoadError: Weights are missing.
    """
    stored = Stored(walked)
    weights: dict[str, WeightFacts] = {}
    notes = []
    for layer in walked.network.layers:
        try:
            weight, bias = stored.weight(layer), stored.bias(layer)
        except ConvauditError as error:
            notes.append(f"{layer.name}: {first_line(error)}")
            continue
        if weight is None:
            notes.append(f"{layer.name}: its weight is computed at run time, so nothing is known of it")
            continue
        weights[layer.name] = examine(layer, weight, bias, **stored.surroundings(layer))
    return Facts(weights=weights, notes=tuple(notes))
