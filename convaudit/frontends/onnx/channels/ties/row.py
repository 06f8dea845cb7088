"""What a row of the table of ties is given, and the ties that many ops share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.coupling import Axis, Couplings
from convaudit.frontends.onnx.channels.facts import ValueKey
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown

Tying: TypeAlias = Callable[[Site, Couplings], None]
"""Ties and pins what a node reads and gives. ``Unknown`` may be raised: then all of it is pinned."""


def label(site: Site) -> str:
    """How people call a node."""
    origin = site.tensors.walked.expanded.origins.get(site.address)
    if site.layer is not None:
        return site.layer.name
    if origin is not None:
        return origin.path
    return site.node.name or f"{site.node.op_type}_{site.address[-1]}"


def operand(site: Site, index: int) -> ValueKey | None:
    """An operand; None if it is absent."""
    return site.inputs[index] if index < len(site.inputs) else None


def result(site: Site, index: int = 0) -> ValueKey | None:
    """A result; None if it is absent."""
    return site.outputs[index] if index < len(site.outputs) else None


def only(key: ValueKey | None) -> ValueKey:
    """A tensor that must be there."""
    if key is None:
        raise Unknown
    return key


def present(keys: Iterable[ValueKey | None]) -> list[ValueKey]:
    """Those that are there."""
    return [key for key in keys if key is not None]


def pin_node(site: Site, couplings: Couplings, why: str | None = None) -> None:
    """Nothing that a node reads or gives can change."""
    why = why or f"{label(site)} ({site.op}) takes all channels"
    for key in present([*site.inputs, *site.outputs]):
        couplings.pin_all(key, why)


def tie_axes(couplings: Couplings, first: ValueKey, second: ValueKey, why: str) -> None:
    """Tie all axes of two tensors of one shape."""
    if couplings.rank(first) != couplings.rank(second):
        couplings.pin_all(first, why)
        couplings.pin_all(second, why)
        return
    for axis in range(couplings.rank(first)):
        tie_or_pin(couplings, Axis(first, axis), Axis(second, axis), why)


def tie_or_pin(couplings: Couplings, first: Axis, second: Axis, why: str) -> None:
    """Tie two axes of one size; pin them where the sizes are not one known number."""
    sizes = couplings.size(first), couplings.size(second)
    if sizes[0] == sizes[1] and sizes[0] is not None:
        couplings.tie(first, second)
    else:
        couplings.pin(first, why)
        couplings.pin(second, why)


def tie_broadcast(couplings: Couplings, source: ValueKey, target: ValueKey, why: str) -> None:
    """Tie a tensor to what it is broadcast to."""
    shift = couplings.rank(target) - couplings.rank(source)
    if shift < 0:
        couplings.pin_all(source, why)
        couplings.pin_all(target, why)
        return
    for axis in range(couplings.rank(source)):
        if couplings.size(Axis(source, axis)) != 1:
            tie_or_pin(couplings, Axis(source, axis), Axis(target, axis + shift), why)


def same_axes(first: int = 0) -> Tying:
    """An op whose first result lies as its operand does; other operands are single numbers."""

    def tying(site: Site, couplings: Couplings) -> None:
        tie_axes(couplings, only(operand(site, first)), only(result(site)), f"sizes of {label(site)}")

    return tying


def elementwise(*operands: int) -> Tying:
    """An op of elements, with broadcasting; of these operands, by default of all."""

    def tying(site: Site, couplings: Couplings) -> None:
        if site.opset < 7 and any(name in site.attributes for name in ("broadcast", "axis")):
            raise Unknown
        target = only(result(site))
        for index in operands or range(len(site.inputs)):
            source = operand(site, index)
            if source is not None:
                tie_broadcast(couplings, source, target, f"sizes of {label(site)}")
        for other in present(site.outputs[1:]):
            couplings.pin_all(other, f"{label(site)} gives it")

    return tying


def channelwise(*parameters: int) -> Tying:
    """An op that keeps batch and channels, and does what it likes with the other axes.

    Args:
        parameters: Operands with an element for each channel.
    """

    def tying(site: Site, couplings: Couplings) -> None:
        source, target, who = only(operand(site, 0)), only(result(site)), label(site)
        for axis in (0, 1):
            tie_or_pin(couplings, Axis(source, axis), Axis(target, axis), f"sizes of {who}")
        for key in (source, target):
            couplings.pin_all(key, f"{who} works along it", but=(0, 1))
        for index in parameters:
            parameter = operand(site, index)
            if parameter is not None:
                tie_or_pin(couplings, Axis(parameter, 0), Axis(target, 1), f"sizes of {who}")
        for other in present(site.outputs[1:]):
            couplings.pin_all(other, f"{who} gives it")
            couplings.pin_all(source, f"{who} says where in all channels it found it")

    return tying


def numbers(count: int, start: int = 0) -> Indices:
    """``start``, ``start + 1``, ..."""
    return np.arange(start, start + count, dtype=np.intp)
