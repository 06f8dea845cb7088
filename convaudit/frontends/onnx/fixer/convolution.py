"""A convolution of which channels go: its groups, and what constant inputs add."""

from __future__ import annotations

import numpy as np

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.stored import Stored
from convaudit.frontends.onnx.channels.transfers.convolutions import keeps_constants
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, ChangedNode, Edit
from convaudit.frontends.onnx.fixer.folding import Gone, add_to_bias, gone, taken_outputs
from convaudit.frontends.onnx.fixer.nodes import attribute_of, set_attribute
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.linting.weights import grouped_weight
from convaudit.records import ConvLayer


def fix_convolution(edit: Edit, site: ChangedNode) -> None:
    """Give a convolution its new groups, and its bias what the channels add that go.

    Raises:
        CannotRewriteError: It has no such form.
    """
    layer = edit.layer(site)
    if layer is None:
        return
    names = CONV_OPS[op_of(site.node)].operands(site.node)
    axis = _channel_axis(edit, site, layer)
    left = gone(edit, site.scope, names["x"], axis)
    if left is not None:
        _fold(edit, site, layer, left, axis)
    _set_group(edit, site, layer, names, axis)


def _channel_axis(edit: Edit, site: ChangedNode, layer: ConvLayer) -> int:
    if layer.layout != "channels_last":
        return 1
    return len(layer.kernel_size or ()) + 1


def _set_group(edit: Edit, site: ChangedNode, layer: ConvLayer, names: dict[str, str], axis: int) -> None:
    if layer.groups == 1 or attribute_of(site.node, "group") is None:
        return
    weight = edit.kept(site.scope, names["weight"])
    shape = edit.shape(site.scope, names["weight"])
    last = shape is not None and layer.weight_shape is not None and shape != layer.weight_shape
    second = len(shape or ()) - 1 if last else 1
    grouped = len(weight[second]) if second in weight else (layer.weight_shape or (None, None))[1]
    of_group = site.node.output[0] if layer.transposed else names["x"]
    kept = edit.kept(site.scope, of_group).get(axis)
    channels = layer.out_channels if layer.transposed else layer.in_channels
    channels = channels if kept is None else len(kept)
    if not isinstance(channels, int) or not isinstance(grouped, int) or channels % grouped:
        raise CannotRewriteError(f"{channels} channels do not make groups of {grouped}")
    set_attribute(site.node, "group", channels // grouped)


def _fold(edit: Edit, site: ChangedNode, layer: ConvLayer, left: Gone, axis: int) -> None:
    """Add what the channels that go give, where that is a constant, to the bias."""
    stored = Stored(edit.walked)
    weight = stored.weight(layer)
    if weight is None:
        if left.known.all() and not left.values.any():
            return
        raise CannotRewriteError("its weight is computed at run time")
    kernels = grouped_weight(layer, weight)
    groups, outputs, inputs = kernels.shape[:3]
    sums = kernels.astype(np.float64).sum(axis=tuple(range(3, kernels.ndim)))
    meets = (kernels != 0).any(axis=tuple(range(3, kernels.ndim)))
    ignored = edit.ignored.get(layer.name)
    if ignored is not None:
        meets = meets & ~ignored
    taken = taken_outputs(edit, site, axis, groups * outputs)
    meets = meets & taken.reshape(groups, outputs, 1)
    met = meets.any(axis=1).reshape(-1)[left.indices]
    values = np.where(met, left.values - _zero_point(edit, site, layer), 0)
    if (met & ~left.known).any():
        raise CannotRewriteError("it reads a channel that is to go, and that is not constant")
    if not values.any():
        return
    _check_foldable(site, layer)
    by_input = np.zeros(groups * inputs)
    by_input[left.indices] = values
    added: Array = np.einsum("goi,gi->go", np.where(meets, sums, 0), by_input.reshape(groups, inputs)).ravel()
    bias = stored.bias(layer)
    index = CONV_OPS[op_of(site.node)].roles.index("bias")
    if bias is None and layer.bias:
        raise CannotRewriteError("its bias is computed at run time")
    add_to_bias(edit, site, index, bias, added, axis)


def _zero_point(edit: Edit, site: ChangedNode, layer: ConvLayer) -> float:
    """What is 0 to a layer that takes integers."""
    names = CONV_OPS[op_of(site.node)].operands(site.node)
    if "x_zero_point" not in names:
        return 0.0
    value = edit.value(site.scope, names["x_zero_point"])
    if value is None or value.size != 1:
        raise CannotRewriteError("its zero point is computed at run time")
    return float(value.reshape(-1)[0])


def _check_foldable(site: ChangedNode, layer: ConvLayer) -> None:
    if not keeps_constants(layer):
        border = layer.transposed or layer.deformable
        why = "does not give the same at its output's border" if border else "meets padding"
        raise CannotRewriteError(f"a constant input {why}")
    if "bias" not in CONV_OPS[op_of(site.node)].roles:
        raise CannotRewriteError(f"{op_of(site.node)} has no bias")
