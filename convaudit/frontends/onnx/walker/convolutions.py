"""Convolution nodes to ``ConvLayer`` records."""

from __future__ import annotations

from dataclasses import replace

from convaudit.errors import ModelError, ShapeError
from convaudit.formulas import Count, product
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.ops import CONV_OPS, ConvOp, join_axes, split_axes
from convaudit.frontends.onnx.shapes.inferred import first_known
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.frontends.onnx.walker.weights import TracedOperand, stored_integers, trace
from convaudit.frontends.onnx.window import Window, conv_window
from convaudit.records import ChannelLayout, ConvLayer, Shape
from convaudit.shapes import as_text, check_groups

PADS_IGNORED = "has auto_pad and pads; auto_pad is followed (onnxruntime refuses the model)"
_SHORT = "auto_pad=SAME with a kernel shorter than its stride: it ends with its last tap, before stride*size"
_AMBIGUOUS = ("its weight fits with the channels second and with them last: kernel_shape would tell",)
NEVER = "it never runs: the condition or trip count around it is constant"
_REORDERED = "its weight is reordered for one machine's vector width; channel counts may be padded"


def conv_layer(node: Node, name: str) -> ConvLayer:
    """The record of a node whose op is in ``CONV_OPS``.

    Raises:
        GroupsError: Its channels do not divide by its groups.
        ShapeError: Its shapes do not fit each other.
        ModelError: It has no weight, or an attribute is out of range.
    """
    op, attributes, who = CONV_OPS[node.op], node.attributes, node.who
    operands = op.operands(node.proto)
    if "weight" not in operands:
        raise ModelError(
            f"{who}: has no weight (input {op.weight}), which ONNX asks for; export the model with it"
        )
    layout = op.layout_of(attributes)
    input_shape = _input_shape(node, op, layout)
    weight = trace(node.scope, operands["weight"])
    bias = trace(node.scope, operands["bias"]) if "bias" in operands else None
    groups = op.groups(attributes, weight.shape)
    weight, ambiguous = _arranged(op, weight, attributes, input_shape, groups)
    kernel_size = None if ambiguous else _kernel_size(attributes, weight.shape, input_shape, who)
    batch, channels, sizes = _axes(input_shape, kernel_size, layout, who)
    in_channels, out_channels = _channels(op, weight.shape, channels, groups, who)
    if layout == "reordered" and input_shape is not None and channels is None:
        input_shape = (batch, in_channels, *sizes)  # filled up to the vector width, as the weight is
    window = _window(op, node, attributes, kernel_size)
    padding, out_sizes = window.resolve(sizes, who=who) if window else (None, None)
    shape = join_axes(batch, out_channels, out_sizes, layout) if out_sizes is not None else None
    return ConvLayer(
        name=name,
        op=node.op,
        in_channels=channels if ambiguous else in_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=window.stride if window else None,
        padding=padding,
        dilation=window.dilation if window else None,
        groups=groups,
        output_padding=window.output_padding if window else None,
        transposed=op.transposed,
        deformable=op.deformable,
        input_shape=input_shape,
        output_shape=shape if is_known(shape) else first_known(shape, node.output_shape()),
        weight_shape=weight.shape,
        dtype=node.scope.dtype(operands.get("x", "")),
        weight_dtype=weight.dtype,
        output_dtype=_output_dtype(node, op),
        bias=bias is not None,
        bias_dtype=bias.dtype if bias else None,
        layout=layout,
        weight_name=weight.name,
        bias_name=bias.name if bias else None,
        stored_params=_stored_params(weight, bias),
        calls=node.scope.calls,
        branches=node.scope.branches,
        scope=node.origin.scope,
        notes=_notes(node, input_shape, weight, layout, window) + _AMBIGUOUS * ambiguous,
    )


def is_known(shape: Shape | None) -> bool:
    """Whether all sizes of a shape are known."""
    return shape is not None and None not in shape


def ignores_pads(node: Node) -> bool:
    """Whether a convolution says its padding in two ways, of which ``auto_pad`` counts."""
    given = {item.name: item.s for item in node.proto.attribute if item.name in ("auto_pad", "pads")}
    return "pads" in given and given.get("auto_pad", b"") not in (b"", b"NOTSET")


def _input_shape(node: Node, op: ConvOp, layout: ChannelLayout) -> Shape | None:
    shape = node.input_shape(op.roles.index("x"))
    if op.causal and layout == "channels_last" and shape is not None and len(shape) > 3:
        # batch, length, and channels that may be spread over any number of axes
        return (*shape[:2], product(shape[2:]))
    return shape


