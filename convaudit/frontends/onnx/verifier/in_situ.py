"""In-situ verification: every convolution on the activations of a real run of the whole model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError
from convaudit.feeds import feeds_of
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.graphs import graphs as every_graph
from convaudit.frontends.onnx.loader.external_data import reference
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.loader.tensors import model_tensors
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.verifier.exposure import Exposed, Exposure, prune
from convaudit.frontends.onnx.verifier.operands import (
    claimed,
    dtype_of,
    execution,
    known_padding,
    operands,
    unsupported,
)
from convaudit.frontends.onnx.verifier.runs import Memory, Run, Runs, captured_bytes
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.judge.verdict import judge
from convaudit.records import ConvLayer, Verification, Verified


def verify_in_situ(
    walked: Walked,
    *,
    settings: Settings | None = None,
    data: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    seed: int = 0,
    memory_bytes: int = Memory().bytes,
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Run a model and judge every convolution on what it got and gave there.

    Asking for a convolution's output keeps the runtime from fusing what follows into it.

    Args:
        walked: What the walker found.
        settings: How to run it; by default as ``Settings`` says. Where the runtime refuses an optimised
            graph, one that is not optimised takes its place.
        data: Arrays by input name, or an .npz file of them; None: random ones.
        seed: Seed of the random ones.
        memory_bytes: Bounds what verifying holds beside what the runtime itself needs: the workspace of the
            judge, and twice, as the runtime may keep them in another layout, the activations of a batch of
            layers. The model is run once per batch. Where one layer alone is too large, the runtime makes no
            layout of its own.
        progress: Is told of each layer that is done.

    Returns:
        One verdict for each of the network's layers, in their order.

    Raises:
        UsageError: ``data`` do not fit the inputs.
        ExecutionError: The runtime cannot run the model.
        LoadError: Weights are missing.
    """
    network = walked.network
    feeds, sizes = feeds_of(network, data, seed)
    memory = Memory(memory_bytes)
    runs = Runs(
        walked.model,
        settings or Settings(),
        memory=memory,
        sizes=sizes,
        copy_weights=_weight_bytes(walked.model) <= memory_bytes,
    )
    verifier = _Verifier(walked, runs, feeds, sizes, memory)
    batches = _batches(network.layers, sizes, memory.activations)
    return runs.verified(
        (verdict for batch in batches for verdict in verifier.verify(batch)),
        network,
        seed=seed if data is None else None,
        input_shapes={name: array.shape for name, array in feeds.items()},
        progress=progress,
    )


def _weight_bytes(model: OnnxModel) -> int:
    references = (reference(tensor, model.source) for tensor in model_tensors(model.proto))
    return sum(where.length or 0 for where in references if where is not None)


def _batches(layers: Sequence[ConvLayer], sizes: Mapping[str, int], limit: int) -> Iterator[list[ConvLayer]]:
    """Consecutive layers whose inputs and outputs together are within the limit."""
    batch: list[ConvLayer] = []
    held = 0
    for layer in layers:
        needed = captured_bytes(layer, sizes)
        if batch and held + needed > limit:
            yield batch
            batch, held = [], 0
        batch.append(layer)
        held += needed
    if batch:
        yield batch


@dataclass(frozen=True)
class _Probe:
    """Where one layer's values are: in stored tensors, in the model's inputs, or in outputs of the run."""

    layer: ConvLayer
    node: NodeProto
    stored: dict[str, TensorProto] = field(default_factory=dict)  # by role, as are the others
    fed: dict[str, str] = field(default_factory=dict)
    exposed: dict[str, Exposed] = field(default_factory=dict)


