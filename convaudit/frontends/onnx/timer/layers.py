"""One layer of a model, its copy and its groups=1 twin, each as a model of its own that can be timed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

import numpy as np
from onnx import ModelProto, NodeProto

from convaudit.analyzer import costs
from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError, UsageError
from convaudit.feeds import known_shape, random_array
from convaudit.formulas import Count, add, floor_divide, multiply
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.ops import op_of
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.timer.contenders import Contender
from convaudit.frontends.onnx.timer.surroundings import Neighbours
from convaudit.frontends.onnx.twin.regrouped import regrouped_node
from convaudit.frontends.onnx.twin.weights import DEQUANTIZE, DenseNode, dense_node
from convaudit.frontends.onnx.verifier.exposure import prune
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import execution, known_padding, made_up, operands
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.judge.verdict import judge
from convaudit.records import ConvLayer
from convaudit.units import human

_COPIES = 4  # of a weight: in the model's bytes, as it is loaded, and as a kernel wants it, while it is made


class LayerSource:
    """A model's graphs, as layers are taken out of them."""

    def __init__(self, walked: Walked) -> None:
        self.walked = walked
        self.whole = with_dense_tensors(walked.model, walked.expanded.model)
        self.graphs = Graphs(self.whole)
        self.neighbours = Neighbours(self.graphs)
        self._pools: dict[str, Array] = {}

    def shared(self, array: Array) -> Array:
        """Random numbers of the same shape and type, in memory that all layers share."""
        pool = self._pools.get(array.dtype.str)
        if pool is None or pool.size < array.size:
            pool = self._pools[array.dtype.str] = array.reshape(-1)
        return pool[: array.size].reshape(array.shape)


