"""Finds the layer of the network that a convolution is which runs on values."""

from __future__ import annotations

from dataclasses import replace

from convaudit.frontends.torch.walker.layers import PlacedLayer
from convaudit.records import ConvLayer, Network


class Places:
    """Finds the layer of the network that a convolution is which runs on values.

    Where values decide on sizes it may run at others than in the audit; then it is the layer that has most of
    its sizes, and of several one that did not run at its own.
    """

    def __init__(self, network: Network) -> None:
        self._layers = network.layers
        self._exact = {_call_of(layer): place for place, layer in enumerate(network.layers)}
        self._alike: dict[ConvLayer, list[int]] = {}
        self._found: set[int] = set()
        for place, layer in enumerate(network.layers):
            self._alike.setdefault(_without_sizes(layer), []).append(place)

    def of(self, row: ConvLayer) -> int | None:
        """Its place in the network; None if no layer is like it."""
        place = self._exact.get(_call_of(row))
        if place is not None:
            self._found.add(place)
            return place

        def likeness(place: int) -> tuple[int, bool]:
            return _equal_sizes(self._layers[place], row), place not in self._found

        return max(self._alike.get(_without_sizes(row), []), key=likeness, default=None)


def _call_of(row: ConvLayer) -> ConvLayer:
    """What tells one call from others: not its name, nor from what its weight is computed."""
    row = replace(row, name="", calls=1, weight_name=None, bias_name=None, stored_params=None, notes=())
    return replace(row, computed=False) if isinstance(row, PlacedLayer) else row


def _without_sizes(row: ConvLayer) -> ConvLayer:
    return replace(_call_of(row), input_shape=None, output_shape=None)


def _equal_sizes(layer: ConvLayer, row: ConvLayer) -> int:
    pairs = zip(layer.input_shape or (), row.input_shape or (), strict=False)
    return sum(size == other for size, other in pairs)