class _Verifier:
    """Verifies one model's layers on one input, a batch of them in each run."""

    def __init__(
        self,
        walked: Walked,
        runs: Runs,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int],
        memory: Memory,
    ) -> None:
        model = self._model = walked.model
        self._network = walked.network
        self._runs = runs
        self._feeds = feeds
        self._sizes = sizes
        self._memory = memory
        self._expanded = with_dense_tensors(model, walked.expanded.model)
        self._addresses = walked.addresses

    def verify(self, layers: Sequence[ConvLayer]) -> Iterator[Verification]:
        """Verdicts on some layers, from one run."""
        try:
            probes, run = self._capture(layers, None)
        except ExecutionError as error:
            if all(len(self._addresses[layer.name]) == 1 for layer in layers):
                raise self._failure(error) from None
            # perhaps it was for what is handed out of the bodies
            try:
                probes, run = self._capture(layers, error)
            except ExecutionError as own:
                raise self._failure(own) from None
        for probe in probes:
            yield probe if isinstance(probe, Verification) else self._judge(probe, run)

    def _failure(self, error: ExecutionError) -> ExecutionError:
        return ExecutionError(
            f"{self._model.source}: the model does not run: {error}; give input that it accepts "
            "with --input or --data, or verify each layer alone with --verify-isolated"
        )

    def _capture(
        self, layers: Sequence[ConvLayer], refusal: ExecutionError | None
    ) -> tuple[list[_Probe | Verification], Run]:
        """Where each layer's values are, or the verdict on one that cannot be observed, and the run."""
        proto = ModelProto()
        proto.CopyFrom(self._expanded)
        _clear_taken_names(proto, {layer.name for layer in self._network.layers})
        graphs, exposure = Graphs(self._expanded), Exposure(proto)
        for layer in self._network.layers:  # those of other batches run as well
            node = exposure.node(self._addresses[layer.name])
            make_runnable(node, known_padding(layer, node, self._sizes))
            node.name = layer.name  # by which the runtime tells where it put it
        probes = [self._probe(layer, graphs, exposure, refusal) for layer in layers]
        if refusal is not None and not proto.graph.output:
            proto.graph.output.extend(self._expanded.graph.output)  # does it run at all?
        outputs = [output.name for output in proto.graph.output]
        if not outputs:
            return probes, Run({})
        prune(proto.graph)
        return probes, self._runs.run(proto, self._feeds, outputs, layers)

    def _probe(
        self, layer: ConvLayer, graphs: Graphs, exposure: Exposure, refusal: ExecutionError | None
    ) -> _Probe | Verification:
        address = self._addresses[layer.name]
        verdict = unsupported(layer)
        if verdict is not None:
            return verdict
        if refusal is not None and len(address) > 1:
            return Verification(status="not_executed", reason=f"it cannot be observed in its body: {refusal}")
        node = exposure.node(address)
        probe = _Probe(layer, node)
        try:
            for role, name in {**operands(node), "output": node.output[0]}.items():
                home = graphs.home(address[:-1], name)
                if home is None:
                    return Verification(status="not_executed", reason=f"nothing defines its input {name!r}")
                tensor = home.stored(name)
                if tensor is not None:
                    probe.stored[role] = tensor
                elif not home.address and name in self._feeds:
                    probe.fed[role] = name
                else:
                    probe.exposed[role] = exposure.expose(home.address, name, dtype_of(layer, role))
        except ExecutionError as error:
            return Verification(status="not_executed", reason=f"it cannot be observed in its body: {error}")
        return probe

    def _judge(self, probe: _Probe, run: Run) -> Verification:
        layer = probe.layer
        values = {role: np.asarray(self._model.array(tensor)) for role, tensor in probe.stored.items()}
        values |= {role: self._feeds[name] for role, name in probe.fed.items()}
        for role, exposed in probe.exposed.items():
            value = _last(run.values[exposed.name], exposed.scans)
            if value is None:
                where = f"the body {layer.scope} " if layer.scope else ""
                reason = f"{where}did not run on this input"
                return Verification(status="not_executed", reason=reason)
            values[role] = value
        verdict = judge(
            execution(layer, probe.node, values),
            accounted=claimed(layer, values, self._sizes),
            workspace_bytes=self._memory.workspace,
        )
        return run.judged(layer, verdict)


def _last(value: Array, scans: int) -> Array | None:
    """The value of the last iteration; None if there was none."""
    for _ in range(scans):
        if not len(value):
            return None
        value = value[-1]
    return None if value.shape == (0,) else value


def _clear_taken_names(model: ModelProto, taken: set[str]) -> None:
    """Leave no two nodes of one name, which onnxruntime refuses, and none with a name in ``taken``."""
    seen = set(taken)
    for _, graph in every_graph(model.graph):
        for node in graph.node:
            if node.name in seen:
                node.ClearField("name")
            elif node.name:
                seen.add(node.name)
