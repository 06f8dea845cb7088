"""What ops tie that put channels beside each other, take them apart, or change their order."""

from __future__ import annotations

import numpy as np

from convaudit.frontends.onnx.channels.coupling import Axis, Couplings
from convaudit.frontends.onnx.channels.facts import ValueKey
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.ties.row import (
    Tying,
    label,
    numbers,
    only,
    operand,
    result,
    tie_axes,
    tie_or_pin,
)
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown


def _axis(site: Site, rank: int, default: int = 0) -> int:
    return normalized(site.attributes.integer("axis", default), rank)


def _tie_others(couplings: Couplings, first: ValueKey, second: ValueKey, but: int, why: str) -> None:
    for axis in range(couplings.rank(first)):
        if axis != but:
            tie_or_pin(couplings, Axis(first, axis), Axis(second, axis), why)


def _pieces(
    site: Site, couplings: Couplings, whole: ValueKey, parts: list[ValueKey | None], axis: int
) -> None:
    """Tie parts, in order, to the tensor that they lie beside each other in."""
    start, why = 0, f"sizes of {label(site)}"
    for part in parts:
        size = None if part is None else couplings.size(Axis(part, axis))
        if part is None or size is None or couplings.rank(part) != couplings.rank(whole):
            raise Unknown
        couplings.tie(Axis(part, axis), Axis(whole, axis), None, numbers(size, start))
        if size == 1:  # it has no index to tie: what goes must not be it
            couplings.pin(Axis(whole, axis), f"{label(site)} takes it as a whole", numbers(1, start))
        _tie_others(couplings, part, whole, axis, why)
        start += size


def _concat(site: Site, couplings: Couplings) -> None:
    whole = only(result(site))
    _pieces(site, couplings, whole, list(site.inputs), _axis(site, couplings.rank(whole), 1))


def _qlinear_concat(site: Site, couplings: Couplings) -> None:
    whole = only(result(site))
    _pieces(site, couplings, whole, site.inputs[2::3], _axis(site, couplings.rank(whole), 1))


def _split(site: Site, couplings: Couplings) -> None:
    whole = only(operand(site, 0))
    if site.has(1):
        site.constant(1)
    _pieces(site, couplings, whole, list(site.outputs), _axis(site, couplings.rank(whole)))


def _slice(site: Site, couplings: Couplings) -> None:
    source, target = only(operand(site, 0)), only(result(site))
    starts, ends, axes, steps = (
        site.integers(name, index, 10)
        for index, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
    )
    if starts is None or ends is None:
        raise Unknown
    rank, why = couplings.rank(source), f"sizes of {label(site)}"
    axes = list(range(len(starts))) if axes is None else [normalized(axis, rank) for axis in axes]
    steps = [1] * len(starts) if steps is None else steps
    cut = {axis: slice(*ends) for axis, *ends in zip(axes, starts, ends, steps, strict=True)}
    for axis in range(rank):
        sides = Axis(source, axis), Axis(target, axis)
        size = couplings.size(sides[0])
        if axis not in cut:
            tie_or_pin(couplings, *sides, why)
        elif size is None:
            couplings.pin(sides[0], why)
            couplings.pin(sides[1], why)
        else:
            taken = _sliced(cut[axis], size)
            couplings.tie(sides[1], sides[0], None, taken)
            if len(taken) == 1:
                couplings.pin(sides[0], f"{label(site)} takes that channel alone", taken)


def _sliced(cut: slice, size: int) -> np.ndarray:
    step = cut.step
    start, end = cut.start, cut.stop
    start = max(start + size, 0) if start < 0 else start
    end = end + size if end < 0 else end
    if step < 0:
        start, end = min(start, size - 1), max(end, -1)
    return np.arange(start, min(end, size), step, dtype=np.intp)


def _gather(site: Site, couplings: Couplings) -> None:
    source, target = only(operand(site, 0)), only(result(site))
    axis = _axis(site, couplings.rank(source))
    indices_key = only(operand(site, 1))
    span, why = couplings.rank(indices_key), f"sizes of {label(site)}"
    for other in range(couplings.rank(source)):
        if other != axis:
            place = other if other < axis else other - 1 + span
            tie_or_pin(couplings, Axis(source, other), Axis(target, place), why)
    size = couplings.size(Axis(source, axis))
    try:
        indices = site.constant(1).astype(np.intp)
    except Unknown:
        size = None
    if size is None or span > 1:
        couplings.pin(Axis(source, axis), f"{label(site)} takes channels by number")
        for place in range(axis, axis + span):
            couplings.pin(Axis(target, place), f"{label(site)} takes channels by number")
        return
    taken = np.where(indices < 0, indices + size, indices).reshape(-1)
    if span:
        couplings.tie(Axis(target, axis), Axis(source, axis), None, taken)
    if len(taken) == 1:
        couplings.pin(Axis(source, axis), f"{label(site)} takes that channel alone", taken)


