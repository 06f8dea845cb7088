"""What nothing reads any more, dropped."""

from __future__ import annotations

from collections.abc import Set

from onnx import GraphProto, ModelProto

from convaudit.frontends.onnx.fixer.nodes import readers
from convaudit.frontends.onnx.graphs import bodies, graphs


def drop_unread(proto: ModelProto, read_before: Set[str]) -> None:
    """Drop nodes that nothing reads, and stored tensors that nothing reads any more.

    Args:
        proto: It is changed in place. Control flow stays.
        read_before: Names that something read before the changes: what nothing read then stays stored.
    """
    places = [graph for _, graph in graphs(proto.graph)]
    found = readers(proto)
    makers: dict[str, list[tuple[int, int]]] = {}
    for place, graph in enumerate(places):
        for index, node in enumerate(graph.node):
            for name in filter(None, node.output):
                makers.setdefault(name, []).append((place, index))
    waiting = [at for sites in makers.values() for at in sites]
    dead: set[tuple[int, int]] = set()
    gone: set[str] = set()
    while waiting:
        at = waiting.pop()
        node = places[at[0]].node[at[1]]
        if at in dead or bodies(node) or any(found[name] for name in node.output if name):
            continue
        dead.add(at)
        gone.update(filter(None, node.output))
        found.subtract(filter(None, node.input))
        waiting += [maker for name in node.input for maker in makers.get(name, ())]
    for place, index in sorted(dead, reverse=True):
        del places[place].node[index]
    stored = {tensor.name for graph in places for tensor in graph.initializer}
    stored |= {sparse.values.name for graph in places for sparse in graph.sparse_initializer}
    unread = {name for name in stored & read_before if not found[name]}
    for graph in places:
        _drop(graph, gone, unread, declared=graph is places[0])


def _drop(graph: GraphProto, gone: Set[str], unread: Set[str], *, declared: bool) -> None:
    for index in reversed(range(len(graph.value_info))):
        if graph.value_info[index].name in gone | unread:
            del graph.value_info[index]
    dropped = set()
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in unread:
            dropped.add(graph.initializer[index].name)
            del graph.initializer[index]
    for index in reversed(range(len(graph.sparse_initializer))):
        if graph.sparse_initializer[index].values.name in unread:
            del graph.sparse_initializer[index]
    for index in reversed(range(len(graph.input) if declared else 0)):
        if graph.input[index].name in dropped:
            del graph.input[index]
