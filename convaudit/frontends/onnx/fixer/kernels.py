"""A convolution with a smaller kernel, or with the groups that its weight hides."""

from __future__ import annotations

import numpy as np
from onnx import helper

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.one_layer import Regrouped
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, ChangedNode, Edit, sliced
from convaudit.frontends.onnx.fixer.nodes import attribute_of, set_attribute
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.linting.crops import Crop, cropped_padding
from convaudit.linting.weights import grouped_weight
from convaudit.records import ConvLayer


def fix_kernel(edit: Edit, site: ChangedNode) -> None:
    """Crop a layer's kernel, and write its groups, where the plan asks for it.

    Raises:
        CannotRewriteError: It has no such form.
    """
    layer = edit.layer(site)
    if layer is None:
        return
    crop, groups = edit.plan.crops.get(layer.name), edit.plan.regrouped.get(layer.name)
    if crop is None and groups is None:
        return
    position = CONV_OPS[op_of(site.node)].weight
    name = site.node.input[position]
    weight = edit.value(site.scope, name)
    if weight is None:
        raise CannotRewriteError("its weight is computed at run time")
    weight = sliced(weight, edit.kept(site.scope, name))
    if crop is not None:
        weight = _cropped(layer, weight, crop)
        _tell_crop(site, layer, crop)
    if groups is not None:
        weight = _regrouped(edit, site, layer, weight, groups)
    edit.replace(site, position, np.ascontiguousarray(weight), "weight")


def _cropped(layer: ConvLayer, weight: Array, crop: Crop) -> Array:
    last = layer.weight_shape is not None and weight.shape[2:] != layer.weight_shape[2:]
    own = tuple(slice(first, end) for first, end in crop)
    return weight[(slice(None), *own)] if last else weight[(slice(None), slice(None), *own)]


def _tell_crop(site: ChangedNode, layer: ConvLayer, crop: Crop) -> None:
    """Write the kernel's size, and the padding that goes with it."""
    pads = cropped_padding(layer, crop)
    if pads is None:
        raise CannotRewriteError("its padding is smaller than what would go of the kernel, or is not known")
    if attribute_of(site.node, "kernel_shape") is not None:
        set_attribute(site.node, "kernel_shape", [end - first for first, end in crop])
    set_attribute(site.node, "auto_pad", None)
    told = [before for before, _ in pads] + [after for _, after in pads]
    set_attribute(site.node, "pads", told if any(told) else None)


def _regrouped(edit: Edit, site: ChangedNode, layer: ConvLayer, weight: Array, found: Regrouped) -> Array:
    """The weight in groups; what the layer reads and gives changes its order where that is needed."""
    if layer.deformable or layer.layout != "channels_first":
        raise CannotRewriteError(f"{layer.op} has no such groups")
    outs, ins = len(found.outputs) // layer.groups, len(found.inputs) // layer.groups
    stored = (layer.groups * ins, outs) if layer.transposed else (layer.groups * outs, ins)
    if weight.shape[:2] != stored:
        raise CannotRewriteError("others of its channels go first")
    whole = grouped_weight(layer, weight)
    blocks = []
    for outputs, inputs in zip(
        found.outputs.reshape(found.groups, -1), found.inputs.reshape(found.groups, -1), strict=True
    ):
        group = int(outputs[0]) // outs  # which of the groups that it has already
        block = whole[group][np.ix_(outputs - group * outs, inputs - group * ins)]
        blocks.append(np.swapaxes(block, 0, 1) if layer.transposed else block)
    set_attribute(site.node, "group", found.groups)
    _reorder(edit, site, layer, found)
    return np.concatenate(blocks)


def _reorder(edit: Edit, site: ChangedNode, layer: ConvLayer, found: Regrouped) -> None:
    """Put the input's channels, the bias and the output's channels into the order that they need."""
    roles = CONV_OPS[op_of(site.node)].roles
    in_order = np.arange(len(found.inputs))
    if (found.inputs != in_order).any():
        at = roles.index("x")
        source = site.node.input[at]
        moved = edit.fresh(f"{source}.{site.node.name}")
        indices = edit.add(site, found.inputs.astype(np.int64), f"{moved}.order")
        edit.put(site, helper.make_node("Gather", [source, indices], [moved], axis=1), before=True)
        site.node.input[at] = moved
    if (found.outputs == np.arange(len(found.outputs))).all():
        return
    for role in ("bias", "w_scale", "w_zero_point"):
        at = roles.index(role) if role in roles else len(site.node.input)
        if at >= len(site.node.input) or not site.node.input[at]:
            continue
        value = edit.value(site.scope, site.node.input[at])
        if value is None:
            raise CannotRewriteError(f"its {role.replace('_', ' ')} is computed at run time")
        if value.size > 1:
            edit.replace(site, at, value[found.outputs], role)
    if "residual" in roles and len(site.node.input) > roles.index("residual"):
        raise CannotRewriteError("it adds another tensor")
    back = np.argsort(found.outputs).astype(np.int64)
    edit.follow(site, "Gather", edit.add(site, back, f"{site.node.output[0]}.order"), axis=1)