class LayerAlone:
    """One convolution taken out of its model, with the nodes that quantise and dequantise around it."""

    def __init__(
        self, model: LayerSource, layer: ConvLayer, sizes: Mapping[str, int], memory_bytes: int
    ) -> None:
        """Take it out.

        Args:
            model: What it is taken out of.
            layer: One of the network's.
            sizes: Of the symbolic dimensions.
            memory_bytes: What it may take, at any number of groups.

        Raises:
            UsageError: Its shapes or types are unknown, or it takes more.
            LoadError: The zero point of its input is missing.
        """
        address = model.walked.addresses[layer.name]
        self.layer = layer
        self._model = model.walked.model
        self._sizes, self._memory_bytes = sizes, memory_bytes
        self._needs = self._checked(self._activations(), "it")
        self._node = NodeProto()
        self._node.CopyFrom(model.graphs.node(address))
        make_runnable(self._node, known_padding(layer, self._node, sizes))
        self._node.name = layer.name
        self._constants = Constants(self._model, model.whole, model.graphs, address[:-1])
        self._around = model.neighbours.around(address[:-1], self._node, self._constants)
        generator = np.random.default_rng(0)
        self._feeds = {
            name: model.shared(made_up(role, layer, self._node, sizes, generator))
            for role, name in operands(self._node).items()
            if role == "x" or not self._constants.take(name)
        }
        for dequantize in self._around.before:
            x = self._feeds.pop(dequantize.output[0])
            dtype = self._quantized_dtype(dequantize)
            self._feeds[dequantize.input[0]] = model.shared(random_array(generator, x.shape, dtype))

    @property
    def shape(self) -> Hashable:
        """What layers of equal times have in common: op, attributes, shapes, element types, surroundings."""
        fed = {name: (array.shape, array.dtype.str) for name, array in self._feeds.items()}
        roles = tuple(
            (role, fed.get(name) or self._constant_form(role, name))
            for role, name in operands(self._node).items()
        )
        attributes = frozenset(item.SerializeToString() for item in self._node.attribute)
        around = [op_of(node) for node in (*self._around.before, *self._around.after)]
        shapes = (self.layer.weight_shape, self.layer.input_shape, self.layer.output_shape)
        return (shapes, roles, op_of(self._node), attributes, tuple(around), frozenset(fed.values()))

    def itself(self) -> Contender:
        """The layer as it is."""
        return Contender(lambda: self._bytes(None), self._feeds, self._needs)

    def twin(self) -> Contender:
        """The layer with groups=1, the weight laid out block-diagonally.

        Raises:
            UsageError: It needs more memory than it may take.
        """
        needs = self._checked_needs(1)
        return Contender(lambda: self._bytes(self._twin()), self._feeds, needs)

    def at_groups(self, groups: int) -> Contender:
        """The layer with other groups and random weights.

        Raises:
            UsageError: It needs more memory than it may take.
            ModelError: It has no such form.
        """
        needs = self._checked_needs(groups)
        node = regrouped_node(self.layer, self._node, self._constants, groups)
        return Contender(lambda: self._bytes(node), self._feeds, needs)

    def _checked_needs(self, groups: int) -> int:
        """Bytes of a session of it: its weight while it is loaded, and activations, perhaps reordered."""
        weight = floor_divide(multiply(costs.weight_elements(self.layer), self.layer.groups), groups)
        weights = costs.tensor_bytes(weight, self.layer.weight_dtype)
        who = f"with groups={groups} it" if groups != self.layer.groups else "it"
        return self._checked(add(multiply(weights, _COPIES), self._activations()), who)

    def _activations(self) -> Count | None:
        shaped = replace(
            self.layer,
            input_shape=known_shape(self.layer.input_shape, self._sizes),
            output_shape=known_shape(self.layer.output_shape, self._sizes),
        )
        return multiply(costs.activation_bytes(shaped), 2)

    def _checked(self, needs: Count | None, who: str) -> int:
        allowed = self._memory_bytes
        if not isinstance(needs, int):
            raise UsageError(f"the memory that {who} needs is unknown; give the model's inputs with --input")
        if needs > allowed:
            need, limit = human(needs, "B"), human(allowed, "B")
            raise UsageError(f"{who} needs {need}, more than the {limit} of --memory")
        return needs

    def verify_twin(self, settings: Settings) -> None:
        """Make sure that the twin computes the layer's function, on random input.

        Raises:
            ExecutionError: It does not, or does not run.
        """
        output, names = self._node.output[0], operands(self._node)
        proto = self._proto(self._twin(), [output, *(node.output[0] for node in self._around.before)])
        session = settings.runtime.load(with_mapped_weights(self._model, proto), settings)
        found = session.run(self._feeds, [value.name for value in proto.graph.output])
        values: dict[str, Array] = {"output": found[output]}
        for role, name in names.items():
            value = {**self._feeds, **found}.get(name)
            value = self._constants.value(name) if value is None else value
            if value is None:
                raise ExecutionError(f"the value of its {role} is not known")
            values[role] = value
        verdict = judge(execution(self.layer, self._node, values))
        if not verdict.verified:
            raise ExecutionError(f"it is not proven to compute the same: {verdict.words}: {verdict.reason}")

    def _twin(self) -> DenseNode:
        return dense_node(self.layer, self._node, self._constants)

    def _constant_form(self, role: str, name: str) -> Hashable:
        """What of a constant operand a runtime's choice of a kernel may depend on, beside the shapes."""
        producer = self._constants.producer(name)
        if producer is not None and op_of(producer) in DEQUANTIZE:
            return (op_of(producer), tuple(item.SerializeToString() for item in producer.attribute))
        if role in ("weight", "bias"):  # calculated once, or stored
            return self.layer.weight_dtype if role == "weight" else self.layer.bias_dtype
        tensor = self._constants.stored.get(name)
        return "calculated" if tensor is None else (tuple(tensor.dims), tensor.data_type)

    def _quantized_dtype(self, dequantize: NodeProto) -> str:
        """Element type of what is dequantised: that of its zero point, by default uint8."""
        name = dequantize.input[2] if len(dequantize.input) > 2 else ""
        zero_point = self._constants.value(name) if name else None
        return "uint8" if zero_point is None else zero_point.dtype.name

    def _bytes(self, other: DenseNode | None) -> bytes:
        """The model of the layer, or of another form of it, with what is computed in one with it."""
        last = (self._node, *self._around.after)[-1]
        return with_mapped_weights(self._model, self._proto(other, [last.output[0]]))

    def _proto(self, other: DenseNode | None, outputs: list[str]) -> ModelProto:
        nodes = [self._node] if other is None else [*other.makers, other.node]
        nodes = [*self._around.before, *nodes, *self._around.after]
        proto = self._constants.model(nodes, self._feeds, outputs)
        for node in proto.graph.node:
            if node.name != self.layer.name:
                node.ClearField("name")
        if other is not None:
            proto.graph.initializer.extend(other.tensors)
        prune(proto.graph)  # of what only other forms of the layer need
        return proto
