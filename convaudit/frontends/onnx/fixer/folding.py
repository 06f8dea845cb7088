"""Channels that are the same on every input: what they add to a sum becomes part of its bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.facts import Mask, along, anywhere_along
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, ChangedNode, Edit, sliced
from convaudit.frontends.onnx.fixer.nodes import set_attribute
from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.frontends.onnx.twin.weights import DEQUANTIZE

_WHOLE = 1e-3
"""How far a number of steps of a quantised bias may be off an integer: by the rounding of the scales."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Channels of an input that go.

    Attributes:
        indices: Which.
        known: Whether each is the same number everywhere, on every input.
        values: Which number; 0 where it is not known.
    """

    indices: Indices
    known: Mask
    values: Array

    def added(self, weight: Array) -> Array:
        """What they add to each output.

        Args:
            weight: (gone, outputs): what multiplies them.

        Raises:
            CannotRewriteError: One is not the same on every input, and something reads it.
        """
        if (weight[~self.known] != 0).any():
            raise CannotRewriteError("it reads a channel that is to go, and that is not constant")
        products: Array = self.values @ np.where(self.known[:, None], weight, 0).astype(np.float64)
        return products


def gone(edit: Edit, scope: Address, name: str, axis: int) -> Gone | None:
    """The channels of a tensor that go; None if none does."""
    kept = edit.kept(scope, name).get(axis)
    if kept is None:
        return None
    indices = np.setdiff1d(np.arange(edit.size(scope, name, axis)), kept)
    key = edit.home(scope, name)
    facts = None if key is None else edit.facts.known.get(key)
    known, values = np.zeros(indices.size, np.bool_), np.zeros(indices.size)
    if facts is not None and indices.size:
        same, held = along(facts, axis, edit.size(scope, name, axis))
        known = same[indices] & np.isfinite(held[indices].astype(np.float64))
        values = np.where(known, held[indices].astype(np.float64), 0.0)
    return Gone(indices, known, values)


def taken_outputs(edit: Edit, site: ChangedNode, axis: int, size: int) -> Mask:
    """Which indices along an axis of a node's output stay, and are read; the others may be anything."""
    name = site.node.output[0]
    key = edit.home(site.scope, name)
    taken = anywhere_along(None if key is None else edit.facts.read.get(key), axis, size).copy()
    kept = edit.kept(site.scope, name).get(axis)
    if kept is not None:
        taken[np.setdiff1d(np.arange(size), kept)] = False
    return taken


def add_to_bias(
    edit: Edit, site: ChangedNode, index: int, bias: Array | None, added: Array, axis: int
) -> None:
    """Make numbers part of a node's bias, or of a new one.

    Args:
        edit: The changes.
        site: The node.
        index: Where its bias is among its operands.
        bias: (out,), as it was; None if it has none.
        added: (out,).
        axis: Of its output, that the bias is along.

    Raises:
        CannotRewriteError: It is quantised, and they are no whole number of its steps.
    """
    kept = {0: left} if (left := edit.kept(site.scope, site.node.output[0]).get(axis)) is not None else {}
    name = site.node.input[index] if len(site.node.input) > index else ""
    dtype = bias.dtype if bias is not None else _dtype(edit, site)
    if name and _add_steps(edit, site, name, added, kept):
        return
    whole = added if bias is None else bias.astype(np.float64) + added
    edit.replace(site, index, sliced(_rounded(whole, dtype), kept), "bias")


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind in "iu":
        whole = np.rint(values)
        limits = np.iinfo(dtype)
        if (np.abs(values - whole) > 0).any() or (whole < limits.min).any() or (whole > limits.max).any():
            raise CannotRewriteError(f"its bias of {dtype} cannot hold what the channels add")
        return whole.astype(dtype)
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded.astype(np.float64)).all():
        raise CannotRewriteError(f"its bias of {dtype} cannot hold what the channels add")
    return rounded


def _add_steps(edit: Edit, site: ChangedNode, name: str, added: Array, kept: dict[int, Indices]) -> bool:
    """Add to the integers of a bias that is dequantised; whether it is."""
    maker = edit.producer(site.scope, name)
    if maker is None or op_of(maker.node) not in DEQUANTIZE or not edit.is_read_once(name):
        return False
    stored, scale = (edit.value(maker.scope, one) for one in maker.node.input[:2])
    if stored is None or scale is None or stored.shape != added.shape or scale.size not in (1, added.size):
        return False
    steps = added / scale.astype(np.float64).reshape(-1)
    whole = np.rint(steps)
    if (np.abs(steps - whole) > _WHOLE * np.maximum(1, np.abs(whole) * _WHOLE)).any():
        return False
    edit.replace(maker, 0, sliced(_rounded(stored + whole, stored.dtype), kept), "bias")
    return True


