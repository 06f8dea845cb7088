"""Nodes of a structure that changes: their attributes, and the names that they read and give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from onnx import AttributeProto, ModelProto, NodeProto, helper

from convaudit.frontends.onnx.graphs import graphs


def set_attribute(node: NodeProto, name: str, value: object) -> None:
    """Set an attribute, or take it away: None."""
    for index in reversed(range(len(node.attribute))):
        if node.attribute[index].name == name:
            del node.attribute[index]
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def attribute_of(node: NodeProto, name: str) -> AttributeProto | None:
    """An attribute; None if the node does not have it."""
    return next((item for item in node.attribute if item.name == name), None)


def readers(proto: ModelProto) -> Counter[str]:
    """How often each name is read, by nodes of all graphs and as their outputs."""
    found: Counter[str] = Counter()
    for _, graph in graphs(proto.graph):
        for node in graph.node:
            found.update(filter(None, node.input))
        found.update(value.name for value in graph.output)
    return found


def value_names(proto: ModelProto) -> Sequence[str]:
    """Names that values have, in any of its graphs."""
    names: list[str] = []
    for _, graph in graphs(proto.graph):
        names += [value.name for value in (*graph.input, *graph.output, *graph.initializer)]
        names += [sparse.values.name for sparse in graph.sparse_initializer]
        for node in graph.node:
            names += [*node.input, *node.output]
    return names
