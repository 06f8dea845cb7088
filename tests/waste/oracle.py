"""What is waste, found by trying: weights are replaced, and onnxruntime says whether an output changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, numpy_helper

from tests.waste.network import Layer, Planted

RUNS = 6
LARGE = 30.0


def session(model: ModelProto, *, optimise: bool = False) -> Any:
    """onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@dataclass(frozen=True)
class Truth:
    """Filters by their layer's name."""

    constant: dict[str, frozenset[int]]  # whose output is the same number everywhere, on all inputs
    unread: dict[str, frozenset[int]]  # on which no output depends


class Oracle:
    """One network, opened for trials."""

    def __init__(self, net: Planted) -> None:
        self.net = net
        self.stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in net.opened.graph.initializer}
        self._session = session(net.opened)
        self._feeds = [net.feeds(run) for run in range(RUNS)]
        self._honest = [self._session.run(None, feeds) for feeds in self._feeds]

    def changes(self, replaced: Mapping[str, Any]) -> bool:
        """Whether other weights change an output."""
        for feeds, honest in zip(self._feeds, self._honest, strict=True):
            outputs = self._session.run(None, {**feeds, **replaced})
            if not all(map(np.array_equal, outputs, honest)):
                return True
        return False

    def filters(self, layer: Layer) -> int:
        """How many it has."""
        shape = self.stored[layer.weight].shape
        return int(shape[1] * layer.groups if layer.transposed else shape[0])

    def perturbed(self, layer: Layer, channel: int, seed: int) -> dict[str, NDArray[Any]]:
        """Its stored tensors with one filter replaced, mostly by large random numbers."""
        values = np.random.default_rng(seed)
        weight = self.stored[layer.weight].copy()
        if layer.transposed:
            inputs, outputs = len(weight) // layer.groups, weight.shape[1]
            group, column = divmod(channel, outputs)
            place: Any = (slice(group * inputs, (group + 1) * inputs), column)
        else:
            place = channel
        if seed % 3 == 2 and weight.dtype == np.float32:  # small changes are not swallowed by saturation
            weight[place] = weight[place] * 1.25 + 0.1
        else:
            weight[place] = _large(values, weight[place].shape, weight.dtype)
        found = {layer.weight: weight}
        if layer.bias is not None:
            bias = self.stored[layer.bias].copy()
            bias[channel] = _large(values, (), bias.dtype) if seed % 2 else bias[channel]
            found[layer.bias] = bias
        return found

    def read(self, layer: Layer, channel: int) -> bool:
        """Whether some output depends on a filter."""
        return any(self.changes(self.perturbed(layer, channel, seed)) for seed in range(6))

    def tap_is_read(self, layer: Layer, tap: tuple[int, ...]) -> bool:
        """Whether some output depends on the weights of one tap."""
        values = np.random.default_rng(0)
        weight = self.stored[layer.weight].copy()
        weight[(..., *tap)] = _large(values, weight.shape[:2], weight.dtype)
        return self.changes({layer.weight: weight})

    def constant(self) -> dict[str, frozenset[int]]:
        """Filters whose outputs are the same everywhere; none of layers inside bodies."""
        watched = ModelProto()
        watched.CopyFrom(self.net.opened)
        layers = [layer for layer in self.net.layers if layer.output is not None]
        known = {value.name for value in watched.graph.output}
        watched.graph.output.extend(
            ValueInfoProto(name=layer.output) for layer in layers if layer.output not in known
        )
        runner = session(watched)
        runs = [runner.run([layer.output for layer in layers], feeds) for feeds in self._feeds]
        found = {}
        for place, layer in enumerate(layers):
            arrays = [np.moveaxis(run[place], 1, 0).astype(np.float64) for run in runs]
            flat = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
            spread = np.ptp(flat, axis=1)
            same = spread <= 1e-6 * (abs(flat).max(axis=1) + 1e-9)
            found[layer.name] = frozenset(map(int, np.flatnonzero(same)))
        return found

    def truth(self) -> Truth:
        """All of it."""
        unread = {
            layer.name: frozenset(c for c in range(self.filters(layer)) if not self.read(layer, c))
            for layer in self.net.layers
        }
        return Truth(self.constant(), unread)


def _large(values: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    if dtype == np.int8:
        return np.asarray(values.choice([-127, -90, 90, 127], shape), dtype)
    signs = values.choice([-1, 1], shape)
    scale = 20_000 if dtype == np.int32 else LARGE
    return np.asarray(signs * values.uniform(0.3, 1, shape) * scale, dtype)
