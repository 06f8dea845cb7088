"""The last word on a shape, and the least: what the file itself declares, where nothing else is known.

A claim may be stale (a batch size edited at the input only), so that whatever can be inferred, or read from a
run, comes before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, ModelProto

from convaudit.frontends.onnx.graphs import graphs
from convaudit.frontends.onnx.shapes.dimensions import Dimensions
from convaudit.frontends.onnx.shapes.inferred import Inferred, first_known
from convaudit.frontends.onnx.shapes.inputs import Inputs, write_shape
from convaudit.records import Shape


def with_claims(
    model: ModelProto, claiming: ModelProto, inputs: Inputs, inferred: Inferred
) -> tuple[ModelProto, Dimensions] | None:
    """A copy of ``model`` that declares all that is known, and of the rest what the file claims.

    Args:
        model: What shapes are inferred on.
        claiming: The same graphs as the file has them, with what it declares.
        inputs: What the names in the claims mean; a name that no input has says nothing.
        inferred: What is known.

    Returns:
        The copy, and the meaning of the names in it; None if the file claims nothing more than is known.
    """
    completed = ModelProto()
    completed.CopyFrom(model)
    symbols = dict(inputs.symbols)
    claims = {address: dict(_claims(graph, inputs)) for address, graph in graphs(claiming.graph)}
    useful = False
    for address, graph in graphs(completed.graph):
        of_graph = claims.get(address, {})
        values = {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}
        for name in dict.fromkeys(
            [*of_graph, *(name for node in graph.node for name in node.output if name)]
        ):
            known = inferred.shape(address, name)
            shape = first_known(known, of_graph.get(name))
            useful = useful or shape != known
            if shape is not None:
                write_shape(values.get(name) or graph.value_info.add(name=name), shape, symbols)
    return (completed, Dimensions(symbols)) if useful else None


def _claims(graph: GraphProto, inputs: Inputs) -> Iterator[tuple[str, Shape]]:
    meanings = Dimensions(inputs.names)
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = meanings.shape(value.type)
        if shape is not None:
            yield value.name, shape
