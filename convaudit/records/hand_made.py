"""Grouped convolutions written by hand: the parts of one tensor, a convolution of each, joined again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from convaudit.records.network import ConvLayer, HandMadeGroups

_Layer = TypeVar("_Layer", bound=ConvLayer)


@dataclass(frozen=True, slots=True)
class CutOut:
    """Where a tensor comes from: channels ``start`` to ``stop`` of a source, cut out."""

    source: object  # equal for the same tensor
    start: int
    stop: int


def parts_of_one(parts: Sequence[tuple[CutOut, _Layer] | None]) -> Iterable[tuple[_Layer, ...]]:
    """Runs of at least two convolutions of neighbouring parts, among the tensors that are joined.

    Args:
        parts: Of each tensor, in order, the part whose convolution it is, and that; None for any other.
    """
    run: list[tuple[CutOut, _Layer]] = []
    seen: set[object] = set()
    for item in [*parts, None]:
        own = None if item is None else item[1].weight_name or item[1]
        if item is not None and run and own not in seen and _continues(run[-1], item):
            run.append(item)
        else:
            if len(run) > 1:
                yield tuple(layer for _, layer in run)
            run = [] if item is None else [item]
            seen = set()
        seen.add(own)


def _continues(last: tuple[CutOut, ConvLayer], item: tuple[CutOut, ConvLayer]) -> bool:
    before, after = last[0], item[0]
    return (before.source, before.stop) == (after.source, after.start) and _form(last[1]) == _form(item[1])


def _form(layer: ConvLayer) -> tuple[object, ...]:
    return (
        layer.op,
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.output_padding,
        layer.transposed,
        layer.bias,
        layer.calls,
    )


def with_notes(layers: Iterable[_Layer], found: Iterable[HandMadeGroups]) -> tuple[_Layer, ...]:
    """The layers, with a note on each that is one of ``found``."""
    notes = {
        name: f"one of {len(one.layers)} convolutions that are one with groups={one.groups}, made by hand"
        for one in found
        for name in one.layers
    }
    return tuple(
        replace(layer, notes=(*layer.notes, notes[layer.name])) if layer.name in notes else layer
        for layer in layers
    )
