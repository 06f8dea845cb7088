"""The table of convolution ops of ONNX and onnxruntime: a row says all that any stage must know of an op.

The walker, the shape rules, the parameter count and the verifier derive what they do from it. An op that
these mechanisms can express is one row more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from onnx import NodeProto

from convaudit.formulas import Count, multiply
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.records import ChannelLayout, Shape

Role = Literal[
    "x",
    "weight",
    "bias",
    "residual",  # added to the output before the activation
    "x_scale",
    "x_zero_point",
    "w_scale",
    "w_zero_point",
    "y_scale",
    "y_zero_point",
    "offset",  # of a deformable convolution, as is the mask
    "mask",
    "pads",
    "past_state",  # what a causal convolution saw before x
]
"""What an operand is for."""

_Size = TypeVar("_Size")
_SETTINGS: frozenset[Role] = frozenset(
    {"x_scale", "x_zero_point", "w_scale", "w_zero_point", "y_scale", "y_zero_point", "pads", "past_state"}
)
"""Roles of operands that are not parameters, even where they are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOp:
    """One row: where an op has its operands, and what it does differently from Conv."""

    roles: tuple[Role, ...] = ("x", "weight", "bias")  # of its operands, in order
    output_dtype: str = "x"  # the role of the operand with the output's element type, or that type itself
    transposed: bool = False
    deformable: bool = False
    causal: bool = False  # depthwise, its output as long as its input: its attribute is ``dilation``
    layout: ChannelLayout = "channels_first"
    layout_attribute: str | None = None  # an integer attribute: channels are last where it is not 0
    any_weight_layout: bool = False  # (out, in/groups, *kernel), or (out, *kernel, in/groups)
    stand_in: str | None = None  # ONNX's op of the same shapes while channels are first: onnx infers that one
    not_supported: str | None = None  # why no run of it can be verified
    not_on_cpu: str | None = None  # why onnxruntime's CPU provider does not run it: another one may

    @property
    def plain(self) -> bool:
        """Whether its operands are an input, a weight and a bias alone."""
        return self.roles == ("x", "weight", "bias")

    @property
    def quantized(self) -> bool:
        """Whether its operands are integers with zero points."""
        return "x_zero_point" in self.roles

    @property
    def weight(self) -> int:
        """The operand that is the weight."""
        return self.roles.index("weight")

    @property
    def output_operand(self) -> int | None:
        """The operand whose element type the output has; None where that is ``output_dtype`` itself."""
        return next((index for index, role in enumerate(self.roles) if role == self.output_dtype), None)

    @property
    def settings(self) -> frozenset[int]:
        """Operands that are not parameters: scales, zero points, padding, states."""
        return frozenset(index for index, role in enumerate(self.roles) if role in _SETTINGS)

    @property
    def integer_parameters(self) -> frozenset[int]:
        """Operands that are parameters although their element type is an integer one."""
        parameters = {"weight", "bias"} if self.quantized else set()
        return frozenset(index for index, role in enumerate(self.roles) if role in parameters)

    def operands(self, node: NodeProto) -> dict[str, str]:
        """Names of the tensors that a node of this op has, by role; absent ones are left out."""
        return {role: name for role, name in zip(self.roles, node.input, strict=False) if name}

    def layout_of(self, attributes: Attributes) -> ChannelLayout:
        """How the input and the output of a node lie in memory."""
        last = self.layout_attribute is not None and attributes.integer(self.layout_attribute, 0)
        return "channels_last" if last else self.layout

    def groups(self, attributes: Attributes, weight: Shape | None) -> int:
        """Groups of a node; 1 where they are the channels of a weight of unknown shape."""
        if not self.causal:
            return attributes.integer("group", 1)
        channels = weight[0] if weight else None
        return channels if isinstance(channels, int) else 1

    def channels(self, weight: Shape, groups: int) -> tuple[Count | None, Count | None]:
        """Input and output channels that a weight is for."""
        first, grouped = weight[0], multiply(weight[1], groups)
        return (first, grouped) if self.transposed else (grouped, first)

    def arranged(
        self, weight: Shape, attributes: Attributes, channels: Count | None, groups: int
    ) -> Shape | None:
        """A weight's shape as (out, in/groups, *kernel); transposed as (in, out/groups, *kernel).

        Args:
            weight: As it is stored.
            attributes: Attributes of the node: ``kernel_shape`` may tell which axes are the kernel's.
            channels: The input's.
            groups: Groups of the node.

        Returns:
            The shape; None where two layouts fit. Where none fits, as if the channels were last.
        """
        if not self.any_weight_layout or len(weight) < 3:
            return weight
        kernel = attributes.integers("kernel_shape")

        def fits(shape: Shape) -> bool:
            kernel_fits = kernel is None or _agree(shape[2:], kernel)
            return kernel_fits and _agree([self.channels(shape, groups)[0]], [channels])

        last = (weight[0], weight[-1], *weight[1:-1])
        fitting = [shape for shape in dict.fromkeys((last, weight)) if fits(shape)]
        if len(fitting) > 1:
            return None
        return fitting[0] if fitting else last


