"""The book of what goes: which elements of each weight, so that none is counted twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from convaudit.analyzer.costs import tensor_bytes
from convaudit.formulas import Count, add, multiply, quotient, subtract
from convaudit.records.findings import Claim, Region
from convaudit.records.report import LayerCost

_Mask = NDArray[np.bool_]
_Sizes = tuple[int, int, int, int]


class Ledger:
    """What earlier claims have named of each layer, and what one more names beyond that."""

    def __init__(self, layers: Sequence[LayerCost]) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._pages: dict[str, _Page | None] = {}
        self._sharing: dict[str, list[str]] = {}  # names of the layers that read one stored tensor
        for layer in layers:
            for key in (_weight_key(layer), _bias_key(layer)):
                self._sharing.setdefault(key, []).append(layer.name)

    def enter(self, claim: Claim) -> tuple[Count | None, Count | None, Count | None]:
        """Enter a claim.

        A stored tensor that several layers read is saved where all of them can do without.

        Returns:
            Parameters, MACs of one run, and bytes that no earlier claim saves; None where unknown.
        """
        names = list(dict.fromkeys([region.layer for region in claim.regions] or [claim.layer]))
        tensors = {
            key: role
            for name in names
            for key, role in (
                (_weight_key(self._layers[name]), "weight"),
                (_bias_key(self._layers[name]), "bias"),
            )
        }
        before = self._state(names, tensors)
        for region in claim.regions:
            page = self._page(region.layer)
            if page is not None:
                page.enter(region)
        if claim.skipped and (own := self._page(claim.layer)) is not None:
            own.skipped = max(own.skipped, claim.skipped)
        after = self._state(names, tensors)
        params, macs, size = (subtract(late, early) for late, early in zip(after, before, strict=True))
        return params, macs, size

    def macs(self, layer: str) -> Count | None:
        """MACs of all calls of a layer that go; 0 of one that no claim names."""
        if layer not in self._pages:
            return 0
        page, cost = self._pages[layer], self._layers[layer]
        if page is None or cost.macs is None:
            return None
        return multiply(_macs(page, cost.macs), cost.calls)

    def _page(self, layer: str) -> _Page | None:
        if layer not in self._pages:
            self._pages[layer] = _page_of(self._layers[layer])
        return self._pages[layer]

    def _state(
        self, names: Iterable[str], tensors: dict[str, str]
    ) -> tuple[Count | None, Count | None, Count | None]:
        for name in names:
            self._page(name)
        elements = {key: self._elements(key, role) for key, role in tensors.items()}
        sizes = [self._bytes(key, role, elements[key]) for key, role in tensors.items()]
        return add(*elements.values()), add(*map(self.macs, names)), add(*sizes)

    def _elements(self, key: str, role: str) -> int | None:
        """Elements of one tensor that no layer needs that reads it."""
        pages = [self._pages.get(name) for name in self._sharing[key]]
        if any(name in self._pages and self._pages[name] is None for name in self._sharing[key]):
            return None
        known = [page for page in pages if page is not None]
        if len(known) < len(pages):
            return 0  # somebody reads all of it
        if role == "bias":
            if not self._layers[self._sharing[key][0]].bias:
                return 0
            return int(_all([page.filters for page in known]).sum())
        masks = [page.mask for page in known]
        taps = max(mask.shape[-1] for mask in masks)
        if len({page.sizes for page in known}) > 1:
            return 0  # read in different shapes: nobody can take it apart
        idle = _all([np.broadcast_to(mask, (*mask.shape[:-1], taps)) for mask in masks])
        return int(idle.sum()) * int(known[0].sizes[-1] // taps)

    def _bytes(self, key: str, role: str, elements: int | None) -> Count | None:
        layer = self._layers[self._sharing[key][0]]
        if role == "bias":
            total, dtype = layer.out_channels, layer.bias_dtype or "unknown"
        else:
            total, dtype = prod(_sizes(layer) or (0,)), layer.weight_dtype
        if elements == 0:
            return 0
        if role == "weight" and layer.stored_params is not None:
            return None  # what is stored is another form of the weight
        left = subtract(total, elements)
        return subtract(tensor_bytes(total, dtype), tensor_bytes(left, dtype))


class _Page:
    """What goes of one layer."""

    def __init__(self, sizes: _Sizes) -> None:
        self.sizes = sizes  # groups, outputs and inputs a group, taps
        self.mask: _Mask = np.zeros((*sizes[:3], 1), bool)
        self.filters: _Mask = np.zeros(sizes[0] * sizes[1], bool)  # whole ones, with their bias
        self.skipped = Fraction(0)

    def enter(self, region: Region) -> None:
        groups, outputs, inputs, taps = self.sizes
        if region.taps is not None and self.mask.shape[-1] != taps:
            self.mask = np.repeat(self.mask, taps, axis=-1)
        chosen = np.ones((groups, outputs, 1, 1), bool)
        if region.outputs is not None:
            chosen = _chosen(region.outputs, groups * outputs).reshape(groups, outputs, 1, 1)
        if region.inputs is not None:
            chosen = chosen & _chosen(region.inputs, groups * inputs).reshape(groups, 1, inputs, 1)
        if region.taps is not None:
            chosen = chosen & _chosen(region.taps, taps)
        self.mask |= chosen
        if region.inputs is None and region.taps is None:
            self.filters |= chosen.all(axis=(2, 3)).ravel()

    @property
    def elements(self) -> int:
        """Weight elements that go."""
        return int(self.mask.sum()) * int(self.sizes[-1] // self.mask.shape[-1])


def _macs(page: _Page, macs: Count) -> Count | None:
    """MACs of one call that go: each element has as many as every other, and the skipped positions none."""
    total = prod(page.sizes)
    share = Fraction(page.elements, total) if total else Fraction(0)
    share += (1 - share) * page.skipped
    return quotient(macs * share.numerator, share.denominator) if share else 0


def _page_of(layer: LayerCost) -> _Page | None:
    sizes = _sizes(layer)
    return None if sizes is None else _Page(sizes)


def _sizes(layer: LayerCost) -> _Sizes | None:
    """Groups, outputs and inputs a group, taps; None where they are unknown."""
    shape = layer.weight_shape
    if shape is None or len(shape) < 2 or not all(isinstance(size, int) for size in shape):
        return None
    first, second, *kernel = (int(size) for size in shape if isinstance(size, int))
    outputs, inputs = (second, first // layer.groups) if layer.transposed else (first // layer.groups, second)
    return layer.groups, outputs, inputs, prod(kernel)


def _weight_key(layer: LayerCost) -> str:
    return f"weight {layer.weight_name}" if layer.weight_name is not None else f"weight of {layer.name}"


def _bias_key(layer: LayerCost) -> str:
    return f"bias {layer.bias_name}" if layer.bias_name is not None else f"bias of {layer.name}"


def _chosen(indices: tuple[int, ...], size: int) -> _Mask:
    chosen = np.zeros(size, bool)
    chosen[list(indices)] = True
    return chosen


def _all(masks: Sequence[_Mask]) -> _Mask:
    every: _Mask = np.logical_and.reduce(masks)
    return every
