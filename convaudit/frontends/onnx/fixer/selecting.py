"""Nodes that select: Slice and Gather, told where what they select stands now."""

from __future__ import annotations

import numpy as np

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, ChangedNode, Edit, places_in
from convaudit.frontends.onnx.fixer.nodes import set_attribute

_SLICE_OPERANDS = 10
"""The opset from which on starts and ends are operands."""


def fix_slice(edit: Edit, site: ChangedNode) -> None:
    """Tell a Slice the places of what it selects; a Gather follows where these have no one step."""
    node, scope = site.node, site.scope
    rank = len(edit.shape(scope, node.input[0]) or edit.shape(scope, node.output[0]) or ())
    changed = edit.kept(scope, node.input[0]).keys() | edit.kept(scope, node.output[0]).keys()
    ranges = _ranges(edit, site, rank)
    sliced = [axis for axis in changed if axis in ranges]
    if not sliced:
        return
    for axis in sliced:
        size = edit.size(scope, node.input[0], axis)
        start, end, step = ranges[axis]
        among = slice(start, _end(end, size, step), step).indices(size)
        selected = np.array(range(*among), np.intp)
        wanted = selected[edit.kept(scope, node.output[0]).get(axis, np.arange(selected.size))]
        places = places_in(edit.staying(scope, node.input[0], axis), wanted)
        as_range = _as_range(places)
        if as_range is not None:
            ranges[axis] = as_range
            continue
        del ranges[axis]
        indices = edit.add(site, places.astype(np.int64), f"{node.output[0]}.indices")
        edit.follow(site, "Gather", indices, axis=axis)
    _set_ranges(edit, site, ranges)


def _ranges(edit: Edit, site: ChangedNode, rank: int) -> dict[int, tuple[int, int, int]]:
    """Start, end and step by axis.

    Raises:
        CannotRewriteError: They are computed at run time.
    """
    node, scope = site.node, site.scope
    if edit.opset < _SLICE_OPERANDS:
        attributes = Attributes(node, node.name)
        starts, ends = attributes.integers("starts") or [], attributes.integers("ends") or []
        axes, steps = attributes.integers("axes"), [1] * len(starts)
    else:
        values: list[Array | None] = []
        for index in range(1, 5):
            given = index < len(node.input) and bool(node.input[index])
            value = edit.value(scope, node.input[index]) if given else None
            if given and value is None:
                raise CannotRewriteError("what it selects is computed at run time")
            values.append(value)
        if values[0] is None or values[1] is None:
            raise CannotRewriteError("it has no starts")
        starts, ends = values[0].tolist(), values[1].tolist()
        axes = None if values[2] is None else values[2].tolist()
        steps = [1] * len(starts) if values[3] is None else values[3].tolist()
    axes = list(range(len(starts))) if axes is None else [axis % rank for axis in axes]
    return dict(zip(axes, zip(starts, ends, steps, strict=True), strict=True))


def _end(end: int, size: int, step: int) -> int | None:
    """An end as Python counts: below the first element where ONNX says so."""
    return None if step < 0 and end < -size else end


def _as_range(places: Indices) -> tuple[int, int, int] | None:
    """Start, end and step of these places; None if no Slice selects them."""
    if places.size == 1:
        return int(places[0]), int(places[0]) + 1, 1
    steps = np.unique(np.diff(places))
    if places.size == 0 or steps.size > 1 or steps[0] <= 0:
        return None
    return int(places[0]), int(places[-1]) + 1, int(steps[0])


def _set_ranges(edit: Edit, site: ChangedNode, ranges: dict[int, tuple[int, int, int]]) -> None:
    axes = list(ranges)
    starts, ends, steps = ([one[index] for one in ranges.values()] for index in range(3))
    if edit.opset < _SLICE_OPERANDS:
        for name, values in (("starts", starts), ("ends", ends), ("axes", axes)):
            set_attribute(site.node, name, values)
        return
    for index, (role, values) in enumerate(
        (("starts", starts), ("ends", ends), ("axes", axes), ("steps", steps)), start=1
    ):
        edit.replace(site, index, np.array(values, np.int64), role)


def fix_gather(edit: Edit, site: ChangedNode) -> None:
    """Tell a Gather where what it selects stands now."""
    node, scope = site.node, site.scope
    rank = len(edit.shape(scope, node.input[0]) or ())
    axis = Attributes(node, node.name).integer("axis", 0)
    axis = axis + rank if axis < 0 else axis
    staying = edit.kept(scope, node.input[0]).get(axis)
    selected = edit.kept(scope, node.output[0])
    value = edit.value(scope, node.input[1])
    own = range(
        axis, axis + (value.ndim if value is not None else len(edit.shape(scope, node.input[1]) or ()))
    )
    if staying is None and not any(one in selected for one in own):
        return
    if value is None:
        raise CannotRewriteError("what it selects is computed at run time")
    size = edit.size(scope, node.input[0], axis)
    wanted = value
    for one in own:
        if one in selected:
            wanted = np.take(wanted, selected[one], axis=one - axis)
    wanted = np.where(wanted < 0, wanted + size, wanted)
    places = places_in(np.arange(size) if staying is None else staying, wanted.reshape(-1).astype(np.intp))
    edit.replace(site, 1, places.reshape(wanted.shape).astype(value.dtype), "indices")