def _pad(site: Site, couplings: Couplings) -> None:
    source, target = only(operand(site, 0)), only(result(site))
    rank, why = couplings.rank(source), f"sizes of {label(site)}"
    pads = site.integers("pads", 1, 11)
    axes = (
        [normalized(int(axis), rank) for axis in site.constant(3).ravel()]
        if site.has(3)
        else list(range(rank))
    )
    if pads is None or len(pads) != 2 * len(axes):
        raise Unknown
    for axis in range(rank):
        sides = Axis(source, axis), Axis(target, axis)
        place = axes.index(axis) if axis in axes else None
        before, after = (0, 0) if place is None else (pads[place], pads[place + len(axes)])
        if before == after == 0:
            tie_or_pin(couplings, *sides, why)
        elif site.attributes.string("mode", "constant") != "constant" or min(before, after) < 0:
            couplings.pin(sides[0], f"{label(site)} pads it")
            couplings.pin(sides[1], f"{label(site)} pads it")
        else:
            size, padded = couplings.size(sides[0]), couplings.size(sides[1])
            if size is None or padded is None or padded != before + size + after:
                raise Unknown
            couplings.tie(sides[0], sides[1], None, numbers(size, before))
            added = np.concatenate([numbers(before), numbers(after, before + size)])
            couplings.pin(sides[1], f"{label(site)} adds it", added)


def _transpose(site: Site, couplings: Couplings) -> None:
    source, target = only(operand(site, 0)), only(result(site))
    rank = couplings.rank(source)
    order = site.attributes.integers("perm") or list(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise Unknown
    for place, axis in enumerate(order):
        tie_or_pin(couplings, Axis(source, axis), Axis(target, place), f"sizes of {label(site)}")


def _depth_to_space(site: Site, couplings: Couplings) -> None:
    block = site.attributes.integer("blocksize", 1)
    crd = site.attributes.string("mode", "DCR") == "CRD"
    _blocks(site, couplings, only(operand(site, 0)), only(result(site)), block, channel_first=crd)


def _space_to_depth(site: Site, couplings: Couplings) -> None:
    block = site.attributes.integer("blocksize", 1)
    _blocks(site, couplings, only(result(site)), only(operand(site, 0)), block, channel_first=False)


def _blocks(
    site: Site, couplings: Couplings, deep: ValueKey, wide: ValueKey, block: int, *, channel_first: bool
) -> None:
    """Tie each channel of the wide tensor to all those of the deep one that it consists of."""
    size, channels = couplings.size(Axis(deep, 1)), couplings.size(Axis(wide, 1))
    if size is None or channels is None or size != channels * block * block:
        raise Unknown
    tie_or_pin(couplings, Axis(deep, 0), Axis(wide, 0), f"sizes of {label(site)}")
    for key in (deep, wide):
        couplings.pin_all(key, f"{label(site)} works along it", but=(0, 1))
    places = numbers(size)
    couplings.tie(
        Axis(deep, 1), Axis(wide, 1), None, places // block**2 if channel_first else places % channels
    )
    couplings.note(Axis(deep, 1), f"{label(site)} makes one channel of several, and another one is needed")
    if channels == 1:
        couplings.pin(Axis(deep, 1), f"{label(site)} makes one channel of all")


def _expand(site: Site, couplings: Couplings) -> None:
    source, target, who = only(operand(site, 0)), only(result(site)), label(site)
    couplings.pin_all(target, f"{who} is told its sizes")
    couplings.pin_all(source, f"{who} is told its sizes")


def _condition(site: Site, couplings: Couplings) -> None:
    """Each arm of an If gives its results."""
    for attribute in site.node.attribute:
        if attribute.name not in ("then_branch", "else_branch"):
            continue
        scope = (*site.address, attribute.name)
        for key, inner in zip(site.outputs, attribute.g.output, strict=False):
            made = site.tensors.key(scope, inner.name)
            if key is not None and made is not None:
                tie_axes(couplings, key, made, f"the arms of {label(site)} have other sizes")


JOINING_TIES: dict[str, Tying] = {
    "Concat": _concat,
    "com.microsoft.QLinearConcat": _qlinear_concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Transpose": _transpose,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Expand": _expand,
    "If": _condition,
}
