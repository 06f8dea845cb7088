"""Bounds of every activation, forward through all graphs of a model: what no input can make it exceed.

Where an op is not in a table, where a tensor comes from outside (inputs of the model, state of a Loop), and
where sums grow without end, the activation is unbounded; a network of ReLUs on an unbounded input has no
bounds at all. Sigmoids, clips, quantisation and constants make them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod

import numpy as np

from convaudit.engine.operands import Array
from convaudit.errors import LoadError, ModelError
from convaudit.frontends.onnx.channels.compressed import MOST_OF_A_FACT
from convaudit.frontends.onnx.channels.elementwise_bounds import ELEMENTWISE_BOUNDS
from convaudit.frontends.onnx.channels.facts import ValueKey
from convaudit.frontends.onnx.channels.intervals import UNBOUNDED, Interval, interval
from convaudit.frontends.onnx.channels.moving_bounds import MOVING_BOUNDS, Moved
from convaudit.frontends.onnx.channels.sites import GraphTensors, Site, sites
from convaudit.frontends.onnx.graphs import bodies
from convaudit.records import ConvLayer

_FIXED: dict[str, tuple[float, float]] = {
    "bool": (0, 1),
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (2, 4, 8, 16)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (2, 4, 8, 16)},
}
"""The values of the small element types."""
_WRAPPING = {
    **_FIXED,
    **{f"int{bits}": (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) for bits in (32, 64)},
    **{f"uint{bits}": (0.0, 2.0**bits - 1) for bits in (32, 64)},
}
"""The values of the element types whose sums begin anew at the other end."""
_ROUNDED = frozenset({"AveragePool", "Div", "Mean", "Resize", "Upsample"})
"""Ops that give integers the integer beside the quotient."""

_ALIGNED_SINCE = 7  # opset: before, an attribute said along which axes an operand is spread


class Bounds:
    """Bounds of a model's tensors, found from the first node to the last."""

    def __init__(self, tensors: GraphTensors, of_layer: Callable[[ConvLayer, Interval], Interval]) -> None:
        """Take what is needed.

        Args:
            tensors: The model's, with what is known of them.
            of_layer: What a convolution gives, told its record and bounds of its input. It is called of each
                once, in the order in which they run.
        """
        self._tensors = tensors
        self._of_layer = of_layer
        self._found: dict[ValueKey, Interval] = {}

    def find(self) -> None:
        """Go through all graphs."""
        for site in sites(self._tensors):
            for key, given in zip(site.outputs, self._given(site), strict=False):
                found = UNBOUNDED if key is None else self._narrowed(key, self._placed(site.op, key, given))
                if key is not None and found.bounded:
                    self._found[key] = found

    def of(self, key: ValueKey | None) -> Interval:
        """Bounds of a tensor."""
        if key is None:
            return UNBOUNDED
        if key not in self._found:
            constant = self._constant(key)
            self._found[key] = self._narrowed(key, UNBOUNDED) if constant is None else constant
        return self._found[key]

    def _placed(self, op: str, key: ValueKey, given: Interval) -> Interval:
        """Bounds as an op computes them, with an axis for each of the tensor's, or with none."""
        low_end, high_end = _WRAPPING.get(self._dtype(key), (-np.inf, np.inf))
        if np.isfinite(low_end):
            room = op in _ROUNDED
            low, high = given.low - room, given.high + room
            wraps = (low <= low_end - 1) | (high >= high_end + 1)
            given = Interval(np.where(wraps, -np.inf, low), np.where(wraps, np.inf, high))
        return given.ranked(self._tensors.shape(key))

    def _dtype(self, key: ValueKey) -> str:
        return self._tensors.walked.inferred.dtype(*key, None) or ""

    def _narrowed(self, key: ValueKey, found: Interval) -> Interval:
        """Bounds of a tensor that is computed, with what else is known of it."""
        known = self._tensors.known.get(key)
        if (
            known is not None
            and prod(np.broadcast_shapes(known.mask.shape, found.low.shape)) <= MOST_OF_A_FACT
        ):
            values = known.values.astype(np.float64)
            low, high = (np.where(known.mask, values, end) for end in (-np.inf, np.inf))
            found = found.within(Interval(low, high).widened)
        low_end, high_end = _FIXED.get(self._dtype(key), (-np.inf, np.inf))
        return found.within(interval(low_end, high_end))

    def _constant(self, key: ValueKey) -> Interval | None:
        """Bounds of a tensor that the file holds."""
        if not self._tensors.is_stored(key):
            return None
        tensor = self._tensors.graphs.at(key[0]).stored(key[1])
        try:
            return (
                None if tensor is None else _of_constant(np.asarray(self._tensors.walked.model.array(tensor)))
            )
        except LoadError:
            return UNBOUNDED

    def _given(self, site: Site) -> Iterable[Interval]:
        if site.layer is not None:
            return [self._of_layer(site.layer, self.of(site.inputs[0]))]
        if site.op == "If":
            return self._chosen(site)
        operands = [None if key is None else self.of(key) for key in site.inputs]
        try:
            if site.op in ELEMENTWISE_BOUNDS:
                if site.opset < _ALIGNED_SINCE:
                    operands = [None if one is None else one.hull for one in operands]
                return [ELEMENTWISE_BOUNDS[site.op](site.attributes, _small(operands))]
            if site.op in MOVING_BOUNDS:
                shapes, given = (
                    [None if key is None else self._tensors.shape(key) for key in keys]
                    for keys in (site.inputs, site.outputs)
                )
                moved = Moved(attributes=site.attributes, operands=operands, shapes=shapes, given=given)
                return list(MOVING_BOUNDS[site.op](moved))
        except (ModelError, ValueError, TypeError, IndexError):
            pass  # operands that do not fit each other: whoever runs it will tell
        return []

    def _chosen(self, site: Site) -> Iterable[Interval]:
        """Results of an If: those of either branch."""
        branches = bodies(site.node)
        if len(branches) != 2:
            return
        scopes = [(*site.address, name) for name, _ in branches]
        for results in zip(*(body.output for _, body in branches), strict=False):
            one, other = (
                self.of(self._tensors.key(scope, value.name))
                for scope, value in zip(scopes, results, strict=True)
            )
            yield one.hull.joined(other.hull)


def _small(operands: Sequence[Interval | None]) -> Sequence[Interval | None]:
    """The operands of one op; their hulls where together they would take too much memory."""
    shapes = [end.shape for one in operands if one is not None for end in (one.low, one.high)]
    if prod(np.broadcast_shapes(*shapes)) <= MOST_OF_A_FACT:
        return operands
    return [None if one is None else one.hull for one in operands]


def _of_constant(values: Array) -> Interval:
    if not values.size or values.dtype.kind not in "iufbV":
        return UNBOUNDED
    if values.size > MOST_OF_A_FACT:
        ends = float(values.min()), float(values.max())
        return UNBOUNDED if np.isnan(ends).any() else interval(*ends)
    numbers = values.astype(np.float64)
    return UNBOUNDED if np.isnan(numbers).any() else Interval(numbers, numbers)
