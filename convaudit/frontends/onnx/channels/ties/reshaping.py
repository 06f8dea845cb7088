"""What ops tie that give the same elements other axes; channel shuffles, which put them in another order."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.compressed import reshaped, segments
from convaudit.frontends.onnx.channels.coupling import Axis, Couplings
from convaudit.frontends.onnx.channels.facts import ValueKey
from convaudit.frontends.onnx.channels.sites import GraphTensors, Site
from convaudit.frontends.onnx.channels.ties.row import Tying, label, only, operand, result
from convaudit.frontends.onnx.ops import op_of
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.records import Shape

_MOST_ELEMENTS = 2**24


def tie_reshaped(site: Site, couplings: Couplings) -> None:
    """Tie an axis that others are put into, or taken from, to one of them."""
    source, target = only(operand(site, 0)), only(result(site))
    shapes = site.tensors.shape(source), site.tensors.shape(target)
    if shapes[0] is None or shapes[1] is None:
        raise Unknown
    for before, after in segments(shapes[0], shapes[1]):
        _segment(
            site, couplings, [Axis(source, axis) for axis in before], [Axis(target, axis) for axis in after]
        )


def _segment(site: Site, couplings: Couplings, before: list[Axis], after: list[Axis]) -> None:
    """Tie axes that hold the same elements in the same order."""
    sides = [[axis for axis in side if couplings.size(axis) != 1] for side in (before, after)]
    chosen = [_channels(couplings, side) for side in sides]
    who = label(site)
    sizes = [[couplings.size(axis) for axis in side] for side in sides]
    known = all(size is not None for side in sizes for size in side)
    elements = prod(size or 0 for size in sizes[0])
    fits = known and elements == prod(size or 0 for size in sizes[1]) and 0 < elements <= _MOST_ELEMENTS
    if None in chosen or not fits or not _may_change(site, after):
        for axis in (*sides[0], *sides[1]):
            couplings.pin(axis, f"{who} is told its sizes" if fits else f"sizes of {who} are not known")
        return
    ends = []
    for side, lengths, own in zip(sides, sizes, chosen, strict=True):
        for axis in side:
            if axis != own:
                couplings.pin(axis, f"{who} puts it together with other axes")
        if own is None:
            raise Unknown
        place = side.index(own)
        inner = prod(size or 0 for size in lengths[place + 1 :])
        ends.append((own, inner, lengths[place] or 0))
    (first, inner, size), (second, other_inner, other_size) = ends
    if (inner, size) == (other_inner, other_size):
        couplings.tie(first, second)
        return
    # where both have the same index in a whole run of elements, its first one stands for all
    run = np.gcd(inner, other_inner)
    places = np.arange(0, elements, run, dtype=np.intp)
    couplings.tie(first, second, places // inner % size, places // other_inner % other_size)


def _channels(couplings: Couplings, side: list[Axis]) -> Axis | None:
    """The axis of which something could go: the only one, or the only one along which something differs."""
    if len(side) == 1:
        return side[0]
    able = [axis for axis in side if couplings.is_open(axis)]
    if able and able[0].key not in couplings.static:
        return able[0]
    return able[0] if len(able) == 1 else None


def _may_change(site: Site, after: list[Axis]) -> bool:
    """Whether the sizes that the node is told can be others."""
    told, made = operand(site, 1), site.tensors.shape(only(result(site))) or ()
    if site.node.op_type != "Reshape" or told is None or site.tensors.is_stored(told):
        return True
    if sum(not isinstance(size, int) for size in made) < 2:
        return True  # all that it is told can be stored: at most one size is worked out
    return all(_is_told(site.tensors, told, axis.axis) for axis in after)


def _is_told(tensors: GraphTensors, told: ValueKey, place: int) -> bool:
    """Whether a size that is put together with others at run time is a number of its own, not -1 or 0."""
    producer = tensors.graphs.at(told[0]).producers.get(told[1])
    if producer is None or op_of(producer) != "Concat":
        return False
    for name in producer.input:
        key = tensors.key(told[0], name)
        shape = None if key is None else tensors.shape(key)
        if key is None or shape is None or len(shape) != 1 or not isinstance(shape[0], int):
            return False
        if place < shape[0]:
            known = tensors.of(key)
            if known is None or not known.mask.all():
                return not tensors.is_stored(key)
            return int(np.broadcast_to(known.values, shape[0])[place]) > 0
        place -= shape[0]
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """A Reshape, a Transpose and a Reshape that put the indices of one axis into another order.

    Attributes:
        source: What goes in.
        target: What comes out.
        axis: The axis, the same one of both.
        order: The index of the source at each place of the target.
        inner: The two tensors between.
    """

    source: ValueKey
    target: ValueKey
    axis: int
    order: Indices
    inner: tuple[ValueKey, ValueKey]


def shuffle(site: Site, readers: dict[ValueKey, int]) -> Shuffle | None:
    """The shuffle that ends at a node, if one does.

    Args:
        site: The node.
        readers: How many operands and outputs each tensor is read as.
    """
    if site.op != "Reshape" or not site.inputs:
        return None
    tensors, target = site.tensors, result(site)
    nodes, keys = [site.node], [operand(site, 0)]
    for op in ("Transpose", "Reshape"):
        key = keys[-1]
        if key is None or target is None or readers.get(key) != 1:
            return None
        producer = tensors.graphs.at(key[0]).producers.get(key[1])
        if producer is None or op_of(producer) != op or not producer.input:
            return None
        nodes.append(producer)
        keys.append(tensors.key(key[0], producer.input[0]))
    moved, split, source = keys
    if moved is None or split is None or source is None or target is None:
        return None
    shapes = [tensors.shape(key) for key in (source, split, moved, target)]
    perm = next((list(item.ints) for item in nodes[1].attribute if item.name == "perm"), None)
    for axis in range(len(shapes[0] or ())):
        order = _order(shapes, perm, axis)
        if order is not None:
            return Shuffle(source=source, target=target, axis=axis, order=order, inner=(split, moved))
    return None


def _order(shapes: list[Shape | None], perm: list[int] | None, axis: int) -> Indices | None:
    """Where indices of an axis end up; None if the whole is no other order of them."""
    source, split, moved, target = shapes
    if source is None or split is None or moved is None or target is None or len(source) != len(target):
        return None
    size = source[axis]
    if (
        not isinstance(size, int)
        or size < 2
        or any(one != two for one, two in zip(source, target, strict=True))
    ):
        return None
    lengths = [1] * len(source)
    lengths[axis] = size
    perm = list(range(len(split)))[::-1] if perm is None else perm
    if sorted(perm) != list(range(len(split))):
        return None
    # each axis by itself: only its own indices are to move
    for other in range(len(source)):
        sizes = [1] * len(source)
        if other == axis or source[other] == 1:
            continue
        length = source[other]
        if not isinstance(length, int):
            length = 2  # stands for any: it passes only where its axis is left alone
            continue
        sizes[other] = length
        moving = _moved(np.arange(length).reshape(sizes), source, split, target, perm)
        if moving is None or moving.shape != tuple(sizes) or (np.diff(moving.ravel()) != 1).any():
            return None
    indices = _moved(np.arange(size).reshape(lengths), source, split, target, perm)
    if indices is None or indices.shape != tuple(lengths) or (np.diff(indices.ravel()) == 1).all():
        return None
    return indices.ravel().astype(np.intp)


def _moved(
    array: np.ndarray, source: Shape, split: Shape, target: Shape, perm: list[int]
) -> np.ndarray | None:
    parts = reshaped(array, source, split)
    if parts is None:
        return None
    return reshaped(parts.transpose(perm), tuple(split[axis] for axis in perm), target)


RESHAPING_TIES: dict[str, Tying] = dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), tie_reshaped)
