"""Nodes in the order in which they can run: ONNX asks for it, onnxruntime does not need it.

Its float16 converter, for one, appends the Casts of the inputs at the end of the graph.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from convaudit.frontends.onnx.graphs import bodies


def is_in_order(model: ModelProto) -> bool:
    """Whether in all graphs and functions no node reads what a later one makes."""
    return all(_is_in_order(graph) for graph in (model.graph, *model.functions))


def in_order(nodes: Sequence[NodeProto]) -> list[tuple[int, NodeProto]]:
    """Nodes with their positions in the file, each after those whose results it, or a body of it, reads.

    Otherwise they stay in the file's order; so do the nodes of a cycle, at the end.
    """
    producers = {name: index for index, node in enumerate(nodes) for name in node.output}
    readers: dict[int, list[int]] = {}
    missing = [0] * len(nodes)
    for index, node in enumerate(nodes):
        for producer in {producers[name] for name in _reads(node) if name in producers}:
            readers.setdefault(producer, []).append(index)
            missing[index] += 1
    ready = [index for index, count in enumerate(missing) if not count]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers.get(index, ()):
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    order += [index for index, count in enumerate(missing) if count]
    return [(index, nodes[index]) for index in order]


def _is_in_order(graph: GraphProto | FunctionProto) -> bool:
    to_come = {name for node in graph.node for name in node.output if name}
    for node in graph.node:
        if not to_come.isdisjoint(node.input):
            return False
        for _, body in bodies(node):
            if not to_come.isdisjoint(_captured(body)) or not _is_in_order(body):
                return False
        to_come.difference_update(node.output)
    return True


def _reads(node: NodeProto) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for _, body in bodies(node):
        yield from _captured(body)


def _captured(body: GraphProto) -> set[str]:
    """Names that a body reads from the graphs around it."""
    read = {name for node in body.node for name in _reads(node)} | _names(body.output)
    made = {name for node in body.node for name in node.output}
    return read - made - _names(body.input) - _names(body.initializer)


def _names(values: Iterable[object]) -> set[str]:
    return {value.name for value in values}  # type: ignore[attr-defined]
