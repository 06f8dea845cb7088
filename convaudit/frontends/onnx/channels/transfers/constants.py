"""What depends on no element of its operands: constants, and the sizes of tensors."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from convaudit.frontends.onnx.channels.facts import KnownElements
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import (
    Results,
    Transfer,
    Wanted,
    all_wanted,
    nothing_known,
)

_TYPES = {
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_float": np.float32,
    "value_floats": np.float32,
}


def _constant(site: Site) -> Results:
    """Numbers that are written in the node; a tensor in it is read as all stored ones are."""
    for attribute in site.node.attribute:
        if attribute.name in _TYPES:
            held = {"value_int": attribute.i, "value_float": attribute.f}.get(attribute.name)
            numbers = held if held is not None else [*attribute.ints] or [*attribute.floats]
            values = np.asarray(numbers, _TYPES[attribute.name])
            return [KnownElements(np.ones(values.shape, np.bool_), values)]
    return [None]


def _filled(site: Site) -> Results:
    """One number everywhere, however large the result will be."""
    tensors = [attribute.t for attribute in site.node.attribute if attribute.name == "value"]
    number = numpy_helper.to_array(tensors[0]).reshape(-1)[0] if tensors else np.float32(0)
    shape = (1,) * len(site.output_shape())
    return [KnownElements(np.ones(shape, np.bool_), np.full(shape, number))]


def _sizes_only(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    """No element is read; whoever takes some away must look at which sizes are."""
    return [None] * len(site.inputs)


def _shape(site: Site) -> Results:
    """Sizes that are the same on every input."""
    sizes = site.shape() if site.tensors.exact_sizes else None
    if not sizes:
        return [None]
    end = site.attributes.integer("end", len(sizes))
    chosen = sizes[site.attributes.integer("start", 0) : end]
    mask = np.array([isinstance(size, int) for size in chosen], np.bool_)
    values = np.array([size if isinstance(size, int) else 0 for size in chosen], np.int64)
    return [KnownElements(mask, values)] if mask.any() else [None]


CONSTANT_OPS = {
    "Constant": Transfer(_constant, all_wanted),
    "ConstantOfShape": Transfer(_filled, all_wanted),
    "Shape": Transfer(_shape, _sizes_only),
    "Size": Transfer(nothing_known, _sizes_only),
}
