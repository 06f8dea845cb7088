"""Which convolutions the kernels of an optimised graph compute, and for which of them they reorder.

A runtime fuses what follows a convolution into its kernel, and renames what it rewrites: a kernel in the
blocked layout is named after the tensor that it makes. So a kernel is known by its node's name, or by the
way back from the tensor that it makes, through the graph as it was, to what other kernels make.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import GraphProto, NodeProto, defs

from convaudit.frontends.onnx.graphs import bodies, graphs
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.timer.original import Original, nodes_of
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS

CONVOLUTIONS = {op.rpartition(".")[2] for op in CONV_OPS}
"""Types of ops that only a convolution becomes, whatever their domain."""
_MAY_CONVOLVE = {op.rpartition(".")[2] for op in MULTIPLYING_OPS} | CONVOLUTIONS
_BLOCKED, _NHWC = "com.microsoft.nchwc", "com.ms.internal.nhwc"
_BLOCKED_NAMES = (re.compile(r"_nchwc(_token_\d+)?$"), re.compile(r"_(bn|mul)_nchwc(_token_\d+)?$"))
"""Of what is made in the blocked layout; a factor for each channel becomes a convolution there."""

Layout = Literal["NCHWc", "NHWC"]


@dataclass(frozen=True, slots=True)
class Kernel:
    """What one node of an optimised graph does.

    Attributes:
        op: Type of its op.
        layout: That it works in, where that is not the model's own.
        layers: Positions of the convolutions that it computes.
        reorders_for: Position of the one for which it reorders; None: it does not, or for none.
        named: Whether it is known what it does beside that.
    """

    op: str
    layout: Layout | None = None
    layers: tuple[int, ...] = ()
    reorders_for: int | None = None
    named: bool = True

    @property
    def label(self) -> str:
        """For people: "Conv (NCHWc)"."""
        return f"{self.op} ({self.layout})" if self.layout else self.op

    @property
    def unknown(self) -> bool:
        """Whether nothing tells what it does, or it convolves and nothing tells for which layer."""
        return not self.named or (self.op in CONVOLUTIONS and not self.layers)


def kernels_of(original: Original, optimized: GraphProto) -> dict[str, Kernel]:
    """What each node of an optimised graph does, by its name.

    Args:
        original: The model as it was given to the runtime.
        optimized: What the runtime made of it.
    """
    return _Optimized(original, optimized).kernels()


class _Optimized:
    def __init__(self, original: Original, optimized: GraphProto) -> None:
        self._original = original
        self._nodes = list(nodes_of(optimized))
        self._readers, self._sources = _neighbours(self._nodes)
        self._made = [self._known_outputs(node) for node in self._nodes]
        stored = [tensor.name for _, graph in graphs(optimized) for tensor in graph.initializer]
        given = [name for name in map(original.tensor, stored) if name]
        self._given = original.alike([*given, *(name for names in self._made for name in names)])
        named = [self._by_name(node) for node in self._nodes]
        self._named = {layer for layer in named if layer is not None}
        self._computed = [
            self._by_tensors(position) if layer is None else ((layer,), None)
            for position, layer in enumerate(named)
        ]

    def kernels(self) -> dict[str, Kernel]:
        found: dict[str, Kernel] = {}
        for position, node in enumerate(self._nodes):
            layers, instead = self._computed[position]
            kernel = Kernel(instead or node.op_type, layout_of(node), layers, self._reorders_for(position))
            name = node.name or f"({node.op_type})"  # its event's ends with a number that the graph lacks
            if found.setdefault(name, kernel) != kernel:  # two graphs may hold nodes of one name
                found[name] = Kernel(node.op_type, layout_of(node))
        return found

    def _known_outputs(self, node: NodeProto) -> list[str]:
        """What it makes, as far as the graph had it before."""
        candidates = [name for name in node.output if name]
        before = self._original.nodes.get(node.name)
        if before is not None and before.op_type == node.op_type:
            candidates += before.output
        if node.domain == _BLOCKED:
            candidates.append(made_by_blocked(node.name, self._original) or "")
        return [name for name in map(self._original.tensor, candidates) if name]

    def _by_name(self, node: NodeProto) -> int | None:
        layer = self._original.layer(node.name)
        return layer if node.op_type in _MAY_CONVOLVE else None

    def _by_tensors(self, position: int) -> tuple[tuple[int, ...], str | None]:
        """The convolutions on the way back to what other kernels make; if there is none, the op that is."""
        node = self._nodes[position]
        if bodies(node) or (node.op_type not in _MAY_CONVOLVE and is_described(node)):
            return (), None
        if node.name in self._original.nodes and node.op_type not in CONVOLUTIONS:
            return (), None
        passed = self._original.between(self._made[position] or self._made_behind(position), self._given)
        layers = tuple(sorted(self._original.layers_of(passed) - self._named))
        others = [node.op_type for node in passed if node.name not in self._original.positions]
        return layers, None if layers or not others else others[-1]

    def _made_behind(self, position: int) -> list[str]:
        """What the nodes make that the runtime put behind it, to change its layout or its type."""
        behind = [reader for reader in self._readers[position] if self._is_inserted(reader)]
        return [name for reader in behind for name in self._made[reader] or self._made_behind(reader)]

    def _is_inserted(self, position: int) -> bool:
        node = self._nodes[position]
        return node.op_type in ("Transpose", "Cast") and node.name not in self._original.nodes

    def _reorders_for(self, position: int) -> int | None:
        """The convolution outside of the layout that its neighbour works in."""
        if not self._is_reorder(position):
            return None
        beside = [*self._sources[position], *self._readers[position]]
        if not any(layout_of(self._nodes[other]) for other in beside):
            return None
        outside = [self._computed[other][0] for other in beside if not layout_of(self._nodes[other])]
        return next((layers[0] for layers in outside if len(layers) == 1), None)

    def _is_reorder(self, position: int) -> bool:
        node = self._nodes[position]
        if node.domain == _BLOCKED:
            return node.op_type in ("ReorderInput", "ReorderOutput")
        return node.op_type == "Transpose" and self._is_inserted(position)


def _neighbours(nodes: Sequence[NodeProto]) -> tuple[Mapping[int, list[int]], Mapping[int, list[int]]]:
    """Positions of the nodes that read what each one makes, and of those that make what it reads."""
    makers = {name: position for position, node in enumerate(nodes) for name in node.output if name}
    readers, sources = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for position, node in enumerate(nodes):
        for maker in dict.fromkeys(makers[name] for name in node.input if name in makers):
            readers[maker].append(position)
            sources[position].append(maker)
    return readers, sources


def made_by_blocked(name: str, original: Original) -> str | None:
    """The tensor after which a kernel in the blocked layout is named; None if it is not."""
    tensors = (original.tensor(ending.sub("", name)) for ending in _BLOCKED_NAMES if ending.search(name))
    return next(filter(None, tensors), None)


def layout_of(node: NodeProto) -> Layout | None:
    """The layout that a kernel works in, where that is not the model's own."""
    if node.domain == _BLOCKED:
        return "NCHWc"
    last = any(item.name == "channels_last" and item.i for item in node.attribute)
    return "NHWC" if last or node.domain == _NHWC or node.op_type.startswith("Nhwc") else None


def is_described(node: NodeProto) -> bool:
    """Whether its op is one of ONNX's or of onnxruntime's, not something that a provider compiled."""
    return node.domain.startswith(("com.microsoft", "com.ms.")) or defs.has(node.op_type, node.domain)


def is_blocked_name(name: str) -> bool:
    """Whether a node of that name works in the blocked layout."""
    return any(ending.search(name) for ending in _BLOCKED_NAMES)
