"""What a file must not ask of us: names that are not text, functions that would take for ever to expand.

Protobuf does not check names. It hands a string that is not valid UTF-8 to Python as ``bytes``, which would
then fail wherever somebody uses it as a name.

A function is expanded per call. Ten functions that call each other twice are 1024 bodies; forty are more than
any computer can visit.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

from convaudit.errors import LoadError


def check_names(model: ModelProto, source: str) -> None:
    """Refuse a model in which a name is not valid UTF-8.

    Raises:
        LoadError: One is not; the message shows it.
    """
    for name in _model_names(model):
        if isinstance(name, bytes):
            raise LoadError(f"{source}: damaged: a name in it is not valid UTF-8: {name[:40]!r}")


def _model_names(model: ModelProto) -> Iterator[str | bytes]:
    yield from (model.producer_name, model.producer_version, model.domain)
    for opset in model.opset_import:
        yield opset.domain
    yield from _graph_names(model.graph)
    for function in model.functions:
        yield from (function.domain, function.overload, *function.input, *function.output)
        yield from function.attribute
        yield from _graph_names(function)


def _graph_names(graph: GraphProto | FunctionProto) -> Iterator[str | bytes]:
    yield graph.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, node.overload)
        yield from node.input
        yield from node.output
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)
            if attribute.type == attribute.GRAPH:
                yield from _graph_names(attribute.g)
            elif attribute.type == attribute.GRAPHS:
                for inner in attribute.graphs:
                    yield from _graph_names(inner)
    for info in graph.value_info:
        yield from _value_names(info)
    if isinstance(graph, GraphProto):
        for tensor in graph.initializer:
            yield tensor.name
        for info in (*graph.input, *graph.output):
            yield from _value_names(info)


def _value_names(info: ValueInfoProto) -> Iterator[str | bytes]:
    yield info.name
    for dim in info.type.tensor_type.shape.dim:
        yield dim.dim_param


MAX_EXPANDED_NODES = 250_000
_MAX_CALL_DEPTH = 100

_Key = tuple[str, str, str]


def check_expansion(model: ModelProto, source: str) -> None:
    """Refuse a model whose functions are recursive, or unfold into too many nodes.

    Raises:
        LoadError: One is so; the message names the function.
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
