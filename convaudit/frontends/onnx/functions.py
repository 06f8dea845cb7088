"""Local functions, expanded at every call: afterwards a model has only operators, and bodies of control flow.

Every node of the expanded model remembers its origin, the calls that led to it, for people and for the
verifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, defs

from convaudit.errors import ModelError
from convaudit.frontends.onnx.graphs import Address, Graphs, bodies
from convaudit.frontends.onnx.order import in_order, is_in_order


class Origin(NamedTuple):
    """Where a node stands in the model's file."""

    address: Address
    scope: str  # readable path of the bodies and calls around it; "" the main graph
    label: str  # its name, or its op and position

    @property
    def path(self) -> str:
        """Readable path of the node."""
        return f"{self.scope}/{self.label}" if self.scope else self.label


@dataclass(frozen=True)
class Expanded:
    """A model without local functions, its nodes in the order in which they run.

    It is made once and handed on: whoever wants to change ``model`` copies it.

    Attributes:
        model: The file's own structure where that has neither functions nor nodes out of order.
        origins: Where nodes of ``model`` stand in the file, by their address; empty if all stand where they
            are.
        shared: Constants of function bodies: one name for all calls.
    """

    model: ModelProto
    origins: dict[Address, Origin] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)

    @cached_property
    def graphs(self) -> Graphs:
        """The graphs of ``model`` by their address."""
        return Graphs(self.model)


def expand_functions(model: ModelProto) -> Expanded:
    """Put the nodes of ``model`` in order, and replace calls of local functions by the functions' bodies.

    Args:
        model: What the loader read; it has refused functions that call themselves or unfold without bound.
            It is not changed.

    Raises:
        ModelError: A function's operators mean something else in the model's opset.
    """
    if not model.functions and is_in_order(model):
        return Expanded(model)
    expanded = Expanded(ModelProto())
    expanded.model.CopyFrom(model)
    del expanded.model.functions[:]
    del expanded.model.graph.node[:]
    place = _Place(expanded.model.graph, (), (), "")
    _Expansion(model, expanded).copy(model.graph.node, place, None)
    _import_domains(model, expanded.model)
    return expanded


class _Place(NamedTuple):
    """Where copies go, and where their sources stand."""

    graph: GraphProto
    address: Address  # of ``graph`` in the expanded model
    origin: Address  # of the source graph or function body in the file
    scope: str


class _Call(NamedTuple):
    """The call for which a function's body is copied."""

    function: FunctionProto
    bound: Mapping[str, str]  # formal inputs and outputs to the caller's names
    prefix: str  # for every other name of the body
    attributes: Mapping[str, AttributeProto]

    def name(self, inner: str) -> str:
        return self.bound.get(inner, self.prefix + inner) if inner else ""


class _Expansion:
    def __init__(self, model: ModelProto, expanded: Expanded) -> None:
        self._functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self._expanded = expanded
        self._versions = {opset.domain: opset.version for opset in model.opset_import}
        self._checked: set[tuple[str, str, str]] = set()

    def copy(self, nodes: Sequence[NodeProto], place: _Place, call: _Call | None) -> None:
        """Copy nodes, and expand the calls among them."""
        for index, source in in_order(nodes):
            label = source.name or f"{source.op_type}_{index}"
            origin = Origin((*place.origin, index), place.scope, label)
            function = self._functions.get((source.domain, source.op_type, source.overload))
            node = _renamed(source, call)
            if function is None:
                self._append(node, source, place, origin, call)
            else:
                self._expand(node, function, place, origin)

    def _append(
        self, node: NodeProto, source: NodeProto, place: _Place, origin: Origin, call: _Call | None
    ) -> None:
        address = (*place.address, len(place.graph.node))
        place.graph.node.append(node)
        self._expanded.origins[address] = origin
        if call is not None and not any(attribute.ref_attr_name for attribute in source.attribute):
            self._share(source.output, call)
        # append() has copied the node: the bodies to fill are those of the copy
        for attribute in place.graph.node[-1].attribute:
            if attribute.type == AttributeProto.GRAPH:
                self._body(attribute, address, origin, call)

    def _body(self, attribute: AttributeProto, address: Address, origin: Origin, call: _Call | None) -> None:
        body = GraphProto()
        body.CopyFrom(attribute.g)
        del attribute.g.node[:]
        if call is not None:
            self._share([tensor.name for tensor in body.initializer], call)
            _rename_values(attribute.g, call)
        scope = f"{origin.path}/{attribute.name}"
        place = _Place(attribute.g, (*address, attribute.name), (*origin.address, attribute.name), scope)
        self.copy(body.node, place, call)

    def _expand(self, node: NodeProto, function: FunctionProto, place: _Place, origin: Origin) -> None:
        key = (function.domain, function.name, function.overload)
        if key not in self._checked:
            self._checked.add(key)
            _check_versions(function, self._versions)
        prefix = ".".join(map(str, origin.address)) + ":"
        attributes = {default.name: default for default in function.attribute_proto}
        attributes.update((attribute.name, attribute) for attribute in node.attribute)
        # operands that the call leaves out are absent in the body, too
        bound = dict.fromkeys(function.input, "")
        bound.update(zip(function.input, node.input, strict=False))
        passed = [
            (formal, actual) for formal, actual in zip(function.output, node.output, strict=False) if actual
        ]
        aliases = [(bound[formal], actual) for formal, actual in passed if formal in bound]
        bound.update((formal, actual) for formal, actual in passed if formal not in bound)
        call = _Call(function, bound, prefix, attributes)
        inside = _Place(place.graph, place.address, (*origin.address, "function"), origin.path)
        self.copy(function.node, inside, call)
        for operand, result in aliases:
            # an input handed straight out
            self._append(_identity(operand, result), node, place, origin, None)

    def _share(self, names: Iterable[str], call: _Call) -> None:
        home = f"{call.function.domain}.{call.function.name}"
        self._expanded.shared.update((call.name(name), f"{home}/{name}") for name in names)


