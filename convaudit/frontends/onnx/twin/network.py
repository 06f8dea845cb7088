"""The network with groups=1: chosen convolutions get their dense weights, everything else stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from convaudit.frontends.onnx.graphs import Address, Graphs, graphs
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.frontends.onnx.twin.weights import DenseNode, dense_node
from convaudit.frontends.onnx.variant.base import changeable, without_names_by_position
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer

_Message = TypeVar("_Message", NodeProto, ValueInfoProto)
_LONGEST_CHAIN = 64  # of nodes that change nothing
_IR_OF_UNDECLARED_INITIALIZERS = 4  # before, initializers had to be declared as inputs


@dataclass(frozen=True, slots=True)
class DenseNetwork:
    """The twin's structure, its new weights in a spill."""

    proto: ModelProto
    notes: tuple[str, ...]  # what else is no longer as it was


def dense_network(
    walked: Walked,
    layers: Sequence[ConvLayer],
    spill: Spill,
    progress: Callable[[int], None] | None = None,
) -> DenseNetwork:
    """Give convolutions groups=1, one weight in memory at a time.

    Nodes of local functions are changed where their calls stand: the functions of such a network are
    expanded, as calls of one function may hand it different weights.

    Args:
        walked: What the walker found.
        layers: Those to change.
        spill: Where their weights go.
        progress: Is told of each layer that is done.

    Raises:
        ModelError: A layer has no twin.
        LoadError: Weights are missing.
        ExecutionError: A weight cannot be calculated from what is stored.
    """
    base, addresses, notes = changeable(walked, layers)
    edit = _Edit(walked, base, spill)
    for layer in layers:
        edit.change(layer, addresses[layer.name])
        if progress is not None:
            progress(1)
    return DenseNetwork(edit.finished(), (*notes, *edit.notes))


@dataclass
class _Edit:
    """Changes to one model."""

    walked: Walked
    proto: ModelProto
    spill: Spill
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._graphs = Graphs(self.proto)
        whole = with_dense_tensors(self.walked.model, self.proto)
        if whole is self.proto:  # constants are read from what is not changed
            whole = ModelProto()
            whole.CopyFrom(self.proto)
        self._whole, self._stored = whole, Graphs(whole)
        self._names = set(_value_names(self.proto))
        self._made: dict[tuple[object, ...], str] = {}  # the dense weight of an operand and its groups
        self._makers: list[tuple[GraphProto, str, NodeProto]] = []  # to stand after what gives that name
        self._left: dict[str, Address] = {}  # operands that are no longer read, and where they are seen
        self._node_names: dict[str, str] = {}  # of nodes that are gone, by what they gave
        self._renamed: dict[str, str] = {}  # what is new, by what it stands for

    def change(self, layer: ConvLayer, address: Address) -> None:
        """Give one convolution groups=1."""
        node, scope = self._graphs.node(address), address[:-1]
        position = CONV_OPS[op_of(node)].weight
        operand, name = node.input[position], self._without_identity(scope, node.input[position])
        home = self._graphs.home(scope, name)
        zero_points = [
            node.input[index] for index in CONV_OPS[op_of(node)].settings if index < len(node.input)
        ]
        key = (home.address if home else scope, name, layer.groups, layer.transposed, *zero_points)
        if key not in self._made:
            suffix = self._suffix(scope, name)
            read = _copied(node)
            read.input[position] = name
            constants = Constants(self.walked.model, self._whole, self._stored, scope)
            twin = dense_node(layer, read, constants, suffix=suffix)
            if not twin.makers and constants.take(name) and any(map(_dequantizes, constants.makers)):
                self.notes.append(f"the weight of {layer.name} is no longer dequantised when the model runs")
            self._place(twin, home.graph if home else self.proto.graph, name, suffix)
            self._made[key] = twin.node.input[position]
        node.input[position] = self._made[key]
        _set_group(node)
        self._left[operand] = scope

    def _without_identity(self, scope: Address, name: str) -> str:
        """What stands before nodes that change nothing."""
        for _ in range(_LONGEST_CHAIN):
            home = self._graphs.home(scope, name)
            producer = home.producers.get(name) if home else None
            if (
                producer is None
                or op_of(producer) != "Identity"
                or name in (home.initializers if home else ())
            ):
                return name
            name = producer.input[0]
        return name

    def _suffix(self, scope: Address, name: str) -> str:
        """An ending with which every name that is made of this operand is new."""
        home = self._graphs.home(scope, name)
        producer = home.producers.get(name) if home else None
        sources = [name, *(producer.input if producer else ())]
        number, suffix = 1, ".dense"
        while any(source + suffix in self._names for source in sources):
            number += 1
            suffix = f".dense{number}"
        return suffix

    def _place(self, twin: DenseNode, graph: GraphProto, name: str, suffix: str) -> None:
        for tensor in twin.tensors:
            graph.initializer.append(self.spill.keep(tensor))
            self._names.add(tensor.name)
            self._renamed[tensor.name] = tensor.name.removesuffix(suffix)
        for maker in twin.makers:
            self._makers.append((graph, name, maker))
            for output in filter(None, maker.output):
                self._names.add(output)
                self._renamed[output] = output.removesuffix(suffix)

    def finished(self) -> ModelProto:
        """The model, without what nobody reads any more."""
        for _, graph in reversed(list(graphs(self.proto.graph))):  # bodies first: inserting copies them
            makers = [(name, maker) for place, name, maker in self._makers if place is graph]
            if makers:
                _insert(graph, makers)
        gone = self._without_unread()
        self._restore_names(gone)
        without_names_by_position(self.proto, self.walked.model.proto)
        return self.proto

    def _without_unread(self) -> set[str]:
        """Take away what the changed nodes alone have read; the names that are free then."""
        places = [graph for _, graph in graphs(self.proto.graph)]
        readers = Counter(name for graph in places for name in _read(graph))
        makers, stored = _by_name(places)
        gone: set[str] = set()
        unread: set[tuple[int, int]] = set()  # a graph, and a node in it
        waiting = list(self._left)
        while waiting:
            name = waiting.pop()
            if readers[name] or name in gone:
                continue
            gone.update([name] if name in stored else ())
            for place in makers.get(name, ()):
                node = places[place[0]].node[place[1]]
                if not any(readers[output] for output in node.output):
                    unread.add(place)
                    gone.update(filter(None, node.output))
                    self._node_names.update(dict.fromkeys(node.output, node.name))
                    readers.subtract(filter(None, node.input))
                    waiting += filter(None, node.input)
        for graph, index in sorted(unread, reverse=True):
            del places[graph].node[index]
        for graph in places:
            _drop_stored(graph, gone)
        return gone

    def _restore_names(self, gone: set[str]) -> None:
        """Let what is new have the name of what it stands for, where that is free."""
        names: dict[str, str] = {}
        for new, old in self._renamed.items():
            if old in gone and old not in names.values():
                names[new] = old
        for _, graph in graphs(self.proto.graph):
            for tensor in graph.initializer:
                tensor.name = names.get(tensor.name, tensor.name)
            for node in graph.node:
                for field_names in (node.input, node.output):
                    for index, name in enumerate(field_names):
                        field_names[index] = names.get(name, name)
                if any(name in self._node_names for name in node.output):
                    node.name = self._node_names[node.output[0]]
            stale = gone | set(names.values())
            kept = [info for info in graph.value_info if info.name not in stale]
            if len(kept) < len(graph.value_info):
                kept = [_copied(info) for info in kept]
                del graph.value_info[:]
                graph.value_info.extend(kept)
        self._declare(gone - set(names.values()), {names.get(name, name) for name in self._renamed})

    def _declare(self, gone: set[str], new: set[str]) -> None:
        """Keep the inputs that stand for initializers in step with these."""
        graph = self.proto.graph
        declared = {info.name: info for info in graph.input}
        for name in gone & declared.keys():
            graph.input.remove(declared[name])
        for tensor in graph.initializer:
            if tensor.name in new and tensor.name in declared:
                shape = declared[tensor.name].type.tensor_type.shape
                del shape.dim[:]
                for size in tensor.dims:
                    shape.dim.add(dim_value=size)
                self.notes.append(f"input {tensor.name!r}, which has a default, takes the dense shape")
            elif tensor.name in new and self.proto.ir_version < _IR_OF_UNDECLARED_INITIALIZERS:
                info = graph.input.add(name=tensor.name)
                info.type.tensor_type.elem_type = tensor.data_type
                for size in tensor.dims:
                    info.type.tensor_type.shape.dim.add(dim_value=size)


