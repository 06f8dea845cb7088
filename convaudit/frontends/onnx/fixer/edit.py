"""Changes to one model: what its nodes saw before, and the copy that changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.facts import Facts, Mask, ValueKey
from convaudit.frontends.onnx.channels.plan import Plan
from convaudit.frontends.onnx.fixer.nodes import readers, value_names
from convaudit.frontends.onnx.graphs import Address, Graphs, free_name, graphs
from convaudit.frontends.onnx.variant.base import structure
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer, Shape

_IR_OF_UNDECLARED_INITIALIZERS = 4  # before, initializers had to be declared as inputs
_NONE: Mapping[int, Indices] = {}


class CannotRewriteError(Exception):
    """A node cannot be rewritten as the plan asks; the text says why."""


@dataclass(frozen=True, slots=True)
class ChangedNode:
    """A node that changes."""

    address: Address  # in the expanded structure
    node: NodeProto  # the copy that changes
    graph: GraphProto  # that holds it
    place: Address  # where the copy stands

    @property
    def scope(self) -> Address:
        """Address of the graph, in the expanded structure."""
        return self.address[:-1]


class Edit:
    """Changes to one model.

    Args:
        walked: The model as it was.
        facts: What is known of its tensors.
        plan: What is to go.
        spill: Where new tensors go.
        ignored: Kernels that are taken for zero, by the layer's name: (groups, out/groups, in/groups).
    """

    def __init__(
        self,
        walked: Walked,
        facts: Facts,
        plan: Plan,
        spill: Spill,
        ignored: Mapping[str, Mask] | None = None,
    ) -> None:
        self.walked, self.facts, self.plan, self.spill = walked, facts, plan, spill
        self.ignored = ignored or {}
        self._whole = with_dense_tensors(walked.model, walked.expanded.model)
        self._before = Graphs(self._whole)
        self.layers = {walked.addresses[layer.name]: layer for layer in walked.network.layers}
        touched = list(self._touched())
        self.proto, self._places, notes = structure(walked, touched)
        self.notes = list(notes)
        self._now = Graphs(self.proto)
        self.sites = [self._site(address) for address in touched]
        self._names = set(value_names(self.proto))
        self._node_names = {node.name for _, graph in graphs(self.proto.graph) for node in graph.node}
        self._readers = readers(self.proto)
        self.inserted: dict[Address, tuple[list[NodeProto], list[NodeProto]]] = {}
        imports = self.proto.opset_import
        self.opset = next((item.version for item in imports if item.domain in ("", "ai.onnx")), 1)

    def _touched(self) -> Iterator[Address]:
        """Nodes of the expanded structure that read or give what shrinks, and layers that change."""
        names = {name for _, name in self.plan.kept}
        changed = {
            self.walked.addresses[name]
            for name in (*self.plan.crops, *self.plan.regrouped)
            if name in self.walked.addresses
        }
        for scope, graph in graphs(self.walked.expanded.model.graph):
            for index, node in enumerate(graph.node):
                address = (*scope, index)
                near = [name for name in (*node.input, *node.output) if name in names]
                if address in changed or any(self.kept(scope, name) for name in near):
                    yield address

    def _site(self, address: Address) -> ChangedNode:
        place = self._places.get(address, address)
        return ChangedNode(address, self._now.node(place), self._now.at(place[:-1]).graph, place)

    def place_of_graph(self, scope: Address) -> Address:
        """Where a graph of the expanded structure stands in what changes."""
        if not scope:
            return scope
        *node, attribute = scope
        return (*self._places.get(tuple(node), tuple(node)), attribute)

    def home(self, scope: Address, name: str) -> ValueKey | None:
        """The tensor that a name means in a graph."""
        home = self._before.home(scope, name) if name else None
        return None if home is None else (home.address, name)

    def kept(self, scope: Address, name: str) -> Mapping[int, Indices]:
        """What stays of a tensor, by axis; nothing for an axis that stays whole."""
        key = self.home(scope, name)
        return _NONE if key is None else self.plan.kept.get(key, _NONE)

    def shape(self, scope: Address, name: str) -> Shape | None:
        """Shape of a tensor, as it was."""
        home = self._before.home(scope, name)
        if home is None:
            return None
        stored = home.stored(name)
        if stored is not None:
            return tuple(stored.dims)
        return self.walked.inferred.shape(home.address, name)

    def size(self, scope: Address, name: str, axis: int) -> int:
        """One size of a tensor, as it was.

        Raises:
            CannotRewriteError: It is not known.
        """
        shape = self.shape(scope, name)
        size = None if shape is None or axis >= len(shape) else shape[axis]
        if not isinstance(size, int):
            raise CannotRewriteError(f"the size of {name!r} along axis {axis} is not known")
        return size

    def new_size(self, scope: Address, name: str, axis: int) -> int:
        """The same as it will be."""
        kept = self.kept(scope, name).get(axis)
        return self.size(scope, name, axis) if kept is None else len(kept)

    def staying(self, scope: Address, name: str, axis: int) -> Indices:
        """Indices of an axis that stay."""
        kept = self.kept(scope, name).get(axis)
        return np.arange(self.size(scope, name, axis)) if kept is None else kept

    def value(self, scope: Address, name: str) -> Array | None:
        """A constant's elements, as they were; None of what is not the same on every input."""
        if not name:
            return None
        found = Constants(self.walked.model, self._whole, self._before, scope).value(name)
        key = self.home(scope, name)
        known = self.facts.known.get(key) if found is None and key is not None else None
        if known is None or not known.mask.all():
            return found
        shape = self.shape(scope, name)
        if shape is None or any(not isinstance(size, int) for size in shape):
            return None
        whole: Array = np.broadcast_to(known.values, [int(str(size)) for size in shape])
        return whole

    def producer(self, scope: Address, name: str) -> ChangedNode | None:
        """The node that gives a tensor."""
        home = self._before.home(scope, name) if name else None
        if home is None or name not in home.producers or name in home.initializers:
            return None
        node = home.producers[name]
        for index, other in enumerate(home.graph.node):
            if other is node or (other.output and other == node):
                return self._site((*home.address, index))
        return None

    def is_read_once(self, name: str) -> bool:
        """Whether one node reads it, and nothing else."""
        return self._readers[name] == 1

    def layer(self, site: ChangedNode) -> ConvLayer | None:
        """The layer of a node, if it is one."""
        return self.layers.get(site.address)

    def fresh(self, name: str) -> str:
        """A name of a tensor that nothing has yet."""
        return free_name(name, self._names)

    def add(self, site: ChangedNode, array: Array, name: str) -> str:
        """Store a constant that is new, where a node sees it; its name."""
        new = self.fresh(name)
        site.graph.initializer.append(self.spill.keep(numpy_helper.from_array(_plain(array), new)))
        self._declare(site.graph, site.graph.initializer[-1])
        return new

    def replace(self, site: ChangedNode, index: int, array: Array, role: str) -> None:
        """Give a node another constant operand; the tensor of the old one where nothing else reads that."""
        while len(site.node.input) <= index:
            site.node.input.append("")
        name = site.node.input[index]
        place = self.place_of_graph(key[0]) if (key := self.home(site.scope, name)) else None
        tensor = self._now.at(place).stored(name) if place is not None else None
        if tensor is not None and self._readers[name] == 1:
            overwrite(tensor, _plain(array), self.spill)
            if place is not None:
                self._declare(self._now.at(place).graph, tensor)
            return
        site.node.input[index] = self.add(site, array, name or f"{site.node.output[0]}.{role}")

    def put(self, site: ChangedNode, node: NodeProto, *, before: bool) -> None:
        """Insert a node beside one that changes."""
        node.name = free_name(node.name or node.output[0], self._node_names)
        self.inserted.setdefault(site.place, ([], []))[0 if before else 1].append(node)

    def follow(self, site: ChangedNode, op: str, *operands: str, output: int = 0, **attributes: Any) -> None:
        """Let a new node give what the node gave, computed from that and other operands."""
        name = site.node.output[output]
        inner = self.fresh(f"{name}.whole")
        for node in self.inserted.get(site.place, ([], []))[1]:
            if name in node.output:  # the last one of those that follow already
                node.output[list(node.output).index(name)] = inner
                break
        else:
            site.node.output[output] = inner
        self.put(site, helper.make_node(op, [inner, *operands], [name], **attributes), before=False)

    def _declare(self, graph: GraphProto, tensor: TensorProto) -> None:
        """Keep the input that stands for an initializer in step with it."""
        declared = next((info for info in graph.input if info.name == tensor.name), None)
        if declared is None:
            if self.proto.ir_version >= _IR_OF_UNDECLARED_INITIALIZERS or graph is not self.proto.graph:
                return
            declared = graph.input.add(name=tensor.name)
            declared.type.tensor_type.elem_type = tensor.data_type
        shape = declared.type.tensor_type.shape
        if [dim.dim_value for dim in shape.dim] != list(tensor.dims):
            self.notes.append(f"input {tensor.name!r}, which has a default, takes {list(tensor.dims)}")
            del shape.dim[:]
            for size in tensor.dims:
                shape.dim.add(dim_value=size)

    def constant_of(self, scope: Address, name: str) -> TensorProto | None:
        """What is stored under a name, in the copy that changes; None of what is not, or is sparse."""
        return self._now.at(self.place_of_graph(scope)).stored(name)

    def graph_of(self, scope: Address) -> GraphProto:
        """A graph in the copy that changes."""
        return self._now.at(self.place_of_graph(scope)).graph

    def resized(self, scope: Address, tensor: TensorProto) -> None:
        """Say that a stored tensor has other dims."""
        self._declare(self.graph_of(scope), tensor)

    def whole_value(self, tensor: TensorProto) -> Array:
        """Elements of a stored tensor."""
        return np.asarray(self.walked.model.array(tensor))


def overwrite(tensor: TensorProto, array: Array, spill: Spill) -> None:
    """Put other elements in place of a stored tensor's."""
    doc, name = tensor.doc_string, tensor.name
    tensor.CopyFrom(spill.keep(numpy_helper.from_array(array, name)))
    if doc:
        tensor.doc_string = doc


def places_in(kept: Indices, wanted: Iterable[int] | Indices) -> Indices:
    """Where indices stand among those that stay.

    Raises:
        CannotRewriteError: One does not stay.
    """
    indices = np.asarray(list(wanted) if not isinstance(wanted, np.ndarray) else wanted, np.intp)
    found = np.searchsorted(kept, indices)
    if len(kept) == 0 or (np.asarray(kept)[np.minimum(found, len(kept) - 1)] != indices).any():
        raise CannotRewriteError("it reads what is to go")
    return found


def sliced(array: Array, kept: Mapping[int, Indices]) -> Array:
    """What stays of an array, by axis."""
    for axis in sorted(kept, key=lambda axis: len(kept[axis]) / max(1, array.shape[axis])):
        array = np.take(array, kept[axis], axis=axis)
    return array


def _plain(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(array.shape)  # it makes scalars vectors
