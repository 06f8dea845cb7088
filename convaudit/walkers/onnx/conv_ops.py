"""The conv-like ops of ONNX and onnxruntime: one table."""

from __future__ import annotations

from dataclasses import dataclass

from convaudit.records import Layout


@dataclass(frozen=True)
class ConvOp:
    """Where an op has its operands, and what it does differently from Conv."""

    weight: int = 1
    bias: int | None = 2
    transposed: bool = False
    deformable: bool = False
    causal: bool = False
    layout: Layout = "channels_first"


CONV_OPS = {
    "Conv": ConvOp(),
    "ConvTranspose": ConvOp(transposed=True),
    "ConvInteger": ConvOp(bias=None),
    "QLinearConv": ConvOp(weight=3, bias=8),
    "DeformConv": ConvOp(bias=3, deformable=True),
    "CausalConvWithState": ConvOp(causal=True),
    "com.microsoft.CausalConvWithState": ConvOp(causal=True),
    "com.microsoft.FusedConv": ConvOp(),
    "com.microsoft.NhwcConv": ConvOp(layout="channels_last"),
    "com.microsoft.NhwcFusedConv": ConvOp(layout="channels_last"),
    "com.microsoft.QLinearConv": ConvOp(weight=3, bias=8),  # channels_last is an attribute
    "com.microsoft.nchwc.Conv": ConvOp(layout="reordered"),
    "com.ms.internal.nhwc.Conv": ConvOp(layout="channels_last"),
    "com.ms.internal.nhwc.ConvTranspose": ConvOp(transposed=True, layout="channels_last"),
    "com.ms.internal.nhwc.QLinearConv": ConvOp(weight=3, bias=8, layout="channels_last"),
    "com.ms.internal.nhwc.QLinearConvTranspose": ConvOp(
        weight=3, bias=8, transposed=True, layout="channels_last"
    ),
}
