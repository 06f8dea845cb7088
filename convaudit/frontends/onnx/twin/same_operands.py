"""Whether the convolutions of a twin read what the original's read: dense weights, and all else as it was."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from onnx import NodeProto

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import operands
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer, Network


def check_same_operands(before: Walked, after: Walked, layers: Sequence[ConvLayer]) -> None:
    """Refuse a twin in which a changed weight is not its own, block-diagonal, or a convolution reads else.

    Weights are compared as the nodes see them, behind whatever makes them from what is stored; of all other
    operands of all convolutions, those that are stored, and every attribute but ``group``.

    Raises:
        ExecutionError: One is not; the message names the layer and a tap.
        LoadError: Weights are missing.
    """
    sides = [_Side(before), _Side(after)]
    _check_others(before.network, sides, {layer.name for layer in layers})
    for layer in layers:
        theirs, ours = (side.values(layer.name) for side in sides)
        zero = theirs.get("w_zero_point", np.zeros((), theirs["weight"].dtype))
        if zero.size > 1:
            zero = zero.reshape(
                [-1 if axis == layer.transposed else 1 for axis in range(ours["weight"].ndim)]
            )
        tap = _wrong_tap(
            _channels_second(theirs["weight"], layer),
            _channels_second(ours["weight"], layer),
            zero,
            layer.groups,
        )
        if tap is not None:
            raise ExecutionError(
                f"{before.network.source}: the twin's weight of {layer.name} is wrong at {list(tap)}; "
                "nothing is written; please report it with the model"
            )


def _check_others(network: Network, sides: Sequence[_Side], changed: Set[str]) -> None:
    for layer in network.layers:
        theirs, ours = (side.others(layer.name, weight=layer.name not in changed) for side in sides)
        different = next((what for what in theirs if not _alike(theirs[what], ours.get(what))), None)
        if different is not None:
            raise ExecutionError(
                f"{network.source}: the twin's {different.replace('_', ' ')} of {layer.name} is not "
                "the original's; nothing is written; please report it with the model"
            )


class _Side:
    def __init__(self, walked: Walked) -> None:
        self._walked = walked
        self._whole = with_dense_tensors(walked.model, walked.expanded.model)
        self._graphs = Graphs(self._whole)

    def values(self, name: str) -> dict[str, Array]:
        """The weight, and its zero point if it has one."""
        node, constants = self._node(name)
        names = operands(node)
        found = {role: constants.value(names[role]) for role in ("weight", "w_zero_point") if role in names}
        return {role: value for role, value in found.items() if value is not None}

    def others(self, name: str, *, weight: bool) -> dict[str, Array | bytes]:
        """Stored operands, without the weight or with it, and attributes."""
        node, constants = self._node(name)
        found: dict[str, Array | bytes] = {
            attribute.name: attribute.SerializeToString(deterministic=True)
            for attribute in node.attribute
            if attribute.name != "group"
        }
        for role, operand in operands(node).items():
            if (weight or role != "weight") and constants.take(operand) and operand in constants.stored:
                found[role] = np.asarray(self._walked.model.array(constants.stored[operand]))
        return found

    def _node(self, name: str) -> tuple[NodeProto, Constants]:
        address = self._walked.addresses.get(name)
        if address is None:
            raise ExecutionError(f"{self._walked.network.source}: the twin has no layer {name}")
        scope = address[:-1]
        return self._graphs.node(address), Constants(self._walked.model, self._whole, self._graphs, scope)


def _alike(theirs: Array | bytes, ours: Array | bytes | None) -> bool:
    if isinstance(theirs, bytes) or ours is None or isinstance(ours, bytes):
        return theirs == ours
    return theirs.dtype == ours.dtype and theirs.shape == ours.shape and bool(_same(theirs, ours).all())


def _channels_second(weight: Array, layer: ConvLayer) -> Array:
    """Of an op that may store them last, as the audit tells by the shape that it has for the weight."""
    shape = layer.weight_shape
    if shape is None or weight.shape[2:] in (shape[2:], ()) or weight.shape[1:-1] != shape[2:]:
        return weight
    return np.moveaxis(weight, -1, 1)


def _wrong_tap(grouped: Array, dense: Array, zero: Array, groups: int) -> tuple[int, ...] | None:
    """An element of ``dense`` that is not what the block-diagonal form of ``grouped`` has there."""
    rows, columns = grouped.shape[0] // groups, grouped.shape[1]
    if dense.shape != (grouped.shape[0], columns * groups, *grouped.shape[2:]):
        return dense.shape
    for group in range(groups):
        mine = slice(group * rows, (group + 1) * rows)
        off = zero[mine] if zero.ndim and zero.shape[0] > 1 else zero
        wanted = np.broadcast_to(off, dense[mine].shape).astype(dense.dtype)
        wanted[:, group * columns : (group + 1) * columns] = grouped[mine]
        wrong = ~_same(dense[mine], wanted)
        if wrong.any():
            first, *others = map(int, np.argwhere(wrong)[0])
            return (first + group * rows, *others)
    return None


def _same(one: Array, other: Array) -> Array:
    """Where two arrays of one type are equal: numbers, or bits where they are none."""
    equal: Array = one == other
    if equal.all():
        return equal
    left, right = (
        np.ascontiguousarray(array).view(np.uint8).reshape(*one.shape, -1) for array in (one, other)
    )
    bits: Array = equal | (left == right).all(axis=-1)
    return bits
