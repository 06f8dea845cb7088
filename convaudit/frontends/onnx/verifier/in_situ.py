"""In-situ verification: every convolution on the activations of a real run of the whole model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from convaudit.errors import ExecutionError
from convaudit.feeds import given_feeds, open_sizes, random_feeds, sizes_of
from convaudit.frontends.onnx.loader.external_data import reference
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.loader.tensors import model_tensors
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.verifier.exposure import Exposed, Exposure
from convaudit.frontends.onnx.verifier.graphs import Graphs, prune
from convaudit.frontends.onnx.verifier.log import Log
from convaudit.frontends.onnx.verifier.memory import (
    MEMORY_BYTES,
    activation_bytes,
    affordable,
    captured_bytes,
    workspace_bytes,
)
from convaudit.frontends.onnx.verifier.operands import (
    claimed,
    dtype_of,
    execution,
    known_padding,
    operands,
    unsupported,
)
from convaudit.frontends.onnx.verifier.session import Session
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.judge.verdict import judge
from convaudit.records import ConvLayer, Optimization, Verification, Verified

Array = NDArray[Any]


def verify_in_situ(
    walked: Walked,
    *,
    data: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    seed: int = 0,
    memory_bytes: int = MEMORY_BYTES,
    optimization: Optimization = "all",
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Run a model in onnxruntime and judge every convolution on what it got and gave there.

    Asking for a convolution's output keeps the runtime from fusing what follows into it.

    Args:
        walked: What the walker found.
        data: Arrays by input name, or an .npz file of them; without, random ones from ``seed``.
        seed: Of the random arrays.
        memory_bytes: Bounds what verifying holds beside what the runtime itself needs: the workspace of the
            judge, and twice, as the runtime may keep them in another layout, the activations of a batch of
            layers. The model is run once per batch. Of a layer that is a batch too large no other layout is
            made: "extended" takes the place of "all".
        optimization: Of the runtime's graph; "disabled" takes its place where the runtime refuses it.
        progress: Is told of each layer that is done.

    Returns:
        One verdict for each of the network's layers, in their order.

    Raises:
        UsageError: The data do not fit.
        ExecutionError: The runtime cannot run the model.
        LoadError: Weights are missing.
    """
    network = walked.network
    if data is None:
        sizes = open_sizes(network)
        feeds = random_feeds(network, sizes, seed)
    else:
        feeds = given_feeds(network.inputs, data)
        sizes = open_sizes(network) | sizes_of(network, feeds)
    log = Log(optimization, progress)
    run = _Run(walked, feeds, sizes, memory_bytes, optimization, log)
    batches = _batches(network.layers, sizes, activation_bytes(memory_bytes))
    verdicts = (verdict for batch in batches for verdict in run.verify(batch))
    shapes = {name: array.shape for name, array in feeds.items()}
    return log.verified(verdicts, seed if data is None else None, shapes, network.input_values)


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


@dataclass(frozen=True)
class _Capture:
    """What a run showed of some layers; of those that it cannot show, the verdict."""

    probes: list[_Probe | Verification]
    values: Mapping[str, Array]
    note: str  # how the run differed from what was asked for


class _Run:
    """Runs of one model on the same input, each for a batch of its layers."""

    def __init__(
        self,
        walked: Walked,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int],
        memory_bytes: int,
        optimization: Optimization,
        log: Log,
    ) -> None:
        model = self._model = walked.model
        self._network = walked.network
        self._feeds = feeds
        self._sizes = sizes
        self._expanded = with_dense_tensors(model, walked.expanded.model)
        self._addresses = walked.addresses
        self._optimization: Optimization = optimization
        self._memory_bytes = memory_bytes
        self._log = log
        # weights that do not fit into memory stay on the disk: no copies in a layout of the runtime's own
        self._copy_weights = _weight_bytes(model) <= memory_bytes

    def verify(self, layers: Sequence[ConvLayer]) -> Iterator[Verification]:
        """Verdicts on some layers, from one run."""
        try:
            capture = self._capture(layers, None)
        except ExecutionError as error:
            if all(len(self._addresses[layer.name]) == 1 for layer in layers):
                raise self._failure(error) from None
            # perhaps it was for what is handed out of the bodies
            try:
                capture = self._capture(layers, error)
            except ExecutionError as own:
                raise self._failure(own) from None
        for probe in capture.probes:
            verdict = probe if isinstance(probe, Verification) else self._judge(probe, capture.values)
            yield replace(verdict, reason=verdict.reason + capture.note)

    def _failure(self, error: ExecutionError) -> ExecutionError:
        return ExecutionError(
            f"{self._model.source}: the model does not run: {error}; give input that it accepts "
            "with --input or --data, or verify each layer alone with --verify-isolated"
        )

    def _capture(self, layers: Sequence[ConvLayer], refusal: ExecutionError | None) -> _Capture:
        proto = ModelProto()
        proto.CopyFrom(self._expanded)
        graphs, exposure = Graphs(self._expanded), Exposure(proto)
        for layer in self._network.layers:  # those of other batches run as well
            node = exposure.node(self._addresses[layer.name])
            make_runnable(node, known_padding(layer, node, self._sizes))
        probes = [self._probe(layer, graphs, exposure, refusal) for layer in layers]
        if refusal is not None and not proto.graph.output:
            proto.graph.output.extend(self._expanded.graph.output)  # does it run at all?
        outputs = [output.name for output in proto.graph.output]
        if not outputs:
            return _Capture(probes, {}, "")
        prune(proto.graph)
        session = Session(self._model, proto, self._level(layers), copy_weights=self._copy_weights)
        values = session.run(self._feeds, outputs)
        return _Capture(probes, values, self._log.difference(session))

    def _level(self, layers: Sequence[ConvLayer]) -> Optimization:
        """The optimisation that was asked for, as far as it costs no more memory than is allowed."""
        if not self._copy_weights:
            return "disabled"
        captured = sum(captured_bytes(layer, self._sizes) for layer in layers)
        return affordable(self._optimization, captured, self._memory_bytes)

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

    def _judge(self, probe: _Probe, outputs: Mapping[str, Array]) -> Verification:
        values = {role: np.asarray(self._model.array(tensor)) for role, tensor in probe.stored.items()}
        values |= {role: self._feeds[name] for role, name in probe.fed.items()}
        for role, exposed in probe.exposed.items():
            value = _last(outputs[exposed.name], exposed.scans)
            if value is None:
                where = f"the body {probe.layer.scope} " if probe.layer.scope else ""
                reason = f"{where}did not run on this input"
                return Verification(status="not_executed", reason=reason)
            values[role] = value
        evidence = execution(probe.layer, probe.node, values)
        return judge(
            evidence,
            accounted=claimed(probe.layer, values, self._sizes),
            workspace_bytes=workspace_bytes(self._memory_bytes),
        )


def _last(value: Array, scans: int) -> Array | None:
    """The value of the last iteration; None if there was none."""
    for _ in range(scans):
        if not len(value):
            return None
        value = value[-1]
    return None if value.shape == (0,) else value


def _weight_bytes(model: OnnxModel) -> int:
    references = (reference(tensor, model.source) for tensor in model_tensors(model.proto))
    return sum(where.length or 0 for where in references if where is not None)
