"""The model's graphs as scopes: who produces a tensor, where it is stored, and what its shape is.

A scope is the main graph, or the body of a control-flow node. Bodies see the tensors of the graphs around
them, so every question is asked from the inside outwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from onnx import GraphProto, NodeProto

from convaudit.errors import ModelError
from convaudit.formulas import Count
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.functions import Expanded, Origin
from convaudit.frontends.onnx.graphs import Address, bodies
from convaudit.frontends.onnx.ops import op_of
from convaudit.frontends.onnx.shapes.inferred import Inferred
from convaudit.records import Branch, Shape


class Scope:
    """One graph, as it runs: how often, in which exclusive branches, with which names in sight."""

    def __init__(
        self,
        expanded: Expanded,
        inferred: Inferred,
        *,
        parent: Scope | None = None,
        address: Address = (),
        origin: Address = (),
        path: str = "",
        calls: Count | None = 1,
        branches: tuple[Branch, ...] = (),
    ) -> None:
        index = expanded.graphs.at(address)
        self.graph = index.graph
        self.producers = index.producers
        self.stored = index.initializers
        self.defines = index.defines
        self.expanded = expanded
        self.inferred = inferred
        self.parent = parent
        self.address = address  # in the expanded model
        self.origin = origin  # in the file
        self.path = path
        self.calls = calls
        self.branches = branches
        self._bodies: list[Scope] = []

    def body(
        self,
        node: Node,
        name: str,
        *,
        path: str,
        calls: Count | None,
        branches: tuple[Branch, ...],
    ) -> Scope:
        """The scope of a body of ``node``, which stands in this scope."""
        scope = Scope(
            self.expanded,
            self.inferred,
            parent=self,
            address=(*node.address, name),
            origin=(*node.origin.address, name),
            path=path,
            calls=calls,
            branches=branches,
        )
        self._bodies.append(scope)
        return scope

    def makers(self, name: str) -> Iterator[tuple[Scope, str]]:
        """Bodies that make a tensor of this scope, each with the name that it has there."""
        node = self.producers.get(name)
        if node is None or node.op_type not in ("If", "Loop", "Scan"):
            return
        for body in self._bodies:
            node = self.graph.node[int(body.address[-2])]
            skipped = 1 if node.op_type == "Loop" else 0  # its condition
            for result, inner in zip(node.output, body.graph.output[skipped:], strict=False):
                if result == name:
                    yield body, inner.name

    def nodes(self) -> Iterator[Node]:
        """Nodes of this scope, in the file's order; not those of the bodies inside."""
        origins = self.expanded.origins
        for index, proto in enumerate(self.graph.node):
            address = (*self.address, index)
            origin = origins.get(address) or Origin(
                (*self.origin, index), self.path, proto.name or f"{proto.op_type}_{index}"
            )
            yield Node(proto, self, address, origin)

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators; 1 where the model does not say."""
        imports = self.expanded.model.opset_import
        return next((item.version for item in imports if item.domain in ("", "ai.onnx")), 1)

    def home(self, name: str) -> Scope | None:
        """The scope that defines a tensor: this one or one around it."""
        scope: Scope | None = self
        while scope is not None and not scope.defines(name):
            scope = scope.parent
        return scope

    def key(self, name: str) -> str:
        """A stored tensor's name, unique in the model; the same for all calls of one function."""
        if name in self.expanded.shared:
            return self.expanded.shared[name]
        return f"{self.path}/{name}" if self.path else name

    def shape(self, name: str) -> Shape | None:
        """Shape of a tensor that is in sight; None if not even the rank is known."""
        home = self.home(name)
        if home is None:
            return None
        stored = home.stored.get(name)
        if stored is None:
            return self.inferred.shape(home.address, name)
        if min(stored.dims, default=0) < 0:  # of a sparse tensor; the loader refuses dense ones
            raise ModelError(f"tensor {name!r}: dims must not be negative, got {list(stored.dims)}")
        return tuple(stored.dims)

    def dtype(self, name: str) -> str:
        """Element type of a tensor that is in sight, or ``unknown``."""
        home = self.home(name)
        return "unknown" if home is None else self.inferred.dtype(home.address, name, home.stored.get(name))


class Node(NamedTuple):
    """A node where it runs."""

    proto: NodeProto
    scope: Scope
    address: Address  # in the expanded model
    origin: Origin

    @property
    def op(self) -> str:
        """Op type, with its domain unless that is ONNX's own."""
        return op_of(self.proto)

    @property
    def who(self) -> str:
        """How error messages name the node."""
        _, scope, label = self.origin
        return f"{label} ({self.op}, node {self.origin.address[-1]} of {scope or 'the main graph'})"

    @property
    def attributes(self) -> Attributes:
        """The node's attributes, checked as they are read."""
        return Attributes(self.proto, self.who)

    @property
    def bodies(self) -> list[tuple[str, GraphProto]]:
        """Graphs that a control-flow node runs, by attribute name, in an order that no file changes."""
        # then before else, as people read it
        return sorted(bodies(self.proto), key=lambda body: (body[0] != "then_branch", body[0]))

    def input(self, index: int) -> str:
        """Name of an operand; "" if it is absent."""
        return self.proto.input[index] if index < len(self.proto.input) else ""

    def output(self, index: int = 0) -> str:
        """Name of a result; "" if it is absent."""
        return self.proto.output[index] if index < len(self.proto.output) else ""

    def input_shape(self, index: int) -> Shape | None:
        """Shape of an operand; None if it is absent or unknown."""
        name = self.input(index)
        return self.scope.shape(name) if name else None

    def output_shape(self, index: int = 0) -> Shape | None:
        """Shape of a result; None if it is absent or unknown."""
        name = self.output(index)
        return self.scope.shape(name) if name else None
