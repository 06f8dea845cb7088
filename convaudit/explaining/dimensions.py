"""Each dimension of a layer's output, and the rule that makes it as long as it is.

The arithmetic is that of ``convaudit.shapes``; what a rule gives is held against the audited size.
"""

from __future__ import annotations

from convaudit.errors import ShapeError
from convaudit.explaining.axes import BATCH, CHANNELS, AxisName, AxisSizes, axis_sizes, spatial_names
from convaudit.explaining.text import bracketed, number
from convaudit.formulas import Count, is_equal
from convaudit.records import LayerCost
from convaudit.records.explanation import AxisWindow, Dimension, DimensionRule
from convaudit.shapes import conv_output_size, conv_transpose_output_size, same_output_size

WINDOW = "floor((size + before + after - dilation*(kernel - 1) - 1)/stride) + 1"
TRANSPOSED = "stride*(size - 1) + dilation*(kernel - 1) + 1 + output_padding - before - after"
SAME = "ceil(size/stride)"
_TOLD = {
    "run": "a run of the model shows it; the structure leaves it open",
    "declared": "the file declares it; the structure leaves it open",
}


def output_dimensions(layer: LayerCost) -> tuple[Dimension, ...]:
    """One for each axis of the output, in its order; none where its rank is unknown."""
    if layer.kernel_size is None:
        return ()
    inputs, outputs = axis_sizes(layer.input_shape, layer), axis_sizes(layer.output_shape, layer)
    rank = len(layer.kernel_size)
    unknown = AxisSizes(batch=(None,), channels=None, spatial=(None,) * rank)
    before, after = inputs or unknown, outputs or unknown
    batch = [
        _copied(BATCH, before.batch[axis] if axis < len(before.batch) else None, size, layer)
        for axis, size in enumerate(after.batch if outputs else before.batch)
    ]
    spatial = [
        _spatial(layer, axis, name, before.spatial[axis], after.spatial[axis])
        for axis, name in enumerate(spatial_names(rank))
    ]
    channels = _channels(layer, after.channels if outputs else layer.out_channels)
    return (*batch, *spatial, channels) if layer.layout == "channels_last" else (*batch, channels, *spatial)


def _copied(name: AxisName, given: Count | None, size: Count | None, layer: LayerCost) -> Dimension:
    return Dimension(
        name=name.name,
        letter=name.letter,
        rule="input" if size is not None else "unknown",
        size=size,
        derived=given,
        symbols="the input's",
        text=number(size),
        reason=_why(layer, given, size),
    )


def _channels(layer: LayerCost, size: Count | None) -> Dimension:
    groups = layer.groups
    each = None if layer.out_channels is None else layer.out_channels // groups
    derived = None if each is None else each * groups
    return Dimension(
        name=CHANNELS.name,
        letter=CHANNELS.letter,
        rule="weight" if size is not None else "unknown",
        size=size,
        derived=derived,
        symbols="groups*(output channels of a group)",
        text=number(size) if groups == 1 else f"{groups}*{bracketed(each)} = {number(size)}",
        reason=_why(layer, derived, size),
    )


def _spatial(
    layer: LayerCost, axis: int, name: AxisName, given: Count | None, size: Count | None
) -> Dimension:
    window = _window(layer, axis, name, given, size)
    rule, derived, symbols, filled = _ruled(window, given, size)
    reason = _why(layer, derived, size)
    if reason is not None and size is not None:
        rule = "declared"
    return Dimension(
        name=name.name,
        letter=name.letter,
        rule=rule if size is not None else "unknown",
        size=size,
        derived=derived,
        symbols=symbols,
        text=f"{filled} = {number(size)}" if derived is not None and reason is None else number(size),
        reason=reason,
        window=window,
    )


def _window(
    layer: LayerCost, axis: int, name: AxisName, given: Count | None, size: Count | None
) -> AxisWindow | None:
    if layer.kernel_size is None or layer.stride is None or layer.dilation is None:
        return None
    before, after = (None, None) if layer.padding is None else layer.padding[axis]
    return AxisWindow(
        name=name.name,
        letter=name.letter,
        input=given,
        output=size,
        kernel=layer.kernel_size[axis],
        stride=layer.stride[axis],
        dilation=layer.dilation[axis],
        before=before,
        after=after,
        output_padding=layer.output_padding[axis] if layer.output_padding else 0,
        transposed=layer.transposed,
    )


def _ruled(
    window: AxisWindow | None, given: Count | None, size: Count | None
) -> tuple[DimensionRule, Count | None, str, str]:
    """The rule, what it gives, and how it reads in symbols and with its numbers."""
    if window is None:
        return "unknown", None, "", ""
    rule: DimensionRule = "transposed" if window.transposed else "window"
    symbols = TRANSPOSED if window.transposed else WINDOW
    if given is None:
        return rule, None, symbols, ""
    kernel, stride, dilation = window.kernel, window.stride, window.dilation
    before, after, extra = window.before, window.after, window.output_padding
    if before is None or after is None:
        # SAME with an open size: its padding depends on the size, its output does not
        if window.transposed:
            return rule, None, symbols, ""
        return "same", same_output_size(given, stride), SAME, f"ceil({bracketed(given)}/{stride})"
    try:
        if window.transposed:
            out = conv_transpose_output_size(given, kernel, stride, dilation, before, after, extra)
            filled = (
                f"{stride}*({bracketed(given)} - 1) + {dilation}*({kernel} - 1) + 1 + {extra} "
                f"- {_signed(before)} - {_signed(after)}"
            )
        else:
            out = conv_output_size(given, kernel, stride, dilation, before, after)
            filled = (
                f"floor(({bracketed(given)} + {_signed(before)} + {_signed(after)} "
                f"- {dilation}*({kernel} - 1) - 1)/{stride}) + 1"
            )
    except ShapeError:
        return rule, None, symbols, ""
    return rule, out, symbols, filled


def _signed(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"


def _why(layer: LayerCost, derived: Count | None, size: Count | None) -> str | None:
    """Why a size is unknown, or is not what the rule gives; None: it is."""
    if size is None:
        return next(iter(layer.notes), "the size of its input is unknown")
    if derived is not None and is_equal(derived, size):
        return None
    told = [_TOLD[source] for source in layer.shapes_from]
    if derived is None:
        return told[0] if told else "it is given, not derived: the input's size, or its padding, is open"
    return f"the rule gives {number(derived)}; {told[0] if told else 'the model says otherwise'}"