def _arranged(
    op: ConvOp, weight: TracedOperand, attributes: Attributes, input_shape: Shape | None, groups: int
) -> tuple[TracedOperand, bool]:
    """The weight with its channels second, and whether it cannot be told which axis those are."""
    if weight.shape is None:
        return weight, False
    channels = input_shape[-1] if input_shape else None
    arranged = op.arranged(weight.shape, attributes, channels, groups)
    if arranged is None or arranged == weight.shape:
        return weight, arranged is None
    return replace(weight, shape=arranged), False


def _kernel_size(
    attributes: Attributes, weight: Shape | None, input_shape: Shape | None, who: str
) -> tuple[int, ...] | None:
    """Kernel size from the weight, checked against ``kernel_shape``; None if neither is known."""
    declared = attributes.integers("kernel_shape")
    if declared is not None:
        declared = list(attributes.sizes("kernel_shape", len(declared), default=1, minimum=1))
    if weight is None or any(not isinstance(size, int) for size in weight[2:]):
        return tuple(declared) if declared else None
    if len(weight) < 3 or 0 in weight[2:]:
        raise ShapeError(f"{who}: the weight must have two channel axes and a kernel, got {as_text(weight)}")
    if input_shape is not None and len(input_shape) != len(weight):
        raise ShapeError(
            f"{who}: input and weight must have the same rank, "
            f"got input {as_text(input_shape)}, weight {as_text(weight)}"
        )
    kernel = tuple(size for size in weight[2:] if isinstance(size, int))
    if declared is not None and tuple(declared) != kernel:
        raise ShapeError(
            f"{who}: kernel_shape must be the weight's, got {declared} for weight {as_text(weight)}"
        )
    return kernel


def _axes(
    shape: Shape | None, kernel_size: tuple[int, ...] | None, layout: ChannelLayout, who: str
) -> tuple[Count | None, Count | None, Shape]:
    """Batch, channels and spatial sizes of an input, whatever its layout."""
    if shape is None:
        return None, None, (None,) * len(kernel_size or ())
    if kernel_size is not None and len(shape) != len(kernel_size) + 2:
        raise ShapeError(
            f"{who}: input {as_text(shape)} must have {len(kernel_size) + 2} axes for a kernel of "
            f"{len(kernel_size)}"
        )
    if len(shape) < 2:
        raise ShapeError(f"{who}: input {as_text(shape)} has no channel axis")
    return split_axes(shape, layout)


def _channels(
    op: ConvOp, weight: Shape | None, channels: Count | None, groups: int, who: str
) -> tuple[Count | None, Count | None]:
    """Input and output channels, from the input where it is known and from the weight."""
    wanted, out_channels = op.channels(weight, groups) if weight else (None, None)
    in_channels = wanted if channels is None else channels
    if op.layout == "reordered":
        return in_channels, out_channels  # they may be filled up
    known_in, known_out = (count if isinstance(count, int) else 0 for count in (in_channels, out_channels))
    check_groups(known_in, known_out, groups, layer=who)
    if isinstance(in_channels, int) and isinstance(wanted, int) and wanted != in_channels:
        raise ShapeError(
            f"{who}: the weight {as_text(weight)} with groups={groups} needs {wanted} input channels, "
            f"the input has {in_channels}"
        )
    return in_channels, out_channels


def _window(
    op: ConvOp, node: Node, attributes: Attributes, kernel_size: tuple[int, ...] | None
) -> Window | None:
    if kernel_size is None:
        return None
    window = conv_window(op, attributes, kernel_size)
    pads = op.operands(node.proto).get("pads")
    return window if pads is None else window.padded_by(stored_integers(node.scope, pads))


def _output_dtype(node: Node, op: ConvOp) -> str:
    inferred = node.scope.dtype(node.output())
    if inferred != "unknown":
        return inferred
    like = op.output_operand
    return op.output_dtype if like is None else node.scope.dtype(node.input(like))


def _stored_params(weight: TracedOperand, bias: TracedOperand | None) -> int | None:
    """Stored elements where they are not those of weight and bias: one of them is sparse."""
    partly = weight.is_partly_stored or (bias is not None and bias.is_partly_stored)
    if not partly or weight.elements is None:
        return None
    return weight.elements + ((bias.elements or 0) if bias else 0)


def _notes(
    node: Node,
    input_shape: Shape | None,
    weight: TracedOperand,
    layout: ChannelLayout,
    window: Window | None,
) -> tuple[str, ...]:
    notes = []
    if layout == "reordered":
        notes.append(_REORDERED)
    if ignores_pads(node):
        notes.append(PADS_IGNORED)
    if window is not None and window.ends_with_last_tap:
        notes.append(_SHORT)
    if input_shape is None or None in input_shape:
        notes.append(f"the shape of its input {node.input(0)!r} is unknown")
    if weight.shape is None or None in weight.shape:
        notes.append("the shape of its weight is unknown")
    if weight.name is None:
        notes.append("its weight is computed at run time")
    if node.scope.calls == 0:
        notes.append(NEVER)
    return tuple(notes)
