"""Concat, and what else puts tensors side by side or takes them apart along one axis."""

from __future__ import annotations

import numpy as np

from convaudit.frontends.onnx.channels.compressed import MOST_OF_A_FACT, any_along
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, first
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown


def concat_axis(site: Site) -> tuple[int, list[int]]:
    """The axis of a Concat, and the sizes that it joins; Unknown is raised where they are not known."""
    axis = normalized(site.attributes.integer("axis", 1), len(site.output_shape()))
    sizes = []
    for index in range(len(site.inputs)):
        size = site.ranked(index)[axis]
        if not isinstance(size, int):
            raise Unknown
        sizes.append(size)
    return axis, sizes


def _concat_forward(site: Site) -> Results:
    operands = [site.known(index) for index in range(len(site.inputs))]
    if not any(operands):
        return [None]
    axis, sizes = concat_axis(site)
    rank = len(site.output_shape())
    dtype = next(operand.values.dtype for operand in operands if operand is not None)
    nothing = KnownElements(np.zeros((1,) * rank, np.bool_), np.zeros((1,) * rank, dtype))
    parts = [(operand or nothing, size) for operand, size in zip(operands, sizes, strict=True)]
    others = np.broadcast_shapes(*(_at_one(part.values.shape, axis) for part, _ in parts))
    if np.prod(others, dtype=object) * sum(sizes) > MOST_OF_A_FACT:
        raise Unknown
    masks, values = (
        [np.broadcast_to(array, (*others[:axis], size, *others[axis + 1 :])) for array, size in arrays]
        for arrays in (
            [(part.mask, size) for part, size in parts],
            [(part.values, size) for part, size in parts],
        )
    )
    return [KnownElements(np.concatenate(masks, axis), np.concatenate(values, axis))]


def _at_one(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


def _concat_backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask = first(wanted)
    axis = normalized(site.attributes.integer("axis", 1), len(site.output_shape()))
    if mask.shape[axis] == 1:
        return [mask] * len(site.inputs)
    try:
        _, sizes = concat_axis(site)
    except Unknown:
        return [any_along(mask, [axis])] * len(site.inputs)
    taken: list[Mask | None] = []
    start = 0
    for size in sizes:
        taken.append(mask.take(range(start, start + size), axis) if size else None)
        start += size
    return taken


JOINING_OPS = {"Concat": Transfer(_concat_forward, _concat_backward)}
