"""Reductions, and what else mixes the elements along some axes while it leaves the others apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from convaudit.frontends.onnx.channels.compressed import any_along, uniform_along
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import (
    Results,
    Transfer,
    Wanted,
    all_of,
    first,
    nothing_known,
)
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown

_KEEPING = frozenset({"ReduceMean", "ReduceMax", "ReduceMin"})
"""Of equal elements they give that element."""
_ZERO_OF_ZEROS = frozenset({"ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd"})
_SINCE = {"ReduceSum": 13}
"""The opset since which the axes are an operand; 18 of the others."""


def _reduced(site: Site) -> tuple[int, ...]:
    rank = len(site.ranked())
    axes = site.integers("axes", 1, _SINCE.get(site.op, 18))
    if axes:
        return tuple(normalized_all(axes, rank))
    return () if site.attributes.integer("noop_with_empty_axes", 0) else tuple(range(rank))


def _reduce(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    axes = _reduced(site)
    uniform = uniform_along(known, axes)
    if not axes:
        if site.op not in _KEEPING | {"ReduceSum", "ReduceProd"}:
            raise Unknown
    elif site.op == "ReduceSum":
        uniform = _sum(site, uniform, axes)
    elif site.op in _ZERO_OF_ZEROS:
        uniform = KnownElements(uniform.mask & (uniform.values == 0), uniform.values)
    elif site.op not in _KEEPING:
        raise Unknown
    if site.attributes.integer("keepdims", 1):
        return [uniform]
    return [KnownElements(np.squeeze(uniform.mask, axes), np.squeeze(uniform.values, axes))]


def _sum(site: Site, known: KnownElements, axes: Sequence[int]) -> KnownElements:
    sizes = [site.ranked()[axis] for axis in axes]
    counts = [size for size in sizes if isinstance(size, int)]
    if len(counts) == len(sizes):
        count = prod(counts)
        return KnownElements(known.mask, (known.values * count).astype(known.values.dtype))
    return KnownElements(known.mask & (known.values == 0), known.values)


def _unreduce(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    axes = _reduced(site)
    mask = first(wanted)
    if not site.attributes.integer("keepdims", 1):
        mask = np.expand_dims(mask, axes)
    return [mask, all_of(site, 1)]


def _argument(site: Site) -> tuple[int, ...]:
    return (normalized(site.attributes.integer("axis", 0), len(site.ranked())),)


def _unargument(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask = first(wanted)
    return [mask if site.attributes.integer("keepdims", 1) else np.expand_dims(mask, _argument(site))]


def _one(default: int) -> Callable[[Site], Sequence[int]]:
    def axes(site: Site) -> Sequence[int]:
        return [normalized(site.attributes.integer("axis", default), len(site.ranked()))]

    return axes


def _softmax(site: Site) -> Sequence[int]:
    if site.opset >= 13:
        return _one(-1)(site)
    (axis,) = _one(1)(site)  # before, all axes behind it too
    return range(axis, len(site.ranked()))


def _trailing(site: Site) -> Sequence[int]:
    (axis,) = _one(-1)(site)
    return range(axis, len(site.ranked()))


def _channels(site: Site) -> Sequence[int]:
    return [1]


def _all_but_batch(site: Site) -> Sequence[int]:
    return range(1, len(site.ranked()))


def _mean_variance(site: Site) -> Sequence[int]:
    axes = site.attributes.integers("axes")
    return normalized_all([0, 2, 3] if axes is None else axes, len(site.ranked()))


def _cumulative(site: Site) -> Sequence[int]:
    return [normalized(int(site.constant(1).reshape(())), len(site.ranked()))]


def _mixing(axes: Callable[[Site], Sequence[int]]) -> Transfer:
    """An op whose results, shaped as its input but along these axes, mix the elements along them."""

    def backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
        along, shape = axes(site), site.ranked()
        total: Mask = np.zeros((1,) * len(shape), np.bool_)
        for index, mask in enumerate(wanted):
            if mask is None:
                continue
            other = site.output_shape(index)
            if len(other) != len(shape):
                raise Unknown
            total = total | any_along(mask, along)
        return [total, *(all_of(site, index) for index in range(1, len(site.inputs)))]

    return Transfer(nothing_known, backward)


_REDUCE = Transfer(_reduce, _unreduce)
_ARGUMENT = Transfer(nothing_known, _unargument)

REDUCING_OPS = {
    **dict.fromkeys(_KEEPING | _ZERO_OF_ZEROS, _REDUCE),
    **dict.fromkeys(("ReduceSum", "ReduceLogSum", "ReduceLogSumExp"), _REDUCE),
    **dict.fromkeys(("ArgMax", "ArgMin"), _ARGUMENT),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _mixing(_softmax)),
    "LpNormalization": _mixing(_one(-1)),
    "LRN": _mixing(_channels),
    "GroupNormalization": _mixing(_all_but_batch),
    "LayerNormalization": _mixing(_trailing),
    "RMSNormalization": _mixing(_trailing),
    "MeanVarianceNormalization": _mixing(_mean_variance),
    "CumSum": _mixing(_cumulative),
    "TopK": _mixing(_one(-1)),
}
