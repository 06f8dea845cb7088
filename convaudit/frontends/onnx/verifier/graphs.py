"""A model's graphs by their address: which of them defines a name, and what is stored under it."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from convaudit.frontends.onnx.functions import Address


class GraphIndex:
    """One graph, with its names."""

    def __init__(self, graph: GraphProto, address: Address) -> None:
        self.graph = graph
        self.address = address
        self.initializers: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        self.producers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
        self.inputs = {value.name for value in graph.input}

    def defines(self, name: str) -> bool:
        """Whether the name belongs to this graph, not to one around it."""
        return name in self.initializers or name in self.producers or name in self.inputs

    def stored(self, name: str) -> TensorProto | None:
        """The constant of that name; None if there is none, or it is calculated."""
        if name in self.initializers:
            return self.initializers[name]
        producer = self.producers.get(name)
        if producer is not None and producer.op_type == "Constant" and not producer.domain:
            return next((item.t for item in producer.attribute if item.name == "value"), None)
        return None


class Graphs:
    """All graphs of a model without local functions."""

    def __init__(self, model: ModelProto) -> None:
        self._index: dict[Address, GraphIndex] = {}
        self._main = model.graph

    def at(self, address: Address) -> GraphIndex:
        """The graph at an address: () the main graph, else a node's address and an attribute's name."""
        if address not in self._index:
            graph = self._main
            if address:
                *_, index, attribute = address
                graph = body(self.at(address[:-2]).graph.node[int(index)], str(attribute))
            self._index[address] = GraphIndex(graph, address)
        return self._index[address]

    def node(self, address: Address) -> NodeProto:
        """The node at an address."""
        node: NodeProto = self.at(address[:-1]).graph.node[int(address[-1])]
        return node

    def home(self, address: Address, name: str) -> GraphIndex | None:
        """The graph that defines a name which is visible in the graph at ``address``."""
        for outer in (address[:end] for end in range(len(address), -1, -2)):
            if self.at(outer).defines(name):
                return self.at(outer)
        return None


def body(node: NodeProto, attribute: str) -> GraphProto:
    """The graph in one attribute of a control-flow node."""
    return dict(bodies(node))[attribute]


def bodies(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """All graphs in the attributes of a node, by attribute name."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.name, attribute.g


def prune(graph: GraphProto) -> None:
    """Leave out, in place, the nodes, inputs and constants that no output of a main graph depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= _read(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for values in (graph.initializer, graph.input):
        wanted = [value for value in values if value.name in needed]
        del values[:]
        values.extend(wanted)


def _read(node: NodeProto) -> set[str]:
    """Names that a node reads, and those that its bodies do."""
    names = set(node.input)
    for _, graph in bodies(node):
        names |= {value.name for value in graph.output}
        for inner in graph.node:
            names |= _read(inner)
    return names
