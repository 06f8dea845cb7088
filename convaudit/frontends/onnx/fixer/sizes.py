"""Nodes that say sizes: Split, Reshape, Pad and the like, told what their tensors are now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, ChangedNode, Edit
from convaudit.frontends.onnx.fixer.nodes import set_attribute

_SPLIT_OPERAND, _PAD_OPERAND, _RESHAPE_OPERAND = 13, 11, 5
"""Opsets from which on the sizes are an operand."""


def fix_split(edit: Edit, site: ChangedNode) -> None:
    """Tell a Split the sizes of its parts."""
    node = site.node
    axis = _axis(edit, site, node.output[0])
    if all(axis not in edit.kept(site.scope, name) for name in (*node.input[:1], *filter(None, node.output))):
        return
    whole = edit.new_size(site.scope, node.input[0], axis)
    attributes = Attributes(node, node.name)
    old = edit.value(site.scope, node.input[1]).tolist() if len(node.input) > 1 and node.input[1] else None  # type: ignore[union-attr]
    old = old or attributes.integers("split")
    parts = [
        len(kept) if (kept := edit.kept(site.scope, name).get(axis)) is not None else None
        for name in node.output
    ]
    sizes = [
        part if part is not None else old[index] if old else edit.size(site.scope, node.output[index], axis)
        for index, part in enumerate(parts)
    ]
    if sum(sizes) != whole:
        raise CannotRewriteError(f"parts of {sizes} do not make {whole}")
    if not old and len(set(sizes)) == 1:
        return
    if edit.opset >= _SPLIT_OPERAND:
        set_attribute(node, "num_outputs", None)
        edit.replace(site, 1, np.array(sizes, np.int64), "split")
    else:
        set_attribute(node, "split", sizes)


def fix_reshape(edit: Edit, site: ChangedNode) -> None:
    """Tell a Reshape its output's shape."""
    node, scope = site.node, site.scope
    kept = edit.kept(scope, node.output[0])
    if edit.opset < _RESHAPE_OPERAND:
        old = Attributes(node, node.name).integers("shape") or []
        set_attribute(node, "shape", _reshaped(edit, site, np.array(old), kept).tolist())
        return
    value = edit.value(scope, node.input[1])
    if value is not None:
        edit.replace(site, 1, _reshaped(edit, site, value, kept), "shape")
        return
    shape, before = edit.shape(scope, node.output[0]), edit.shape(scope, node.input[0]) or ()
    copies = not Attributes(node, node.name).integer("allowzero", 0)
    if shape is None:
        raise CannotRewriteError("its shape is computed at run time, and not even its rank is known")
    sizes: list[int | None] = []
    for axis, size in enumerate(shape):
        same = axis < len(before) and before[axis] is not None and before[axis] == size
        if axis in kept:
            sizes.append(len(kept[axis]))
        elif isinstance(size, int):
            sizes.append(size)
        else:
            copied = same and copies and axis not in edit.kept(scope, node.input[0])
            sizes.append(0 if copied else None)
    if sizes.count(None) > 1:
        _shift(edit, site, 1, kept)
        return
    edit.replace(site, 1, np.array([-1 if size is None else size for size in sizes], np.int64), "shape")


def _reshaped(edit: Edit, site: ChangedNode, value: Array, kept: Mapping[int, Indices]) -> Array:
    new = value.astype(np.int64).copy()
    gone = edit.kept(site.scope, site.node.input[0])
    copies = not Attributes(site.node, site.node.name).integer("allowzero", 0)
    for axis, size in enumerate(value.tolist()):
        if axis in kept and size != -1:
            new[axis] = len(kept[axis])
        elif size == 0 and copies and axis in gone:
            new[axis] = edit.size(site.scope, site.node.output[0], axis)
    return new


