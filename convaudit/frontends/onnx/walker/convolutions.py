"""Conv-like nodes to ``ConvLayer`` records."""

from __future__ import annotations

from dataclasses import replace

from convaudit.errors import ModelError, ShapeError
from convaudit.formulas import Count, multiply, product
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.geometry import Geometry, read_geometry, resolve
from convaudit.frontends.onnx.ops import CONV_OPS, ConvOp
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.frontends.onnx.walker.weights import Parameter, find_parameter, stored_integers
from convaudit.frontends.onnx.weight_layout import channels_second
from convaudit.records import ConvLayer, Layout, Shape
from convaudit.shapes import Pair, as_text, check_groups

PADS_IGNORED = "has auto_pad and pads; auto_pad is followed (onnxruntime refuses the model)"
_SHORT = "auto_pad=SAME with a kernel shorter than its stride: it ends with its last tap, before stride*size"
_AMBIGUOUS = ("its weight fits with the channels second and with them last: kernel_shape would tell",)
_NEVER = "it never runs: the condition or trip count around it is constant"
_REORDERED = "its weight is reordered for one machine's vector width; channel counts may be padded"


def conv_layer(node: Node, name: str) -> ConvLayer:
    """The record of a node whose op is in ``CONV_OPS``.

    Raises  GroupsError, ShapeError or ModelError if the node breaks a rule of convolution.
    """
    op, attributes, who = CONV_OPS[node.op], node.attributes, node.who
    layout: Layout = "channels_last" if attributes.integer("channels_last", 0) else op.layout
    input_shape = _input_shape(node, op, layout)
    weight = find_parameter(node.scope, _operand(node, op.weight, "weight"))
    bias = find_parameter(node.scope, node.input(op.bias)) if node.input(op.bias) else None
    groups = _groups(op, attributes, weight.shape)
    weight, ambiguous = _arranged(op, weight, attributes, input_shape, groups)
    kernel_size = None if ambiguous else _kernel_size(attributes, weight.shape, input_shape, who)
    batch, channels, sizes = _axes(input_shape, kernel_size, layout, who)
    in_channels, out_channels = _channels(op, weight.shape, channels, groups)
    if layout == "reordered" and input_shape is not None and channels is None:
        input_shape = (batch, in_channels, *sizes)  # filled up to the vector width, as the weight is
    if layout != "reordered":
        _check_channels(in_channels, out_channels, weight.shape, op, groups, who)
    geometry, padding, out_sizes = _geometry(op, node, attributes, kernel_size, sizes)
    shape = _output_shape(batch, out_channels, out_sizes, layout)
    return ConvLayer(
        name=name,
        op=node.op,
        in_channels=channels if ambiguous else in_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=geometry.stride if geometry else None,
        padding=padding,
        dilation=geometry.dilation if geometry else None,
        groups=groups,
        output_padding=geometry.output_padding if geometry and op.transposed else None,
        transposed=op.transposed,
        deformable=op.deformable,
        input_shape=input_shape,
        output_shape=shape or node.output_shape(),
        weight_shape=weight.shape,
        dtype=node.scope.dtype(node.input(0)),
        weight_dtype=weight.dtype,
        output_dtype=_output_dtype(node),
        bias=bias is not None,
        bias_dtype=bias.dtype if bias else None,
        layout=layout,
        weight_name=weight.name,
        bias_name=bias.name if bias else None,
        stored_params=_stored_params(weight, bias),
        calls=node.scope.calls,
        branches=node.scope.branches,
        scope=node.origin.scope,
        notes=_notes(node, input_shape, weight, layout, geometry) + _AMBIGUOUS * ambiguous,
    )


def _operand(node: Node, index: int, what: str) -> str:
    name = node.input(index)
    if not name:
        raise ModelError(f"{node.who}: has no {what} (input {index})")
    return name


def _input_shape(node: Node, op: ConvOp, layout: Layout) -> Shape | None:
    shape = node.input_shape(0)
    if op.causal and layout == "channels_last" and shape is not None and len(shape) > 3:
        # batch, length, and channels that may be spread over any number of axes
        return (*shape[:2], product(shape[2:]))
    return shape


def _arranged(
    op: ConvOp, weight: Parameter, attributes: Attributes, input_shape: Shape | None, groups: int
) -> tuple[Parameter, bool]:
    """The weight with its channels second, and whether it cannot be told which axis those are."""
    shape = weight.shape
    if not op.any_weight_layout or shape is None or len(shape) < 3:
        return weight, False
    channels = input_shape[-1] if input_shape else None
    arranged = channels_second(shape, attributes.integers("kernel_shape"), channels, groups)
    return (weight, True) if arranged is None else (replace(weight, shape=arranged), False)


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
    shape: Shape | None, kernel_size: tuple[int, ...] | None, layout: Layout, who: str
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
    return (
        (shape[0], shape[-1], shape[1:-1]) if layout == "channels_last" else (shape[0], shape[1], shape[2:])
    )


