"""Bounds of every activation, forward through all graphs of a model: what no input can make it exceed.

Where an op is not in a table, where a tensor comes from outside (inputs of the model, state of a Loop), and
where sums grow without end, the activation is unbounded; a network of ReLUs on an unbounded input has no
bounds at all. Sigmoids, clips, quantisation and constants make them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from onnx import NodeProto

from convaudit.engine.operands import Array
from convaudit.errors import ModelError
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.elementwise_bounds import ELEMENTWISE_BOUNDS
from convaudit.frontends.onnx.channels.facts import KnownElements, ValueKey
from convaudit.frontends.onnx.channels.intervals import (
    UNBOUNDED,
    Interval,
    interval,
)
from convaudit.frontends.onnx.channels.moving_bounds import MOVING_BOUNDS, Moved
from convaudit.frontends.onnx.channels.stored import Stored
from convaudit.frontends.onnx.graphs import Address, bodies
from convaudit.frontends.onnx.ops import op_of
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer, Shape

_LARGEST_CONSTANT = 2**16  # elements; of a larger one only its extremes are kept
_FIXED: dict[str, tuple[float, float]] = {
    "bool": (0, 1),
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (2, 4, 8, 16)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (2, 4, 8, 16)},
}
"""The values of the small element types."""


class Bounds:
    """Bounds of a model's tensors, found from the first node to the last."""

    def __init__(
        self,
        walked: Walked,
        stored: Stored,
        known: Mapping[ValueKey, KnownElements],
        of_layer: Callable[[ConvLayer, Interval], Interval],
    ) -> None:
        """Take what is needed.

        Args:
            walked: The model.
            stored: The way to its constants.
            known: Elements that are constant.
            of_layer: What a convolution gives, told its record and bounds of its input. It is called of each
                once, in the order in which they run.
        """
        self._walked = walked
        self._stored = stored
        self._known = known
        self._of_layer = of_layer
        self._found: dict[ValueKey, Interval] = {}
        self._layers = {walked.addresses[layer.name]: layer for layer in walked.network.layers}

    def find(self) -> None:
        """Go through all graphs."""
        self._graph(())

    def _graph(self, address: Address) -> None:
        for index, node in enumerate(self._stored.graphs.at(address).graph.node):
            place = (*address, index)
            for attribute, _ in bodies(node):
                self._graph((*place, attribute))
            for name, found in zip(node.output, self._node(node, place), strict=False):
                key = (address, name)
                if name:
                    self._keep(key, found)

    def _keep(self, key: ValueKey, found: Interval) -> None:
        known = self._known.get(key)
        if known is not None:
            values = known.values.astype(np.float64)
            constant = Interval(np.where(known.mask, values, -np.inf), np.where(known.mask, values, np.inf))
            found = found.within(constant.widened)
        low, high = _FIXED.get(self._walked.inferred.dtype(*key, None), (-np.inf, np.inf))
        found = found.within(interval(low, high))
        if found.bounded:
            self._found[key] = found

    def of(self, address: Address, name: str) -> Interval:
        """Bounds of a tensor that the graph at ``address`` sees."""
        home = self._stored.graphs.home(address, name)
        if home is None:
            return UNBOUNDED
        tensor = home.stored(name)
        if tensor is not None:
            return _of_constant(np.asarray(self._walked.model.array(tensor)))
        key = (home.address, name)
        if key not in self._found and name in home.inputs:
            self._keep(key, UNBOUNDED)
        return self._found.get(key, UNBOUNDED)

    def _shape(self, address: Address, name: str) -> Shape | None:
        """Sizes of a tensor, as far as they are known; None if not even its rank is."""
        home = self._stored.graphs.home(address, name)
        return None if home is None else self._walked.inferred.shape(home.address, name)

    def _node(self, node: NodeProto, place: Address) -> Iterator[Interval]:
        address = place[:-1]
        layer = self._layers.get(place)
        if layer is not None:
            return iter([self._of_layer(layer, self.of(address, node.input[0]))])
        if op_of(node) == "If":
            return self._chosen(node, place)
        attributes, op = Attributes(node, node.name), op_of(node)
        operands = [self.of(address, name) if name else None for name in node.input]
        try:
            if op in ELEMENTWISE_BOUNDS:
                return iter([ELEMENTWISE_BOUNDS[op](attributes, operands)])
            if op in MOVING_BOUNDS:
                moved = Moved(
                    attributes=attributes,
                    operands=operands,
                    shapes=[self._shape(address, name) for name in node.input],
                    given=[self._shape(address, name) for name in node.output],
                )
                return iter(list(MOVING_BOUNDS[op](moved)))
        except (ModelError, ValueError, TypeError, IndexError):
            pass  # operands that do not fit each other: whoever runs it will tell
        return iter([])

    def _chosen(self, node: NodeProto, place: Address) -> Iterator[Interval]:
        """Results of an If: those of either branch."""
        results = [
            [self.of((*place, name), value.name) for value in body.output] for name, body in bodies(node)
        ]
        for one, other in zip(*results, strict=False) if len(results) == 2 else ():
            yield one.hull.joined(other.hull)


def _of_constant(values: Array) -> Interval:
    if values.dtype.kind not in "iufb" and not values.dtype.name.startswith("bfloat"):
        return UNBOUNDED
    if not values.size:
        return UNBOUNDED
    if values.size > _LARGEST_CONSTANT:
        return interval(float(values.min()), float(values.max()))
    ends = values.astype(np.float64)
    return UNBOUNDED if np.isnan(ends).any() else Interval(ends, ends)