def _check_versions(function: FunctionProto, versions: Mapping[str, int]) -> None:
    """Refuse a function whose operators mean something else in the model's opset.

    Raises:
        ModelError: An attribute or operand that a node of its body has is another there, or gone.
    """
    ours = next((versions[domain] for domain in ("", "ai.onnx") if domain in versions), None)
    imported = {opset.domain: opset.version for opset in function.opset_import}
    theirs = next((imported[domain] for domain in ("", "ai.onnx") if domain in imported), ours)
    if ours is None or theirs is None or ours == theirs:
        return
    for node in _all_nodes(function.node):
        if node.domain in ("", "ai.onnx") and not _means_the_same(node, theirs, ours):
            raise ModelError(
                f"function {function.domain}.{function.name}: {node.op_type} of opset {theirs} is written in "
                f"another way in the model's opset {ours}; convert either to the other's opset"
            )


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for _, body in bodies(node):
            yield from _all_nodes(body.node)


def _means_the_same(node: NodeProto, theirs: int, ours: int) -> bool:
    """Whether what a node has of attributes and operands is called the same in both versions of its op."""
    try:
        before, after = (defs.get_schema(node.op_type, version, "") for version in (theirs, ours))
    except defs.SchemaError:
        return True  # whoever meets the op says that it is unknown
    operands = [[item.name for item in schema.inputs][: len(node.input)] for schema in (before, after)]
    return (
        before.deprecated == after.deprecated
        and operands[0] == operands[1]
        and all(attribute.name in after.attributes for attribute in node.attribute)
    )


def _renamed(source: NodeProto, call: _Call | None) -> NodeProto:
    """A copy of a node as it stands in the graph that its function is expanded into."""
    node = NodeProto()
    node.CopyFrom(source)
    if call is None:
        return node
    node.input[:] = [call.name(name) for name in source.input]
    node.output[:] = [call.name(name) for name in source.output]
    del node.attribute[:]
    for attribute in source.attribute:
        if not attribute.ref_attr_name:
            node.attribute.append(attribute)
        elif attribute.ref_attr_name in call.attributes:
            # an attribute that the call leaves out, and that has no default, is absent
            node.attribute.append(call.attributes[attribute.ref_attr_name])
            node.attribute[-1].name = attribute.name
    return node


def _rename_values(graph: GraphProto, call: _Call) -> None:
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in values:
            value.name = call.name(value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = call.name(sparse.values.name)


def _identity(operand: str, result: str) -> NodeProto:
    return NodeProto(op_type="Identity", input=[operand], output=[result])


def _import_domains(model: ModelProto, expanded: ModelProto) -> None:
    known = {opset.domain for opset in model.opset_import}
    for function in model.functions:
        for opset in function.opset_import:
            if opset.domain not in known:
                known.add(opset.domain)
                expanded.opset_import.append(opset)
