"""Which convolutions the kernels of an optimised graph compute, and for which of them they reorder.

A runtime fuses what follows a convolution into its kernel, and renames what it rewrites: a kernel in the
blocked layout is named after the tensor that it makes. So a kernel is known by its node's name, or by the
way back from the tensor that it makes, through the graph as it was, to what other kernels make.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from onnx import GraphProto, NodeProto

from convaudit.frontends.onnx.graphs import bodies, graphs

_BLOCKED = "com.microsoft.nchwc"
_BLOCKED_NAME = re.compile(r"_nchwc(_token_\d+)?$")
_REORDERS = ("ReorderInput", "ReorderOutput")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What one node of an optimised graph does.

    Attributes:
        label: Its op, for people: "Conv (NCHWc)".
        layers: Positions of the convolutions that it computes.
        reorders_for: Position of the one for which it reorders; None: it does not, or for none.
    """

    label: str
    layers: tuple[int, ...] = ()
    reorders_for: int | None = None


def kernels_of(original: GraphProto, layers: Mapping[str, int], optimized: GraphProto) -> dict[str, Kernel]:
    """What each node of an optimised graph does, by its name.

    Args:
        original: The graph as it was given to the runtime. The names of its nodes and tensors are unique,
            those of its bodies too.
        layers: Positions of the convolutions, by the name of their node.
        optimized: What the runtime made of it.
    """
    return _Optimized(original, layers, optimized).kernels()


class _Optimized:
    def __init__(self, original: GraphProto, layers: Mapping[str, int], optimized: GraphProto) -> None:
        self._layers = layers
        self._makers = {name: node for node in nodes_of(original) for name in node.output if name}
        self._nodes = list(nodes_of(optimized))
        self._made = {node.name: self._known_outputs(node) for node in self._nodes}
        self._given = {name for names in self._made.values() for name in names}
        self._given |= {tensor.name for _, graph in graphs(optimized) for tensor in graph.initializer}
        self._claimed = {node.name for node in self._nodes} & layers.keys()
        self._computed = {node.name: self._layers_of(node) for node in self._nodes}

    def kernels(self) -> dict[str, Kernel]:
        return {
            node.name: Kernel(kernel_label(node), self._computed[node.name], self._reorders_for(node))
            for node in self._nodes
        }

    def _known_outputs(self, node: NodeProto) -> list[str]:
        """What it makes, as far as the graph had it before."""
        outputs = [name for name in node.output if name in self._makers]
        named = _BLOCKED_NAME.sub("", node.name)
        return [*outputs, named] if node.domain == _BLOCKED and named in self._makers else outputs

    def _layers_of(self, node: NodeProto) -> tuple[int, ...]:
        if node.name in self._claimed:
            return (self._layers[node.name],)
        if bodies(node) or _is_reorder(node):
            return ()  # what runs in a body has kernels of its own
        return tuple(sorted(self._way_back(self._made[node.name], self._given)))

    def _way_back(self, outputs: Iterable[str], given: Set[str]) -> set[int]:
        """Convolutions between some tensors and those that other kernels make."""
        found, seen, todo = set(), set[str](), list(outputs)
        while todo:
            name = todo.pop()
            if name in seen or name not in self._makers:
                continue
            seen.add(name)
            maker = self._makers[name]
            if maker.name in self._layers and maker.name not in self._claimed:
                found.add(self._layers[maker.name])
            todo += [source for source in maker.input if source and source not in given]
        return found

    def _reorders_for(self, node: NodeProto) -> int | None:
        """The convolution outside of the blocked layout that it reorders for."""
        if not _is_reorder(node):
            return None
        beside = self._readers(node) if node.op_type == "ReorderOutput" else self._sources(node)
        outside = [self._computed[other.name] for other in beside if other.domain != _BLOCKED]
        return next((layers[0] for layers in outside if len(layers) == 1), None)

    def _readers(self, node: NodeProto) -> Sequence[NodeProto]:
        return [other for other in self._nodes if set(node.output) & set(other.input)]

    def _sources(self, node: NodeProto) -> Sequence[NodeProto]:
        return [other for other in self._nodes if set(node.input) & set(other.output)]


def _is_reorder(node: NodeProto) -> bool:
    return node.domain == _BLOCKED and node.op_type in _REORDERS


def nodes_of(graph: GraphProto) -> Iterable[NodeProto]:
    """All nodes of a graph, and of the bodies inside it."""
    return (node for _, inner in graphs(graph) for node in inner.node)


def kernel_label(node: NodeProto) -> str:
    """The op of a kernel, and the layout that it works in."""
    return f"{node.op_type} (NCHWc)" if node.domain == _BLOCKED else str(node.op_type)
