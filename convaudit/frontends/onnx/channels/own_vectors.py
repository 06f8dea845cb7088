"""Vectors that several nodes share, stored for each reader: exporters store equal biases once.

What one reader drops of a shared vector the others need. So that layers that have nothing but a bias of zeros
in common are not tied to each other, each node is given a copy; copies that stay equal become one again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import prod

from onnx import ModelProto, TensorProto

from convaudit.frontends.onnx.functions import expand_functions
from convaudit.frontends.onnx.graphs import graphs
from convaudit.frontends.onnx.walker import Walked

_MOST_ELEMENTS = 2**16
_MOST_COPIED = 2**24
"""Elements of all copies together: they are held in memory."""
_UNDECLARED_SINCE = 4  # IR version: before, initializers had to be declared as inputs


def with_own_vectors(
    walked: Walked, copied: Mapping[str, str] | None = None
) -> tuple[Walked, Mapping[str, str]]:
    """The same model, in which no two nodes of the main graph read one stored vector.

    Args:
        walked: The model. One with local functions is left as it is.
        copied: Names of its tensors that were copies before, with those of their originals.

    Returns:
        The model, and the names of the copies with those of their originals, the earlier ones among them.
    """
    copied = copied or {}
    shared, held = _shared(walked.model.proto)
    if not shared:
        return walked, copied
    proto = ModelProto()
    proto.CopyFrom(walked.model.proto)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer if tensor.name in shared}
    names = _Numbered(_names(proto))
    copies = dict(copied)
    seen = held & shared
    for node in proto.graph.node:
        own: dict[str, str] = {}  # a node that reads it twice reads one
        for index, name in enumerate(node.input):
            if name not in stored:
                continue
            if name not in own:
                own[name] = names.next(name) if name in seen else name
                seen.add(name)
                if own[name] != name:
                    copies[own[name]] = copied.get(name, name)
                    proto.graph.initializer.append(stored[name])
                    proto.graph.initializer[-1].name = own[name]
            node.input[index] = own[name]
    model = replace(walked.model, proto=proto)
    return replace(walked, model=model, expanded=expand_functions(proto)), copies


def rejoin(proto: ModelProto, copies: Mapping[str, str]) -> Mapping[str, str]:
    """Let readers of equal copies read one tensor again, by the original's name where that is free.

    Args:
        proto: What became of the model of ``with_own_vectors``; it is changed in place.
        copies: Names of the copies, with those of their originals.

    Returns:
        The same of the copies that are left.
    """
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    originals = dict.fromkeys(copies.values())
    names = _Numbered((_names(proto) - set(copies)) | set(originals))
    joined: dict[tuple[str, bytes], str] = {}
    renamed: dict[str, str] = {}
    left: dict[str, str] = {}
    given: set[str] = set()
    for name in (*originals, *copies):
        if name not in stored:
            continue
        original = copies.get(name, name)
        key = original, _content(stored[name])
        if key not in joined:
            joined[key] = names.next(original) if original in given else original
            if original in given:
                left[joined[key]] = original
            given.add(original)
        else:
            del stored[name]
        renamed[name] = joined[key]
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if renamed.get(name, name) != name:
                node.input[index] = renamed[name]
    tensors = [tensor for tensor in proto.graph.initializer if tensor.name in stored]
    for tensor in tensors:
        tensor.name = renamed.get(tensor.name, tensor.name)
    if len(tensors) < len(proto.graph.initializer):
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(tensors)
    return left


def _shared(proto: ModelProto) -> tuple[set[str], set[str]]:
    """Stored vectors that a node of the main graph reads, and somebody else, and that no caller can replace.

    Returns:
        Their names, and those of all that is read otherwise than by a node of the main graph.
    """
    graph = proto.graph
    if proto.functions or proto.ir_version < _UNDECLARED_SINCE:
        return set(), set()
    held = {value.name for value in graph.output}
    for address, inner in graphs(graph):
        if address:
            held.update(value.name for value in inner.output)
            held.update(name for node in inner.node for name in node.input)
    sizes = {tensor.name: prod(tensor.dims) for tensor in graph.initializer if _is_vector(tensor)}
    vectors = set(sizes) - {value.name for value in graph.input}
    reads: Counter[str] = Counter()
    for node in graph.node:
        reads.update(vectors.intersection(node.input))
    room = _MOST_COPIED
    shared: set[str] = set()
    for name, count in reads.items():
        copies = count - (name not in held)
        if copies and (room := room - copies * sizes[name]) >= 0:
            shared.add(name)
    return shared, held


class _Numbered:
    """Names with numbers that are free, as ``free_name`` gives them, in one pass."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._last: dict[str, int] = {}

    def next(self, name: str) -> str:
        """The next one."""
        number = self._last.get(name, 1) + 1
        while f"{name}#{number}" in self._taken:
            number += 1
        self._last[name] = number
        self._taken.add(f"{name}#{number}")
        return f"{name}#{number}"


def _is_vector(tensor: TensorProto) -> bool:
    largest, elements = 1, 1
    for size in tensor.dims:
        largest, elements = max(largest, size), elements * size
    return 1 < largest == elements <= _MOST_ELEMENTS


def _names(proto: ModelProto) -> set[str]:
    names: set[str] = set()
    for _, graph in graphs(proto.graph):
        names.update(value.name for value in (*graph.input, *graph.output, *graph.value_info))
        names.update(tensor.name for tensor in graph.initializer)
        names.update(tensor.values.name for tensor in graph.sparse_initializer)
        names.update(name for node in graph.node for name in (*node.input, *node.output))
    return names


def _content(tensor: TensorProto) -> bytes:
    """A tensor, or the reference to it, without its name."""
    nameless = TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return bytes(nameless.SerializeToString(deterministic=True))
