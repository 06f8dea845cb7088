"""Quantisation: numbers to integers and back, with one scale or one along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.frontends.onnx.channels.facts import KnownElements, anywhere_along
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.elementwise import BY_ELEMENT
from convaudit.frontends.onnx.channels.transfers.row import (
    Results,
    Transfer,
    Wanted,
    all_of,
    first,
    nothing_known,
)
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown


def _axis(site: Site) -> int | None:
    """The axis along which the scale lies; None if there is one scale. Unknown is raised of blocks."""
    scale = site.ranked(1)
    if len(scale) == 0 or scale == (1,):
        return None
    if len(scale) != 1 or site.attributes.integer("block_size", 0):
        raise Unknown
    return normalized(site.attributes.integer("axis", 1), len(site.ranked()))


def _settings(site: Site) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Scale and zero point, shaped to broadcast to the operand."""
    axis, rank = _axis(site), len(site.ranked())
    shape = [1] * rank
    if axis is not None:
        shape[axis] = -1
    zero = site.constant(2).reshape(shape) if site.has(2) else None
    return site.constant(1).reshape(shape), zero


def _dequantised(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    scale, zero = _settings(site)
    if known.values.dtype.kind not in "iu":
        raise Unknown
    integers = known.values.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))
    return [KnownElements(known.mask, (integers.astype(scale.dtype) * scale).astype(scale.dtype))]


def _quantised(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    scale, zero = _settings(site)
    dtype = zero.dtype if zero is not None else np.dtype(np.uint8)
    if zero is None and site.attributes.integer("output_dtype", 0):
        raise Unknown
    if dtype.name not in ("int8", "uint8", "int16", "uint16"):
        raise Unknown
    limits = np.iinfo(dtype)
    rounded = np.rint(known.values / scale) + (0 if zero is None else zero.astype(np.float64))
    return [KnownElements(known.mask, np.clip(rounded, limits.min, limits.max).astype(dtype))]


def _backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask, axis = first(wanted), _axis(site)
    size = site.ranked(1)[0] if axis is not None else 1
    if axis is None or not isinstance(size, int):
        return [mask, all_of(site, 1), all_of(site, 2)]
    own = anywhere_along(mask, axis, size)
    return [mask, *[own] * (len(site.inputs) - 1)]


def _two_operands(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    """com.microsoft's sums and products of integers: each operand with a scale and a zero point."""
    taken = list(BY_ELEMENT.backward(site, wanted, folding))
    return [mask if index in (0, 3) else all_of(site, index) for index, mask in enumerate(taken)]


def _one_operand(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    return [first(wanted), *(all_of(site, index) for index in range(1, len(site.inputs)))]


_DEQUANTIZE, _QUANTIZE = Transfer(_dequantised, _backward), Transfer(_quantised, _backward)
_BINARY, _UNARY = Transfer(nothing_known, _two_operands), Transfer(nothing_known, _one_operand)

QUANTISING_OPS = {
    "DequantizeLinear": _DEQUANTIZE,
    "QuantizeLinear": _QUANTIZE,
    "com.microsoft.DequantizeLinear": _DEQUANTIZE,
    "com.microsoft.QuantizeLinear": _QUANTIZE,
    "com.microsoft.QLinearAdd": _BINARY,
    "com.microsoft.QLinearMul": _BINARY,
    "com.microsoft.QLinearSigmoid": _UNARY,
    "com.microsoft.QLinearLeakyRelu": _UNARY,
}
