"""The nodes that quantise and dequantise around a convolution, which a runtime computes in one with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import NodeProto

from convaudit.frontends.onnx.graphs import Address, GraphIndex, Graphs
from convaudit.frontends.onnx.ops import op_of
from convaudit.frontends.onnx.twin.weights import DEQUANTIZE
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import operands

_QUANTIZE = ("QuantizeLinear", "com.microsoft.QuantizeLinear")
_ACTIVATIONS = ("Relu", "Clip")
"""Ops that a quantised runtime takes for a part of quantising."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around a convolution, and is computed with it.

    Attributes:
        before: The node that dequantises its input.
        after: What follows it, up to the node that quantises its output.
    """

    before: tuple[NodeProto, ...] = ()
    after: tuple[NodeProto, ...] = ()


class Neighbours:
    """Finds the nodes around others."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._readers: dict[Address, Mapping[str, list[NodeProto]]] = {}

    def around(self, scope: Address, node: NodeProto, constants: Constants) -> Surroundings:
        """What quantises and dequantises around a convolution: both, or nothing.

        Args:
            scope: Address of the node's graph.
            node: The convolution's.
            constants: What the graph sees; it takes over what the nodes around need.
        """
        before = constants.producer(operands(node)["x"])
        if before is None or op_of(before) not in DEQUANTIZE or not _take(constants, before):
            return Surroundings()
        after: list[NodeProto] = []
        while True:
            reader = self._only_reader(scope, (after[-1] if after else node).output[0])
            if reader is None or not _take(constants, reader):
                return Surroundings()
            after.append(reader)
            if op_of(reader) in _QUANTIZE:
                return Surroundings((before,), tuple(after))
            if op_of(reader) not in _ACTIVATIONS or len(after) > 1:
                return Surroundings()

    def _only_reader(self, scope: Address, name: str) -> NodeProto | None:
        index = self._graphs.at(scope)
        if scope not in self._readers:
            self._readers[scope] = _readers(index)
        readers = self._readers[scope].get(name, [])
        handed_out = any(value.name == name for value in index.graph.output)
        return readers[0] if len(readers) == 1 and not handed_out else None


def _readers(index: GraphIndex) -> dict[str, list[NodeProto]]:
    readers: dict[str, list[NodeProto]] = {}
    for node in index.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _take(constants: Constants, node: NodeProto) -> bool:
    """Whether all that a node reads beside its first input is constant, and taken over."""
    return all(constants.take(name) for name in node.input[1:] if name)