def _agree(sizes: Sequence[Count | None], others: Sequence[Count | None]) -> bool:
    """Whether two shapes may be the same one, as far as their sizes are known integers."""
    return len(sizes) == len(others) and all(
        one == other
        for one, other in zip(sizes, others, strict=True)
        if isinstance(one, int) and isinstance(other, int)
    )


def op_name(domain: str, op_type: str) -> str:
    """Op type, with its domain unless that is ONNX's own: a key of ``CONV_OPS`` if it is a convolution."""
    return op_type if domain in ("", "ai.onnx") else f"{domain}.{op_type}"


def op_of(node: NodeProto) -> str:
    """The op of a node, by its ``op_name``."""
    return op_name(node.domain, node.op_type)


def split_axes(shape: tuple[_Size, ...], layout: ChannelLayout) -> tuple[_Size, _Size, tuple[_Size, ...]]:
    """Batch, channels and spatial sizes of a shape of at least two axes."""
    if layout == "channels_last":
        return shape[0], shape[-1], shape[1:-1]
    return shape[0], shape[1], shape[2:]


def join_axes(batch: Count | None, channels: Count | None, sizes: Shape, layout: ChannelLayout) -> Shape:
    """The shape of these sizes: the inverse of ``split_axes``."""
    return (batch, *sizes, channels) if layout == "channels_last" else (batch, channels, *sizes)


NO_KERNEL = "onnxruntime's CPU provider has no kernel for it"
NEW_OPSET = "onnxruntime takes no opset that is not released yet"

_FUSED = ConvOp(roles=("x", "weight", "bias", "residual"))
_QLINEAR = ConvOp(
    roles=(
        *("x", "x_scale", "x_zero_point", "weight", "w_scale", "w_zero_point"),
        *("y_scale", "y_zero_point", "bias"),
    ),
    output_dtype="y_zero_point",
)
_CAUSAL = ConvOp(roles=("x", "weight", "bias", "past_state"), causal=True)
_NHWC = ConvOp(layout="channels_last", not_on_cpu=NO_KERNEL)

CONV_OPS = {
    "Conv": ConvOp(),
    "ConvTranspose": ConvOp(transposed=True),
    "ConvInteger": ConvOp(roles=("x", "weight", "x_zero_point", "w_zero_point"), output_dtype="int32"),
    "QLinearConv": _QLINEAR,
    "DeformConv": ConvOp(roles=("x", "weight", "offset", "bias", "mask"), deformable=True),
    "CausalConvWithState": replace(_CAUSAL, not_on_cpu=NEW_OPSET),
    "com.microsoft.CausalConvWithState": replace(_CAUSAL, layout_attribute="channels_last"),
    "com.microsoft.FusedConv": replace(_FUSED, stand_in="Conv"),
    "com.microsoft.ConvTransposeWithDynamicPads": ConvOp(
        roles=("x", "weight", "pads", "bias"), transposed=True
    ),
    # its schema has the weight's channels second; onnxruntime's kernel, tests and optimiser have them last
    "com.microsoft.NhwcConv": replace(_NHWC, any_weight_layout=True),
    # on some machines there is a kernel for float16
    "com.microsoft.NhwcFusedConv": replace(_FUSED, layout="channels_last", not_on_cpu=NO_KERNEL),
    "com.microsoft.QLinearConv": replace(_QLINEAR, layout_attribute="channels_last", stand_in="QLinearConv"),
    "com.microsoft.nchwc.Conv": replace(
        _FUSED,
        layout="reordered",
        not_supported="its weight is reordered for one machine, so it is not what the model says",
    ),
    "com.ms.internal.nhwc.Conv": _NHWC,
    "com.ms.internal.nhwc.ConvTranspose": replace(_NHWC, transposed=True),
    "com.ms.internal.nhwc.QLinearConv": replace(_QLINEAR, layout="channels_last", not_on_cpu=NO_KERNEL),
    "com.ms.internal.nhwc.QLinearConvTranspose": replace(
        _QLINEAR, transposed=True, layout="channels_last", not_on_cpu=NO_KERNEL
    ),
}
"""By op type, with its domain unless that is ONNX's own."""