def _shift(edit: Edit, site: ChangedNode, index: int, kept: Mapping[int, Indices]) -> None:
    """Take what is gone off sizes that are computed at run time.

    Args:
        edit: The changes.
        site: The node that reads them.
        index: Which operand they are.
        kept: What stays of the node's output.
        first: The axis of the first of them.
    """
    scope, output = site.scope, site.node.output[0]
    rank = len(edit.shape(scope, output) or ())
    delta = np.zeros(rank, np.int64)
    for axis, left in kept.items():
        delta[axis] = len(left) - edit.size(scope, output, axis)
    operand = site.node.input[index]
    shifted = edit.fresh(f"{operand}.kept")
    amount = edit.add(site, delta, f"{operand}.gone")
    edit.put(site, NodeProto(op_type="Add", input=[operand, amount], output=[shifted]), before=True)
    site.node.input[index] = shifted


def fix_pad(edit: Edit, site: ChangedNode) -> None:
    """Tell a Pad how many channels it adds."""
    node, scope = site.node, site.scope
    kept = edit.kept(scope, node.output[0])
    operand = edit.opset >= _PAD_OPERAND
    old = edit.value(scope, node.input[1]) if operand else Attributes(node, node.name).integers("pads")
    if old is None:
        raise CannotRewriteError("its pads are computed at run time")
    pads = np.array(old, np.int64)
    named = edit.value(scope, node.input[3]) if len(node.input) > 3 and node.input[3] else None
    rank = pads.size // 2
    axes = list(range(rank)) if named is None else [int(axis) % _rank(edit, site) for axis in named]
    for position, axis in enumerate(axes):
        if axis not in kept:
            continue
        before, size = int(pads[position]), edit.size(scope, node.input[0], axis)
        if (before or pads[rank + position]) and Attributes(node, node.name).string("mode", "constant") != (
            "constant"
        ):
            raise CannotRewriteError("it repeats channels")
        pads[position] = (kept[axis] < before).sum() if before > 0 else before
        pads[rank + position] = (kept[axis] >= before + size).sum()
    if not operand:
        set_attribute(node, "pads", pads.tolist())
    elif (pads != np.array(old)).any():
        edit.replace(site, 1, pads, "pads")


def fix_resize(edit: Edit, site: ChangedNode) -> None:
    """Tell a Resize its output's sizes."""
    node, scope = site.node, site.scope
    if len(node.input) < 4 or not node.input[3]:
        return  # its scales stay
    kept = edit.kept(scope, node.output[0])
    named = Attributes(node, node.name).integers("axes")
    axes = None if named is None else [axis % _rank(edit, site) for axis in named]
    if axes is not None and not kept.keys() & set(axes):
        return
    value = edit.value(scope, node.input[3])
    if value is None:
        if axes is not None:
            raise CannotRewriteError("its sizes are computed at run time")
        _shift(edit, site, 3, kept)
        return
    new = value.astype(np.int64).copy()
    for position, axis in enumerate(range(value.size) if axes is None else axes):
        if axis in kept:
            new[position] = len(kept[axis])
    edit.replace(site, 3, new, "sizes")


def fix_shape_of(edit: Edit, site: ChangedNode) -> None:
    """Let what was computed from a shape be computed from the shape as it was."""
    node, scope = site.node, site.scope
    kept = edit.kept(scope, node.input[0])
    rank = len(edit.shape(scope, node.input[0]) or ())
    attributes = Attributes(node, node.name)
    end = attributes.integer("end", rank)
    chosen = range(rank)[attributes.integer("start", 0) : end]
    gone = np.array(
        [edit.size(scope, node.input[0], axis) - len(kept[axis]) if axis in kept else 0 for axis in chosen],
        np.int64,
    )
    if gone.any():
        edit.follow(site, "Add", edit.add(site, gone, f"{node.output[0]}.gone"))


def _axis(edit: Edit, site: ChangedNode, name: str) -> int:
    axis = Attributes(site.node, site.node.name).integer("axis", 0)
    return axis if axis >= 0 else axis + _rank(edit, site, name)


def _rank(edit: Edit, site: ChangedNode, name: str | None = None) -> int:
    shape = edit.shape(site.scope, name or site.node.input[0]) or edit.shape(site.scope, site.node.output[0])
    if shape is None:
        raise CannotRewriteError("the rank of its input is not known")
    return len(shape)