def _groups(op: ConvOp, attributes: Attributes, weight: Shape | None) -> int:
    if not op.causal:
        return attributes.integer("group", 1)
    # always depthwise; without a known weight the channel count is unknown as well
    channels = weight[0] if weight else None
    return channels if isinstance(channels, int) else 1


def _channels(
    op: ConvOp, weight: Shape | None, channels: Count | None, groups: int
) -> tuple[Count | None, Count | None]:
    """Input and output channels, from the input where it is known and from the weight."""
    if weight is None:
        return channels, None
    first, second = weight[0], weight[1]
    expanded = multiply(second, groups)
    if op.transposed:
        return (first if channels is None else channels), expanded
    return (expanded if channels is None else channels), first


def _check_channels(
    in_channels: Count | None,
    out_channels: Count | None,
    weight: Shape | None,
    op: ConvOp,
    groups: int,
    who: str,
) -> None:
    known_in = in_channels if isinstance(in_channels, int) else 0
    check_groups(known_in, out_channels if isinstance(out_channels, int) else 0, groups, layer=who)
    if weight is None or not isinstance(in_channels, int):
        return
    wanted = weight[0] if op.transposed else multiply(weight[1], groups)
    if isinstance(wanted, int) and wanted != in_channels:
        raise ShapeError(
            f"{who}: the weight {as_text(weight)} with groups={groups} needs {wanted} input channels, "
            f"the input has {in_channels}"
        )


def _geometry(
    op: ConvOp, node: Node, attributes: Attributes, kernel_size: tuple[int, ...] | None, sizes: Shape
) -> tuple[Geometry | None, tuple[Pair, ...] | None, Shape | None]:
    if kernel_size is None:
        return None, None, None
    if op.causal:
        return *_causal(attributes, kernel_size), sizes
    who = attributes.who
    geometry = read_geometry(attributes, kernel_size, transposed=op.transposed, who=who)
    if op.pads is not None and node.input(op.pads) and geometry.auto_pad == "NOTSET":
        pads = stored_integers(node.scope, node.input(op.pads))
        if pads is None or len(pads) != 2 * len(kernel_size):
            return geometry, None, None
        half = len(kernel_size)
        geometry = replace(geometry, padding=tuple(zip(pads[:half], pads[half:], strict=True)))
    return geometry, *resolve(geometry, sizes, transposed=op.transposed, who=who)


def _causal(attributes: Attributes, kernel_size: tuple[int, ...]) -> tuple[Geometry, tuple[Pair, ...] | None]:
    """Geometry and padding of an op whose output is as long as its input.

    Only the last axis is causal. How the others are padded, if there are others, is not specified.
    """
    others = (1,) * (len(kernel_size) - 1)
    dilation = attributes.size("dilation", default=1, minimum=1)
    geometry = Geometry(
        kernel_size=kernel_size,
        stride=(*others, 1),
        dilation=(*others, dilation),
        padding=((dilation * (kernel_size[-1] - 1), 0),),
    )
    return geometry, None if others else geometry.padding


def _output_shape(
    batch: Count | None, channels: Count | None, sizes: Shape | None, layout: Layout
) -> Shape | None:
    if sizes is None:
        return None
    return (batch, *sizes, channels) if layout == "channels_last" else (batch, channels, *sizes)


def _output_dtype(node: Node) -> str:
    inferred = node.scope.dtype(node.output())
    if inferred != "unknown":
        return inferred
    roles = CONV_OPS[node.op].roles
    if "y_zero_point" in roles:
        return node.scope.dtype(node.input(roles.index("y_zero_point")))
    return "int32" if node.op == "ConvInteger" else node.scope.dtype(node.input(0))


def _stored_params(weight: Parameter, bias: Parameter | None) -> int | None:
    """Stored elements where they are not those of weight and bias: one of them is sparse."""
    partly = weight.is_partly_stored or (bias is not None and bias.is_partly_stored)
    if not partly or weight.elements is None:
        return None
    return weight.elements + ((bias.elements or 0) if bias else 0)


def _notes(
    node: Node,
    input_shape: Shape | None,
    weight: Parameter,
    layout: Layout,
    geometry: Geometry | None,
) -> tuple[str, ...]:
    notes = []
    if layout == "reordered":
        notes.append(_REORDERED)
    if geometry is not None and geometry.auto_pad != "NOTSET":
        if "pads" in node.attributes:
            notes.append(PADS_IGNORED)
        if geometry.ends_with_last_tap:
            notes.append(_SHORT)
    if input_shape is None or None in input_shape:
        notes.append(f"the shape of its input {node.input(0)!r} is unknown")
    if weight.shape is None or None in weight.shape:
        notes.append("the shape of its weight is unknown")
    if weight.name is None:
        notes.append("its weight is computed at run time")
    if node.scope.calls == 0:
        notes.append(_NEVER)
    return tuple(notes)
