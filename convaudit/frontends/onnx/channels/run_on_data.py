"""Which kernels are negligible on the inputs of one run of a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError
from convaudit.feeds import feeds_of
from convaudit.frontends import RunRequest
from convaudit.frontends.onnx.channels.captured import InputsOfRun
from convaudit.frontends.onnx.channels.facts import Facts, anywhere_along
from convaudit.frontends.onnx.channels.negligible import Negligible, is_plain_sum
from convaudit.frontends.onnx.channels.observed import RunOfLayer
from convaudit.frontends.onnx.channels.stored import Stored
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.verifier.operands import padding
from convaudit.frontends.onnx.verifier.runs import Memory
from convaudit.frontends.onnx.walker import Walked
from convaudit.linting.weights import grouped_weight
from convaudit.records import ConvLayer


def negligible_on(
    walked: Walked, facts: Facts, data: Mapping[str, Array] | None, settings: Settings, how: RunRequest
) -> Negligible:
    """Kernels that are negligible at every position of one run.

    Args:
        walked: The model.
        facts: What is known of its tensors.
        data: Values of its inputs by name; None: random ones.
        settings: How to run it.
        how: The seed and the memory for that.

    Raises:
        ExecutionError: The model does not run.
        UsageError: The data do not fit its inputs.
        LoadError: Weights are missing.
    """
    feeds, sizes = feeds_of(walked.network, data, how.seed or 0)
    memory = Memory(**({} if how.memory_bytes is None else {"bytes": how.memory_bytes}))
    run, stored = InputsOfRun(walked, settings, feeds, sizes, memory), Stored(walked)
    kernels, shares = {}, {}
    layers = [one for one in walked.network.layers if one.name in facts.weights and is_plain_sum(one)]
    try:
        for layer, node, x in run.of(layers):
            seen = _seen(walked, facts, stored, layer, node, x)
            found, share = (None, 0.0) if seen is None else seen.negligible()
            if found is not None and found.any():
                kernels[layer.name], shares[layer.name] = found, share
    except ExecutionError as error:
        raise ExecutionError(
            f"{walked.model.source}: the model does not run on these data: {error}"
        ) from None
    return Negligible(kernels=kernels, shares=shares)


def _seen(
    walked: Walked, facts: Facts, stored: Stored, layer: ConvLayer, node: NodeProto, x: Array
) -> RunOfLayer | None:
    weight = stored.weight(layer)
    bias = stored.bias(layer) if layer.name in facts.biased else None
    if weight is None or (bias is not None and bias.shape != (layer.out_channels,)):
        return None
    kernels = np.abs(grouped_weight(layer, weight).astype(np.float64))
    groups, filters = kernels.shape[:2]
    last = layer.layout == "channels_last"
    read = facts.read.get((walked.addresses[layer.name][:-1], node.output[0]))
    wanted = anywhere_along(read, -1 if last else 1, groups * filters)
    size = np.zeros(groups * filters) if bias is None else np.abs(bias.astype(np.float64))
    given = np.abs(x.astype(np.float64))
    return RunOfLayer(
        layer=layer,
        kernels=kernels,
        bias=size.reshape(groups, filters),
        x=np.moveaxis(given, -1, 1) if last else given,
        padding=padding(layer, node, x.shape),
        wanted=wanted.reshape(groups, filters),
    )
