"""Isolated verification: each convolution as a model of its own, with real weights and random input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from onnx import ModelProto, NodeProto

from convaudit.errors import ExecutionError, UsageError
from convaudit.feeds import open_sizes, settled
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import (
    claimed,
    execution,
    known_padding,
    made_up,
    operands,
    unsupported,
)
from convaudit.frontends.onnx.verifier.runs import Memory, Runs
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.judge.verdict import judge
from convaudit.records import ConvLayer, Verification, Verified


def verify_isolated(
    walked: Walked,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Run every convolution of a model alone and judge it there.

    Weights are the real ones, with the nodes that make them from what is stored; all else is random, shaped
    as audited. The model as a whole need not run, and memory holds one layer's input and output, beside what
    the runtime and the judge work on.

    Args:
        walked: What the walker found.
        settings: How to run a layer; by default as ``Settings`` says.
        seed: Seed of the random values.
        progress: Is told of each layer that is done.

    Returns:
        One verdict for each of the network's layers, in their order.

    Raises:
        LoadError: Weights are missing.
    """
    network = walked.network
    sizes = open_sizes(network)
    runs = Runs(walked.model, settings or Settings(), memory=Memory(), sizes=sizes)
    return runs.verified(
        _verdicts(walked, runs, sizes, seed),
        network,
        seed=seed,
        input_shapes={tensor.name: settled(tensor.shape, sizes) for tensor in network.inputs},
        progress=progress,
    )


def _verdicts(walked: Walked, runs: Runs, sizes: Mapping[str, int], seed: int) -> Iterator[Verification]:
    model = walked.model
    whole = with_dense_tensors(model, walked.expanded.model)
    graphs = Graphs(whole)
    for index, layer in enumerate(walked.network.layers):
        verdict = unsupported(layer)
        if verdict is not None:
            yield verdict
            continue
        alone = _Alone(walked, whole, graphs, layer, sizes)
        try:
            yield alone.verify(model, runs, np.random.default_rng((seed, index)))
        except (ExecutionError, UsageError) as error:
            yield Verification(status="not_executed", reason=str(error))


class _Alone:
    """One convolution taken out of its model."""

    def __init__(
        self,
        walked: Walked,
        whole: ModelProto,
        graphs: Graphs,
        layer: ConvLayer,
        sizes: Mapping[str, int],
    ) -> None:
        address = walked.addresses[layer.name]
        self._layer = layer
        self._sizes = sizes
        self._node = NodeProto()
        self._node.CopyFrom(graphs.node(address))
        self._constants = Constants(walked.model, whole, graphs, address[:-1])

    def verify(self, model: OnnxModel, runs: Runs, generator: np.random.Generator) -> Verification:
        """Run it and judge it.

        Raises:
            ExecutionError: The runtime does not run it.
            UsageError: Its shapes or types are unknown.
        """
        make_runnable(self._node, known_padding(self._layer, self._node, self._sizes))
        self._node.name = self._layer.name  # by which the runtime tells where it put it
        names, constants = operands(self._node), self._constants
        feeds = {
            name: made_up(role, self._layer, self._node, self._sizes, generator)
            for role, name in names.items()
            if role == "x" or not constants.take(name)
        }
        calculated = [name for name in names.values() if name in constants.calculated]
        output = self._node.output[0]
        proto = constants.model([self._node], feeds, [*calculated, output])
        run = runs.run(proto, feeds, [*calculated, output], [self._layer])
        known = {**run.values, **feeds}
        values = {
            role: known[name] if name in known else np.asarray(model.array(constants.stored[name]))
            for role, name in {**names, "output": output}.items()
        }
        evidence = execution(self._layer, self._node, values)
        verdict = judge(evidence, accounted=claimed(self._layer, values, self._sizes))
        invented = [role.replace("_", " ") for role, name in names.items() if name in feeds and role != "x"]
        note = f" (computed at run time, so made up here: {', '.join(invented)})" if invented else ""
        return run.judged(self._layer, replace(verdict, reason=verdict.reason + note))
