"""Shapes of ops that pick elements out of a tensor or sum them up: Gather, ReduceSum and their like."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from convaudit.formulas import Count
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule, fixed, normalized, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.reals import Symbolic
from convaudit.frontends.onnx.shapes.symbolic.tensors import INTEGERS, Tensor, Unknown
from convaudit.records import Shape

# --- gathering -------------------------------------------------------------------------------------------


def gather(call: Call) -> Sequence[Tensor]:
    """Gather: the indices' shape takes the place of the axis."""
    shape, indices = call.shape(), call.shape(1)
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    return [Tensor(call.dtype(), (*shape[:axis], *indices, *shape[axis + 1 :]))]


def like_second(call: Call) -> Sequence[Tensor]:
    """GatherElements: the result has the indices' shape."""
    return [Tensor(call.dtype(), call.shape(1))]


def gather_nd(call: Call) -> Sequence[Tensor]:
    """GatherND: the last axis of the indices holds places."""
    shape, indices = call.shape(), call.shape(1)
    batch = call.attributes.integer("batch_dims", 0)
    if not indices or not 0 <= batch < min(len(shape), len(indices)):
        raise Unknown
    depth = fixed(indices[-1])
    if not 1 <= depth <= len(shape) - batch:
        raise Unknown
    return [Tensor(call.dtype(), (*indices[:-1], *shape[batch + depth :]))]


def one_hot(call: Call) -> Sequence[Tensor]:
    """OneHot: an axis as long as the depth is put in."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", -1), len(shape) + 1)
    try:
        depth = call.value(1).item()
    except Unknown:
        depth = None
    if depth is not None and call.dtype(1) not in INTEGERS:
        depth = None if isinstance(depth, Symbolic) else int(depth)
    return [Tensor(call.dtype(2), (*shape[:axis], depth, *shape[axis:]))]


def top_k(call: Call) -> Sequence[Tensor]:
    """TopK: the axis becomes k long."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", -1), len(shape))
    size: Count | None
    try:
        size = call.attributes.integer("k", 0) if call.opset < 10 else call.value(1).item()
    except Unknown:
        size = None
    result = (*shape[:axis], size, *shape[axis + 1 :])
    return [Tensor(call.dtype(), result), Tensor(TensorProto.INT64, result)]


def non_zero(call: Call) -> Sequence[Tensor]:
    """NonZero: how many there are depends on data."""
    return [Tensor(TensorProto.INT64, (len(call.shape()), None))]


def compress(call: Call) -> Sequence[Tensor]:
    """Compress: how many are kept depends on data."""
    if "axis" not in call.attributes:
        return [Tensor(call.dtype(), (None,))]
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    return [Tensor(call.dtype(), (*shape[:axis], None, *shape[axis + 1 :]))]


# --- reducing --------------------------------------------------------------------------------------------


AXES_AS_OPERAND = {"ReduceSum": 13}


def reduced_axes(call: Call, rank: int) -> list[int]:
    """Axes that a reduction takes together, from the front."""
    since = AXES_AS_OPERAND.get(call.node.op_type, 18)
    axes = call.fixed_integers("axes", 1, since)
    if not axes:
        return [] if call.attributes.integer("noop_with_empty_axes", 0) else list(range(rank))
    return normalized_all(axes, rank)


def reduce_(call: Call) -> Sequence[Tensor]:
    """ReduceSum and its like."""
    shape = call.shape()
    keep = bool(call.attributes.integer("keepdims", 1))
    try:
        axes = reduced_axes(call, len(shape))
    except Unknown:
        if not keep:
            raise
        return [Tensor(call.dtype(), (None,) * len(shape))]
    return [Tensor(call.dtype(), without_axes(shape, axes, keep))]


def without_axes(shape: Shape, axes: Sequence[int], keep: bool) -> Shape:
    """A shape with axes taken out, or made 1 if they are kept."""
    return tuple([1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes])


def arg_reduce(call: Call) -> Sequence[Tensor]:
    """ArgMax and ArgMin."""
    shape = call.shape()
    axis = normalized(call.attributes.integer("axis", 0), len(shape))
    keep = bool(call.attributes.integer("keepdims", 1))
    return [Tensor(TensorProto.INT64, without_axes(shape, [axis], keep))]


_REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}
)
GATHERING: dict[str, Rule] = {
    **dict.fromkeys(_REDUCTIONS, reduce_),
    "ArgMax": arg_reduce,
    "ArgMin": arg_reduce,
    "Compress": compress,
    "Gather": gather,
    "GatherElements": like_second,
    "GatherND": gather_nd,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "TopK": top_k,
}
"""By op type, of ONNX's own domain."""
