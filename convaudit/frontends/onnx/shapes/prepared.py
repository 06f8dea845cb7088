"""The model as shape inference gets to see it: without stale claims, in words that inference understands.

What the file itself declares of its inner tensors comes last, and only where nothing else is known: a claim
may be stale (a batch size edited at the input only).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from onnx import GraphProto, ModelProto, NodeProto

from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.graphs import graphs
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.frontends.onnx.shapes.inferred import Dimensions, Inferred, first_known
from convaudit.frontends.onnx.shapes.inputs import Inputs, write_shape
from convaudit.frontends.onnx.shapes.misinferred import Misinferred
from convaudit.records import Shape

OURS = "convaudit"
"""Domain of ONNX's own ops that are left to our rules."""

_TERM = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
_EQUATION = re.compile(rf"{_TERM}(,{_TERM})*(->{_TERM})?")


def prepare(model: ModelProto) -> ModelProto:
    """The model to infer shapes on: nodes in the same places, some of them written in another way.

    Of ``model`` itself, only what it declares of its inner tensors is forgotten.
    """
    found = dict(graphs(model.graph))
    for address, graph in found.items():
        runs = found[address[:-2]].node[int(address[-2])].op_type if address else ""
        _forget(graph, runs)
    misinferred = Misinferred(model)
    if not any(_needs_rewriting(node, misinferred) for graph in found.values() for node in graph.node):
        return model
    rewritten = ModelProto()
    rewritten.CopyFrom(model)
    rewritten.opset_import.add(domain=OURS, version=1)
    for _, graph in graphs(rewritten.graph):
        for node in graph.node:
            if _needs_rewriting(node, misinferred):
                _rewrite(node, misinferred)
    return rewritten


def _forget(graph: GraphProto, runs: str) -> None:
    """Forget what a graph declares of its inner tensors, but for the element types of foreign operators.

    The node that ``runs`` a body tells more of its inputs; the first two of a Loop are always scalars.

    Such a claim may be stale (a batch size edited at the input only) and would win over inference; it comes
    last (``with_claims``).
    """
    foreign = {name for node in graph.node if node.domain not in ("", "ai.onnx") for name in node.output}
    kept = [value for value in graph.value_info if value.name in foreign]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    given = graph.input[2 if runs == "Loop" else 0 :] if runs else ()
    for value in (*graph.value_info, *graph.output, *given):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _needs_rewriting(node: NodeProto, misinferred: Misinferred) -> bool:
    if node.op_type == "Einsum":
        return not _EQUATION.fullmatch(_attributes(node).string("equation", "").replace(" ", ""))
    return node in misinferred or _stand_in(node) is not None


def _rewrite(node: NodeProto, misinferred: Misinferred) -> None:
    if node.op_type == "Einsum":
        node.domain = "malformed"  # onnx's inference never comes back from "i...j..."; no one infers this
    elif node in misinferred:
        node.domain = OURS
    elif (stand_in := _stand_in(node)) is not None:
        node.domain, node.op_type = "", stand_in
        del node.input[len(CONV_OPS[stand_in].roles) :]


def _stand_in(node: NodeProto) -> str | None:
    op = CONV_OPS.get(op_of(node)) if node.domain else None
    if op is None or op.stand_in is None or op.layout_of(_attributes(node)) != "channels_first":
        return None
    return op.stand_in


def _attributes(node: NodeProto) -> Attributes:
    return Attributes(node, node.name or node.op_type)


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
