"""The conv-like ops of ONNX and onnxruntime: one table, in which a row says all that is to know of an op."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from convaudit.records import Layout

FLOAT = ("x", "weight", "bias")
FUSED = (*FLOAT, "residual")
QUANTIZED = (
    *("x", "x_scale", "x_zero_point", "weight", "w_scale", "w_zero_point"),
    *("y_scale", "y_zero_point", "bias"),
)
CAUSAL = (*FLOAT, "past_state")


@dataclass(frozen=True)
class ConvOp:
    """Where an op has its operands, and what it does differently from Conv."""

    roles: tuple[str, ...] = FLOAT  # of its inputs, in order
    transposed: bool = False
    deformable: bool = False
    causal: bool = False
    layout: Layout = "channels_first"
    any_weight_layout: bool = False  # (out, in/groups, *kernel), or (out, *kernel, in/groups)

    @property
    def weight(self) -> int:
        """The input that is the weight."""
        return self.roles.index("weight")

    @property
    def bias(self) -> int | None:
        """The input that is the bias, if there can be one."""
        return self.roles.index("bias") if "bias" in self.roles else None

    @property
    def pads(self) -> int | None:
        """The input that is the padding, of an op that takes it as one."""
        return self.roles.index("pads") if "pads" in self.roles else None

    @property
    def quantized(self) -> bool:
        """Its operands are integers with zero points."""
        return "x_zero_point" in self.roles


def op_of(node: NodeProto) -> str:
    """Op type, with its domain unless that is ONNX's own: a key of ``CONV_OPS`` if it is conv-like."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


CONV_OPS = {
    "Conv": ConvOp(),
    "ConvTranspose": ConvOp(transposed=True),
    "ConvInteger": ConvOp(roles=("x", "weight", "x_zero_point", "w_zero_point")),
    "QLinearConv": ConvOp(roles=QUANTIZED),
    "DeformConv": ConvOp(roles=("x", "weight", "offset", "bias", "mask"), deformable=True),
    "CausalConvWithState": ConvOp(roles=CAUSAL, causal=True),
    "com.microsoft.CausalConvWithState": ConvOp(roles=CAUSAL, causal=True),
    "com.microsoft.FusedConv": ConvOp(roles=FUSED),
    "com.microsoft.ConvTransposeWithDynamicPads": ConvOp(
        roles=("x", "weight", "pads", "bias"), transposed=True
    ),
    # its schema has the weight's channels second; onnxruntime's kernel, tests and optimiser have them last
    "com.microsoft.NhwcConv": ConvOp(layout="channels_last", any_weight_layout=True),
    "com.microsoft.NhwcFusedConv": ConvOp(roles=FUSED, layout="channels_last"),
    "com.microsoft.QLinearConv": ConvOp(roles=QUANTIZED),  # channels_last is an attribute
    "com.microsoft.nchwc.Conv": ConvOp(layout="reordered"),
    "com.ms.internal.nhwc.Conv": ConvOp(layout="channels_last"),
    "com.ms.internal.nhwc.ConvTranspose": ConvOp(transposed=True, layout="channels_last"),
    "com.ms.internal.nhwc.QLinearConv": ConvOp(roles=QUANTIZED, layout="channels_last"),
    "com.ms.internal.nhwc.QLinearConvTranspose": ConvOp(
        roles=QUANTIZED, transposed=True, layout="channels_last"
    ),
}
