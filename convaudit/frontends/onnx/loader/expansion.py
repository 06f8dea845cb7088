"""Local functions that would take for ever to expand: recursive ones, or few that unfold into billions.

A function is expanded per call, by shape inference and by the walker. Ten functions that call each other
twice are 1024 bodies; forty are more than any computer can visit.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from convaudit.errors import LoadError

MAX_EXPANDED_NODES = 250_000
_MAX_CALL_DEPTH = 100

_Key = tuple[str, str, str]


def check_expansion(model: ModelProto, source: str) -> None:
    """Refuse a model whose functions are recursive, or unfold into too many nodes.

    Raises  LoadError naming the function.
    """
    if not model.functions:
        return
    functions = {(item.domain, item.name, item.overload): item for item in model.functions}
    sizes: dict[_Key, int] = {}

    def size(graph: GraphProto | FunctionProto, callers: tuple[_Key, ...]) -> int:
        return sum(node_size(node, callers) for node in _nodes(graph))

    def node_size(node: NodeProto, callers: tuple[_Key, ...]) -> int:
        key = (node.domain, node.op_type, node.overload)
        if key not in functions:
            return 1
        if key in callers or len(callers) == _MAX_CALL_DEPTH:
            raise LoadError(f"{source}: function {node.op_type!r} calls itself, or functions nest too deeply")
        if key not in sizes:
            sizes[key] = size(functions[key], (*callers, key))
        return sizes[key]

    if size(model.graph, ()) > MAX_EXPANDED_NODES:
        largest = max(sizes, key=lambda key: sizes[key])
        raise LoadError(
            f"{source}: its functions unfold into more than {MAX_EXPANDED_NODES} nodes; "
            f"{largest[1]!r} alone into {sizes[largest]}"
        )


def _nodes(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)
