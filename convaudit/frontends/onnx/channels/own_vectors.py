"""Vectors that several nodes share, stored for each reader: exporters store equal biases once.

What one reader drops of a shared vector the others need. So that layers that have nothing but a bias of zeros
in common are not tied to each other, each node is given a copy; copies that stay equal become one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx import ModelProto, TensorProto

from convaudit.frontends.onnx.functions import expand_functions
from convaudit.frontends.onnx.graphs import free_name, graphs
from convaudit.frontends.onnx.walker import Walked

_MOST_ELEMENTS = 2**16


def with_own_vectors(walked: Walked) -> tuple[Walked, Mapping[str, str]]:
    """The same model, in which no two nodes of the main graph read one stored vector.

    Args:
        walked: The model. One with local functions is left as it is.

    Returns:
        The model, and the names of the copies with those of their originals.
    """
    shared = _shared(walked.model.proto)
    if not shared:
        return walked, {}
    proto = ModelProto()
    proto.CopyFrom(walked.model.proto)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer if tensor.name in shared}
    taken = _names(proto)
    copies: dict[str, str] = {}
    seen: set[str] = set()
    for node in proto.graph.node:
        own: dict[str, str] = {}  # a node that reads it twice reads one
        for index, name in enumerate(node.input):
            if name not in stored:
                continue
            if name not in own:
                own[name] = free_name(name, taken) if name in seen else name
                seen.add(name)
                if own[name] != name:
                    copies[own[name]] = name
                    proto.graph.initializer.append(stored[name])
                    proto.graph.initializer[-1].name = own[name]
            node.input[index] = own[name]
    model = replace(walked.model, proto=proto)
    return replace(walked, model=model, expanded=expand_functions(proto)), copies


def rejoin(proto: ModelProto, copies: Mapping[str, str]) -> None:
    """Let the readers of copies that are still what their originals were read one tensor again.

    Args:
        proto: What became of the model of ``with_own_vectors``; it is changed in place.
        copies: Names of the copies, with those of their originals.
    """
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    first: dict[tuple[str, bytes], str] = {}
    renamed: dict[str, str] = {}
    for name in (*dict.fromkeys(copies.values()), *copies):
        if name in stored:
            key = copies.get(name, name), _content(stored[name])
            renamed[name] = first.setdefault(key, name)
    gone = {name for name, other in renamed.items() if name != other}
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name in gone:
                node.input[index] = renamed[name]
    left = [tensor for tensor in proto.graph.initializer if tensor.name not in gone]
    if gone:
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(left)


def _shared(proto: ModelProto) -> set[str]:
    """Stored vectors that several nodes of the main graph read, and no caller can replace."""
    graph = proto.graph
    if proto.functions:
        return set()
    others = {value.name for value in (*graph.input, *graph.output)}
    vectors = {tensor.name for tensor in graph.initializer if _is_vector(tensor)} - others
    seen: set[str] = set()
    shared: set[str] = set()
    for node in graph.node:
        read = vectors.intersection(node.input)
        shared |= read & seen
        seen |= read
    return shared


def _is_vector(tensor: TensorProto) -> bool:
    largest, elements = 1, 1
    for size in tensor.dims:
        largest, elements = max(largest, size), elements * size
    return 1 < largest == elements <= _MOST_ELEMENTS


def _names(proto: ModelProto) -> set[str]:
    names: set[str] = set()
    for _, graph in graphs(proto.graph):
        names.update(value.name for value in (*graph.input, *graph.output, *graph.initializer))
        names.update(tensor.values.name for tensor in graph.sparse_initializer)
        names.update(name for node in graph.node for name in (*node.input, *node.output))
    return names


def _content(tensor: TensorProto) -> bytes:
    """A tensor, or the reference to it, without its name."""
    nameless = TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return bytes(nameless.SerializeToString(deterministic=True))
