"""One convolution taken out of its model, with what makes its constant operands from what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.graphs import Address, Graphs, bodies
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.runtime import Settings

_IR_OF_UNDECLARED_INITIALIZERS = 4  # before, initializers had to be declared as inputs
_LONGEST_CHAIN = 64  # of nodes between a stored tensor and an operand


class Constants:
    """The tensors that one graph sees and that depend on no input, as far as they were asked for.

    Attributes:
        stored: Those that the model stores, by the name that they are asked for.
        makers: Nodes that make others from them, in an order in which they can run.
        calculated: What these nodes give.
    """

    def __init__(self, model: OnnxModel, whole: ModelProto, graphs: Graphs, scope: Address) -> None:
        """See what the graph at ``scope`` sees.

        Args:
            model: The way to the stored elements.
            whole: The model's graphs, without local functions and sparse tensors.
            graphs: The same, indexed.
            scope: Address of a graph.
        """
        self._model = model
        self._whole = whole
        self._graphs = graphs
        self._scope = scope
        self.stored: dict[str, TensorProto] = {}
        self.makers: list[NodeProto] = []
        self.calculated: set[str] = set()

    def take(self, name: str) -> bool:
        """Take over what makes a tensor; whether it is constant."""
        return self._take(name, _LONGEST_CHAIN)

    def producer(self, name: str) -> NodeProto | None:
        """The node that gives a tensor; None of one that is stored, or an input."""
        home = self._graphs.home(self._scope, name)
        return home.producers.get(name) if home and home.stored(name) is None else None

    def value(self, name: str) -> Array | None:
        """A tensor's elements; None if it is not constant.

        Raises:
            LoadError: They are missing.
            ExecutionError: They cannot be calculated from what is stored.
        """
        chain = Constants(self._model, self._whole, self._graphs, self._scope)
        if not chain.take(name):
            return None
        if name in chain.stored:
            return np.asarray(self._model.array(chain.stored[name]))
        proto = chain.model([], {}, [name])
        session = Settings().runtime.load(with_mapped_weights(self._model, proto), Settings())
        return session.run({}, [name])[name]

    def model(
        self, nodes: Sequence[NodeProto], feeds: Mapping[str, Array], outputs: Sequence[str]
    ) -> ModelProto:
        """A model of nodes behind those that make their constants.

        Args:
            nodes: In an order in which they can run.
            feeds: Values of its inputs by name.
            outputs: Names of the values that it hands out.
        """
        graph = helper.make_graph([*self.makers, *nodes], "alone", [], [])
        for maker in graph.node[: len(self.makers)]:
            maker.ClearField("name")  # it may be the layer's: onnxruntime refuses two nodes of one name
        for name, tensor in self.stored.items():
            graph.initializer.append(tensor)
            graph.initializer[-1].name = name  # a Constant node's tensor may have another
        for name, array in feeds.items():
            element_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(name, element_type, array.shape))
        graph.output.extend(ValueInfoProto(name=name) for name in outputs)
        ir_version = max(self._whole.ir_version, _IR_OF_UNDECLARED_INITIALIZERS)
        return helper.make_model(graph, opset_imports=self._whole.opset_import, ir_version=ir_version)

    def _take(self, name: str, longest: int) -> bool:
        if name in self.stored or name in self.calculated:
            return True
        home = self._graphs.home(self._scope, name)
        tensor = home.stored(name) if home else None
        if tensor is not None:
            self.stored[name] = tensor
            return True
        producer = home.producers.get(name) if home else None
        if producer is None or not longest or any(bodies(producer)):
            return False
        if not all(self._take(source, longest - 1) for source in producer.input if source):
            return False
        self.calculated.update(producer.output)
        self.makers.append(producer)
        return True