def _dtype(edit: Edit, site: ChangedNode) -> np.dtype[Any]:
    """Element type of a node's output, for a bias that it does not have yet."""
    layer = edit.layer(site)
    if layer is not None and "y_scale" in CONV_OPS[layer.op].roles:  # its bias counts steps of its sums
        return np.dtype(np.int32)
    key = edit.home(site.scope, site.node.output[0])
    number = edit.walked.inferred.element_type(*key) if key is not None else 0
    if not number:
        raise CannotRewriteError("the element type of its output is not known")
    return helper.tensor_dtype_to_np_dtype(number)


def fix_gemm(edit: Edit, site: ChangedNode) -> None:
    """Fold the constants that a Gemm sums into its third operand."""
    node, scope = site.node, site.scope
    attributes = Attributes(node, node.name)
    axis = 0 if attributes.integer("transA", 0) else 1
    left = gone(edit, scope, node.input[0], axis)
    if left is None:
        return
    weight = edit.value(scope, node.input[1])
    if weight is None:
        raise CannotRewriteError("its weight is computed at run time")
    weight = weight.T if attributes.integer("transB", 0) else weight
    alpha, beta = (next(iter(attributes_float(node, name)), 1.0) for name in ("alpha", "beta"))
    taken = taken_outputs(edit, site, 1, weight.shape[1])
    added = alpha * left.added(np.where(taken, weight[left.indices], 0))
    if not added.any():
        return
    bias = edit.value(scope, node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if len(node.input) > 2 and node.input[2] and bias is None:
        _follow_with_add(edit, site, added)
        return
    if bias is None or (bias.ndim == 1 and bias.size == added.size and beta == 1):
        set_attribute(node, "beta", None)
        add_to_bias(edit, site, 2, bias, added, 1)
        return
    whole = beta * bias.astype(np.float64) + added
    set_attribute(node, "beta", None)
    kept = edit.kept(scope, node.output[0])
    new = _rounded(whole, bias.dtype)
    edit.replace(site, 2, sliced(new, {new.ndim - 1: kept[1]} if 1 in kept else {}), "bias")


def fix_matmul(edit: Edit, site: ChangedNode) -> None:
    """Fold the constants that a MatMul sums into an Add behind it."""
    node, scope = site.node, site.scope
    shapes = [edit.shape(scope, name) for name in node.input[:2]]
    if shapes[0] is None or shapes[1] is None:
        raise CannotRewriteError("the ranks of its operands are not known")
    ranks = [len(shape) for shape in shapes if shape is not None]
    for side, name in enumerate(node.input[:2]):
        axis = max(0, ranks[0] - 1) if side == 0 else max(0, ranks[1] - 2)
        left = gone(edit, scope, name, axis)
        if left is None or edit.value(scope, name) is not None:
            continue
        weight = edit.value(scope, node.input[1 - side])
        if weight is None or weight.ndim != 2:
            if left.known.all() and not left.values.any():
                continue
            raise CannotRewriteError("what multiplies the channels is computed at run time")
        weight = weight if side == 0 else weight.T
        last = len(edit.shape(scope, node.output[0]) or ()) - 1
        taken = taken_outputs(edit, site, last - side, weight.shape[1])
        added = left.added(np.where(taken, weight[left.indices], 0))
        if added.any():
            _follow_with_add(edit, site, added if side == 0 else added[:, None])


def _follow_with_add(edit: Edit, site: ChangedNode, added: Array) -> None:
    """Add numbers along the output's last axis, or the one before that."""
    output = site.node.output[0]
    rank = len(edit.shape(site.scope, output) or ())
    axis = rank - added.ndim
    kept = edit.kept(site.scope, output).get(axis)
    new = sliced(_rounded(added, _dtype(edit, site)), {} if kept is None else {0: kept})
    edit.follow(site, "Add", edit.add(site, new, f"{output}.bias"))


def attributes_float(node: NodeProto, name: str) -> list[float]:
    """A float attribute, if it is there."""
    return [item.f for item in node.attribute if item.name == name]
