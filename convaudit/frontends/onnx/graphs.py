"""The graphs of a model by their address: the main one, and the bodies of control flow."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

Address = tuple[str | int, ...]
"""The way from the main graph to a node, its index, or to a body, then the attribute: ``(3, "body", 0)``.

In a model's file, a step into a local function is called "function".
"""


_GRAPH = AttributeProto.GRAPH  # looked up for every attribute of every node


class GraphIndex:
    """One graph, with its names."""

    def __init__(self, graph: GraphProto, address: Address) -> None:
        self.graph = graph
        self.address = address
        self.producers: dict[str, NodeProto] = {
            name: node for node in graph.node for name in node.output if name
        }
        self.initializers: dict[str, TensorProto | SparseTensorProto] = {
            tensor.name: tensor for tensor in graph.initializer
        }
        self.initializers.update((tensor.values.name, tensor) for tensor in graph.sparse_initializer)
        self.inputs = {value.name for value in graph.input}

    def defines(self, name: str) -> bool:
        """Whether the name belongs to this graph, not to one around it."""
        return name in self.producers or name in self.initializers or name in self.inputs

    def stored(self, name: str) -> TensorProto | None:
        """The dense constant of that name, an initializer or a Constant; None if there is none."""
        held = self.initializers.get(name)
        if held is not None:
            return held if isinstance(held, TensorProto) else None
        producer = self.producers.get(name)
        if producer is not None and producer.op_type == "Constant" and not producer.domain:
            return next((item.t for item in producer.attribute if item.name == "value"), None)
        return None


class Graphs:
    """All graphs of a model without local functions, each indexed when it is asked for."""

    def __init__(self, model: ModelProto) -> None:
        self._main = model.graph
        self._index: dict[Address, GraphIndex] = {}

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


def graphs(graph: GraphProto, address: Address = ()) -> Iterator[tuple[Address, GraphProto]]:
    """A graph and all bodies inside it, each with its address."""
    yield address, graph
    for index, node in enumerate(graph.node):
        for attribute, inner in bodies(node):
            yield from graphs(inner, (*address, index, attribute))


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is then taken too."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    taken.add(free)
    return free


def bodies(node: NodeProto) -> list[tuple[str, GraphProto]]:
    """All graphs in the attributes of a node, by attribute name."""
    return [(item.name, item.g) for item in node.attribute if item.type == _GRAPH]


def body(node: NodeProto, attribute: str) -> GraphProto:
    """The graph in one attribute of a control-flow node."""
    return dict(bodies(node))[attribute]
