"""What convolutions get in one run of their model, a few of them at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.graphs import Address, Graphs
from convaudit.frontends.onnx.graphs import graphs as every_graph
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.verifier.exposure import Exposure, prune
from convaudit.frontends.onnx.verifier.operands import dtype_of, known_padding, operands
from convaudit.frontends.onnx.verifier.runs import Memory, Runs, captured_bytes
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer


class InputsOfRun:
    """Runs a model on one input, and hands out what each convolution got."""

    def __init__(
        self,
        walked: Walked,
        settings: Settings,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int],
        memory: Memory,
    ) -> None:
        """Take what is needed.

        Args:
            walked: The model.
            settings: How to run it.
            feeds: Values of its inputs by name.
            sizes: Sizes of the symbolic dimensions.
            memory: Bounds the activations that are held at a time; the model is run as often as that takes.
        """
        self._walked = walked
        self._feeds = feeds
        self._sizes = sizes
        self._memory = memory
        self._runs = Runs(walked.model, settings, memory=memory, sizes=sizes)
        self._whole = with_dense_tensors(walked.model, walked.expanded.model)
        self._graphs = Graphs(self._whole)

    def of(self, layers: Sequence[ConvLayer]) -> Iterator[tuple[ConvLayer, NodeProto, Array]]:
        """Each layer that ran, its node and its input.

        Layers in the bodies of loops are left out: a run hands out one of their iterations only.

        Raises:
            ExecutionError: The model does not run.
        """
        waiting = [layer for layer in layers if self.runs_once(self._walked.addresses[layer.name])]
        while waiting:
            held, batch = 0, list[ConvLayer]()
            while waiting and (
                not batch or held + captured_bytes(waiting[0], self._sizes) <= self._memory.activations
            ):
                held += captured_bytes(waiting[0], self._sizes)
                batch.append(waiting.pop(0))
            yield from self._batch(batch)

    def runs_once(self, address: Address) -> bool:
        """Whether no loop is around a node."""
        around = [address[: end + 1] for end in range(0, len(address) - 1, 2)]
        return all(self._graphs.node(one).op_type == "If" for one in around)

    def _batch(self, layers: Sequence[ConvLayer]) -> Iterator[tuple[ConvLayer, NodeProto, Array]]:
        proto = ModelProto()
        proto.CopyFrom(self._whole)
        exposure = Exposure(proto)
        for _, graph in every_graph(proto.graph):
            for node in graph.node:
                node.ClearField("name")  # onnxruntime refuses two of one name
        for layer in self._walked.network.layers:
            node = exposure.node(self._walked.addresses[layer.name])
            make_runnable(node, known_padding(layer, node, self._sizes))
        places = [self._place(layer, exposure) for layer in layers]
        outputs = [output.name for output in proto.graph.output]
        values: Mapping[str, Array] = {}
        if outputs:
            prune(proto.graph)
            values = self._runs.run(proto, self._feeds, outputs, layers).values
        for layer, place in zip(layers, places, strict=True):
            x = values.get(place) if isinstance(place, str) else place
            if x is not None and x.ndim > 2:
                yield layer, self._graphs.node(self._walked.addresses[layer.name]), x

    def _place(self, layer: ConvLayer, exposure: Exposure) -> str | Array | None:
        """A layer's input, or the output of the model that it is made; None if nothing defines it."""
        address = self._walked.addresses[layer.name]
        name = operands(self._graphs.node(address))["x"]
        home = self._graphs.home(address[:-1], name)
        if home is None:
            return None
        stored = home.stored(name)
        if not home.address and name in self._feeds:
            return self._feeds[name]
        if stored is not None:
            return np.asarray(self._walked.model.array(stored))
        return exposure.expose(home.address, name, dtype_of(layer, "x")).name