def _insert(graph: GraphProto, makers: Sequence[tuple[str, NodeProto]]) -> None:
    """Put each node behind the one that gives the name beside it."""
    after: dict[str, list[NodeProto]] = {}
    for name, maker in makers:
        after.setdefault(name, []).append(maker)
    nodes = [
        _copied(item)
        for node in graph.node
        for item in (node, *(maker for name in node.output for maker in after.get(name, ())))
    ]
    del graph.node[:]
    graph.node.extend(nodes)


def _by_name(places: Sequence[GraphProto]) -> tuple[dict[str, list[tuple[int, int]]], set[str]]:
    """Which nodes of which graphs give a name, and the names of what is stored."""
    makers: dict[str, list[tuple[int, int]]] = {}
    stored = {tensor.name for graph in places for tensor in graph.initializer}
    stored |= {sparse.values.name for graph in places for sparse in graph.sparse_initializer}
    for place, graph in enumerate(places):
        for index, node in enumerate(graph.node):
            for name in filter(None, node.output):
                makers.setdefault(name, []).append((place, index))
    return makers, stored


def _drop_stored(graph: GraphProto, names: set[str]) -> None:
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in names:
            del graph.initializer[index]
    for index in reversed(range(len(graph.sparse_initializer))):
        if graph.sparse_initializer[index].values.name in names:
            del graph.sparse_initializer[index]


def _dequantizes(node: NodeProto) -> bool:
    return node.op_type == "DequantizeLinear"


def _set_group(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "group":
            attribute.i = 1
            attribute.ClearField("ref_attr_name")


def _copied(message: _Message) -> _Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _read(graph: GraphProto) -> Iterator[str]:
    """Every name that a graph reads, once for each time; those of its bodies are theirs."""
    for node in graph.node:
        yield from filter(None, node.input)
    for value in graph.output:
        yield value.name


def _value_names(proto: ModelProto) -> Iterator[str]:
    for _, graph in graphs(proto.graph):
        yield from (value.name for value in (*graph.input, *graph.output, *graph.initializer))
        yield from (sparse.values.name for sparse in graph.sparse_initializer)
        for node in graph.node:
            yield from (*node.input, *node.output)
