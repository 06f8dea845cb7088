"""Names in an ONNX model must be text.

Protobuf does not check that. It hands a string that is no valid UTF-8 to Python as ``bytes``, which would
then fail wherever somebody uses it as a name.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import FunctionProto, GraphProto, ModelProto, ValueInfoProto

from convaudit.errors import LoadError


def check_names(model: ModelProto, source: str) -> None:
    """Refuse a model in which a name is not valid UTF-8.

    Raises  LoadError showing it.
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
