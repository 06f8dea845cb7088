"""What ops tie that leave channels where they are: of elements, of one channel, over other axes."""

from __future__ import annotations

from convaudit.frontends.onnx.channels.coupling import Axis, Couplings
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.ties.row import (
    Tying,
    channelwise,
    elementwise,
    label,
    only,
    operand,
    result,
    same_axes,
    tie_axes,
    tie_or_pin,
)
from convaudit.frontends.onnx.shapes.symbolic.calls import normalized
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown

_OF_ONE = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu"),
    *("Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity"),
    *("IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu"),
    *("Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh"),
    *("ThresholdedRelu", "CastLike", "com.microsoft.Gelu", "com.microsoft.QuickGelu"),
    *("com.microsoft.FastGelu", "com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu"),
)
_OF_SEVERAL = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater"),
    *("GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow"),
    *("Sub", "Sum", "Where", "Xor", "com.microsoft.BiasGelu"),
)
_POOLS = (
    *("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"),
    *("com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool"),
)
_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
)


def _pool(site: Site, couplings: Couplings) -> None:
    if site.op.startswith("com.microsoft") and site.attributes.integer("channels_last", 0):
        raise Unknown
    channelwise()(site, couplings)


def _resize(site: Site, couplings: Couplings) -> None:
    """Axes that are as long as before are left alone; the others do not change."""
    if site.attributes.string("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise Unknown
    told = [index for index in range(1, len(site.inputs)) if site.has(index)]
    if site.op == "Resize" and site.has(3) and not site.tensors.is_stored(only(operand(site, 3))):
        raise Unknown
    for index in told[-1:]:
        if index != 3 and (site.constant(index).ravel()[:2] != 1).any():
            raise Unknown
    channelwise()(site, couplings)


def _quantize(site: Site, couplings: Couplings) -> None:
    """Scales and zero points of an axis go with it."""
    if site.attributes.integer("block_size", 0):
        raise Unknown
    source, target = only(operand(site, 0)), only(result(site))
    tie_axes(couplings, source, target, f"sizes of {label(site)}")
    rank = couplings.rank(source)
    axis = site.attributes.integer("axis", 1)
    for index in (1, 2):
        key = operand(site, index)
        if key is not None and couplings.rank(key) == 1 and couplings.size(Axis(key, 0)) != 1:
            tie_or_pin(
                couplings, Axis(key, 0), Axis(target, normalized(axis, rank)), f"sizes of {label(site)}"
            )


def _reduction(site: Site, couplings: Couplings) -> None:
    source, target, who = only(operand(site, 0)), only(result(site)), label(site)
    rank = couplings.rank(source)
    since = 13 if site.op == "ReduceSum" else 18
    axes = site.integers("axes", 1, since)
    if not axes:
        axes = (
            []
            if axes is not None and site.attributes.integer("noop_with_empty_axes", 0)
            else list(range(rank))
        )
    over = {normalized(axis, rank) for axis in axes}
    keep = site.attributes.integer("keepdims", 1)
    place = 0
    for axis in range(rank):
        if axis in over:
            couplings.pin(Axis(source, axis), f"{who} ({site.op}) takes all channels")
        else:
            tie_or_pin(couplings, Axis(source, axis), Axis(target, place), f"sizes of {who}")
        place += axis not in over or bool(keep)


def _along(default: int) -> Tying:
    """An op in which the elements along one axis meet each other, and none else."""

    def tying(site: Site, couplings: Couplings) -> None:
        source, target = only(operand(site, 0)), only(result(site))
        rank = couplings.rank(source)
        axis = site.attributes.integer("axis", default)
        if site.opset < 13:  # before, all axes behind it were one
            raise Unknown
        for key in (source, target):
            couplings.pin(Axis(key, normalized(axis, rank)), f"{label(site)} ({site.op}) takes all channels")
        tie_axes(couplings, source, target, f"sizes of {label(site)}")

    return tying


def _shape(site: Site, couplings: Couplings) -> None:
    """What is done with sizes is done with those that the tensor had: they are written down where they go."""
    couplings.pin_all(only(result(site)), f"{label(site)} gives sizes")


ALONG = ("Softmax", "LogSoftmax", "Hardmax", "Shape")
"""Ops that look at a tensor as a whole."""
PLAIN_TIES: dict[str, Tying] = {
    **dict.fromkeys(_OF_ONE, same_axes()),
    **dict.fromkeys(_OF_SEVERAL, elementwise()),
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(ALONG[:3], _along(-1)),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(
        (
            *("QuantizeLinear", "DequantizeLinear"),
            *("com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear"),
        ),
        _quantize,
    ),
    **dict.fromkeys(("com.microsoft.QLinearAdd", "com.microsoft.QLinearMul"), elementwise(0, 3)),
    "BatchNormalization": channelwise(1, 2, 3, 4),
    "InstanceNormalization": channelwise(1, 2),
    "Dropout": same_axes(),
    "Shape": _shape,
}
