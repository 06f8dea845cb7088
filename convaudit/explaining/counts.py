"""Parameters and multiply-accumulates as products, number by number, beside the same with groups=1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convaudit.explaining.axes import axis_sizes, spatial_names
from convaudit.explaining.text import equation
from convaudit.formulas import Count, floor_divide, multiply
from convaudit.records import LayerCost
from convaudit.records.explanation import Arithmetic, Factor

NO_SHAPES = "the sizes that it is applied to are unknown"
NO_WEIGHT = "the shape of its weight is unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCounts:
    """The four counts of a layer that its weight and its positions make."""

    params: Arithmetic
    dense_params: Arithmetic
    macs: Arithmetic
    dense_macs: Arithmetic


def weight_axes(layer: LayerCost) -> tuple[Factor, ...]:
    """The weight's axes in the order in which it is stored: channels, channels of a group, taps.

    ``(out, in/groups, *kernel)``; of a transposed convolution ``(in, out/groups, *kernel)``.
    """
    return _weight_axes(layer, dense=False)


def explained_counts(layer: LayerCost) -> ExplainedCounts:
    """Why a layer has its parameters and takes its multiply-accumulates."""
    bias = (Factor(name="biases, one an output channel", value=layer.out_channels),) if layer.bias else ()
    positions = _positions(layer)
    weight, dense = _weight_axes(layer, dense=False), _weight_axes(layer, dense=True)
    return ExplainedCounts(
        params=_arithmetic(weight, bias, layer.params, NO_WEIGHT),
        dense_params=_arithmetic(dense, bias, layer.dense_params, NO_WEIGHT),
        macs=_arithmetic((*positions, *weight), (), layer.macs, NO_SHAPES),
        dense_macs=_arithmetic((*positions, *dense), (), layer.dense_macs, NO_SHAPES),
    )


def _weight_axes(layer: LayerCost, *, dense: bool) -> tuple[Factor, ...]:
    names = (
        ("input channels", "output channels") if layer.transposed else ("output channels", "input channels")
    )
    grouped = names[1] if layer.groups == 1 or dense else f"{names[1]} of a group"
    channels = (
        (layer.in_channels, layer.out_channels)
        if layer.transposed
        else (
            layer.out_channels,
            layer.in_channels,
        )
    )
    sizes: Sequence[Count | None] = (channels[0], floor_divide(channels[1], layer.groups))
    kernel: Sequence[Count | None] = layer.kernel_size or ()
    if layer.weight_shape is not None and len(layer.weight_shape) >= 2:
        sizes, kernel = layer.weight_shape[:2], layer.weight_shape[2:]
    elif layer.kernel_size is None:
        kernel = (None,)
    axes = [name.name for name in spatial_names(len(kernel))] if layer.kernel_size is not None else ["taps"]
    return (
        Factor(name=names[0], value=sizes[0]),
        Factor(name=grouped, value=multiply(sizes[1], layer.groups if dense else 1)),
        *(Factor(name=f"kernel {axis}", value=size) for axis, size in zip(axes, kernel, strict=False)),
    )


def _positions(layer: LayerCost) -> tuple[Factor, ...]:
    """Where the weight is applied: at every output position, a transposed one at every input position."""
    side = "input" if layer.transposed else "output"
    sizes = axis_sizes(layer.input_shape if layer.transposed else layer.output_shape, layer)
    if sizes is None:
        return (Factor(name=f"{side} positions", value=None),)
    names = spatial_names(len(sizes.spatial))
    return (
        *(Factor(name="batch", value=size) for size in sizes.batch),
        *(
            Factor(name=f"{side} {axis.name}", value=size)
            for axis, size in zip(names, sizes.spatial, strict=True)
        ),
    )


def _arithmetic(
    factors: tuple[Factor, ...], added: tuple[Factor, ...], total: Count | None, reason: str
) -> Arithmetic:
    return Arithmetic(
        factors=factors,
        added=added,
        total=total,
        text=equation([one.value for one in factors], [one.value for one in added], total),
        reason=reason if total is None else None,
    )
