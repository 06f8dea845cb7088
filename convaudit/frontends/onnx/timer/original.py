"""A model as it is handed to a runtime, asked about what the runtime makes of it."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Set

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from convaudit.frontends.onnx.graphs import Address, Graphs, bodies, free_name, graphs
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.verifier.exposure import RANDOM
from convaudit.frontends.onnx.verifier.operands import known_padding
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer

_RENAMED = re.compile(r"^_if_(?:then|else)_branch_|^InsertedPrecisionFreeCast_|_token_\d+$")
"""What onnxruntime adds to names: of what it takes out of a branch, or of float16 it computes in float32."""

_SMALL_BYTES = 1024  # of stored tensors that are compared


class Original:
    """A model in which each node and each tensor has a name of its own, a convolution's node its layer's."""

    def __init__(self, walked: Walked, sizes: Mapping[str, int]) -> None:
        """Name the nodes and tensors of a copy.

        Args:
            walked: What the walker found.
            sizes: Sizes of the symbolic dimensions.
        """
        self.layers = walked.network.layers
        self.positions = {layer.name: position for position, layer in enumerate(self.layers)}
        self.model = ModelProto()
        self.model.CopyFrom(with_dense_tensors(walked.model, walked.expanded.model))
        self.given_names = _name_nodes(self.model, self.layers, walked.addresses, sizes)
        """Names of nodes here by those in the file, or by op and position, as onnxruntime tells of others."""
        _name_tensors(self.model.graph)
        self.nodes = {node.name: node for node in nodes_of(self.model.graph)}
        self._stored = {tensor.name for _, graph in graphs(self.model.graph) for tensor in graph.initializer}
        self._same = _equal_tensors(self.model.graph)
        self._makers = {name: node for node in self.nodes.values() for name in node.output if name}

    def tensor(self, name: str) -> str | None:
        """The tensor of this name, which the runtime may have renamed; None: there is no such one."""
        while name not in self._same:
            shorter = _RENAMED.sub("", name, count=1)
            if shorter == name:
                return None
            name = shorter
        return name

    def alike(self, tensors: Iterable[str]) -> set[str]:
        """A mark for each tensor, which it shares with all that are equal to it."""
        return {self._same.get(name, name) for name in tensors}

    def layer(self, node: str) -> int | None:
        """Position of the convolution whose node has this name, or had it before a number was added."""
        if node not in self.positions:
            node = re.sub(r"_token_\d+$", "", node)
        return self.positions.get(node)

    def between(self, outputs: Iterable[str], given: Set[str]) -> list[NodeProto]:
        """Nodes between some tensors and those that are given, or that equal one, from the last one on.

        Args:
            outputs: Names of tensors.
            given: The marks of others.
        """
        found, seen, todo = [], set[str](), deque(outputs)
        while todo:
            maker = self._makers.get(todo.popleft())
            if maker is None or maker.name in seen:
                continue
            seen.add(maker.name)
            found.append(maker)
            todo.extend(name for name in _read(maker) if self._same.get(name, name) not in given)
        return found

    def layers_of(self, nodes: Iterable[NodeProto]) -> set[int]:
        """Positions of the convolutions among some nodes, without those that never run."""
        found = {self.positions[node.name] for node in nodes if node.name in self.positions}
        return {position for position in found if self.layers[position].calls != 0}

    def equals(self, position: int) -> list[int]:
        """Positions of the other convolutions that compute the same from the same tensors."""
        outputs = [self._same[self.nodes[layer.name].output[0]] for layer in self.layers]
        return [
            other for other, name in enumerate(outputs) if name == outputs[position] and other != position
        ]

    def is_constant(self, position: int) -> bool:
        """Whether a convolution depends on nothing but what is stored."""
        todo, seen = [self.nodes[self.layers[position].name]], set[str]()
        while todo:
            node = todo.pop()
            if node.op_type in RANDOM or bodies(node):
                return False
            for name in set(node.input) - seen - {""}:
                seen.add(name)
                if name in self._makers:
                    todo.append(self._makers[name])
                elif name not in self._stored:
                    return False
        return True


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes of a graph, and of the bodies inside it."""
    return (node for _, inner in graphs(graph) for node in inner.node)


def _name_nodes(
    model: ModelProto,
    layers: Iterable[ConvLayer],
    addresses: Mapping[str, Address],
    sizes: Mapping[str, int],
) -> dict[str, list[str]]:
    places, named = Graphs(model), {}
    for layer in layers:
        node = places.node(addresses[layer.name])
        make_runnable(node, known_padding(layer, node, sizes))
        named[id(node)] = layer.name
    taken, before = set(named.values()), defaultdict[str, list[str]](list)
    for _, graph in graphs(model.graph):
        for position, node in enumerate(graph.node):
            name = node.name or f"{node.op_type}_{position}"
            node.name = named.get(id(node)) or free_name(node.name or node.op_type, taken)
            before[name].append(node.name)
    return before


def _name_tensors(graph: GraphProto) -> None:
    """Leave no two tensors of one name, such as those of two branches."""
    taken: set[str] = set()

    def visit(inner: GraphProto, outer: Mapping[str, str]) -> None:
        names = dict(outer)
        for name in dict.fromkeys(tensor.name for tensor in (*inner.input, *inner.initializer)):
            names[name] = free_name(name, taken)
        for tensor in (*inner.input, *inner.initializer):
            tensor.name = names[tensor.name]
        for node in inner.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            for _, body in bodies(node):
                visit(body, names)
            for name in filter(None, node.output):
                names[name] = free_name(name, taken)
            node.output[:] = [names.get(name, name) for name in node.output]
        for tensor in (*inner.output, *inner.value_info):
            tensor.name = names.get(tensor.name, tensor.name)

    visit(graph, {})


def _equal_tensors(graph: GraphProto) -> dict[str, str]:
    """By the name of each tensor the first one that equals it: equal ops of equal tensors make equal ones."""
    same = dict[str, str]()
    known: dict[tuple[object, ...], NodeProto] = {}
    stored: dict[bytes, str] = {}

    def first_stored(tensor: TensorProto) -> str:
        if tensor.external_data or tensor.ByteSize() > _SMALL_BYTES:
            return tensor.name
        nameless = TensorProto()
        nameless.CopyFrom(tensor)
        nameless.ClearField("name")
        return stored.setdefault(nameless.SerializeToString(deterministic=True), tensor.name)

    def visit(inner: GraphProto) -> None:
        same.update((tensor.name, tensor.name) for tensor in inner.input)
        same.update((tensor.name, first_stored(tensor)) for tensor in inner.initializer)
        for node in inner.node:
            for _, body in bodies(node):
                visit(body)
            first = node
            if not bodies(node) and node.op_type not in RANDOM:
                attributes = sorted(item.SerializeToString(deterministic=True) for item in node.attribute)
                read = tuple(same.get(name, name) for name in node.input)
                key = (id(inner), node.domain, node.op_type, read, *attributes, len(node.output))
                first = known.setdefault(key, node)
            for name, earlier in zip(node.output, first.output, strict=True):
                same[name] = same.get(earlier, name)

    visit(graph)
    return same


def _read(node: NodeProto) -> list[str]:
    """Names of tensors that a node reads, or its bodies hand to it."""
    return [*node.input, *(value.name for _, body in bodies(node) for value in body.output)]
