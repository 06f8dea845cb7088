"""What a runtime was given for one convolution, what it returned, and what the accounting claims of it.

Every attribute is resolved (no ``auto_pad``, no absent optional), in torch's vocabulary, so that whoever
re-executes the convolution needs to know neither ONNX nor torch. Arrays keep the dtype and the memory layout
in which the runtime had them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from convaudit.analyzer import costs
from convaudit.engine.operands import Array
from convaudit.feeds import settled
from convaudit.formulas import Formula
from convaudit.records import ConvLayer
from convaudit.shapes import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A function that the runtime fused behind the convolution, by its ONNX name."""

    name: str  # "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Tanh", "Silu"
    params: tuple[float, ...] = ()  # LeakyRelu (alpha,), Clip (min, max), HardSigmoid (alpha, beta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How integers stand for real numbers: ``real = scale * (integer - zero_point)``.

    The weight's scale and zero point may hold one value per output channel, all others are scalars.
    Without scales (ConvInteger) the output is the exact integer sum.
    """

    x_zero_point: Array | int = 0
    w_zero_point: Array | int = 0
    y_zero_point: Array | int = 0
    x_scale: Array | float | None = None
    w_scale: Array | float | None = None
    y_scale: Array | float | None = None

    @property
    def requantizes(self) -> bool:
        """Whether the output is scaled back to 8 bits (QLinearConv), not a plain sum (ConvInteger)."""
        return self.y_scale is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deformation:
    """The operands that only a deformable convolution has (arXiv:1703.06211, 1811.11168)."""

    offset: Array  # (N, 2*offset_groups*prod(kernel), *out_spatial), in the input's pixels
    mask: Array | None = None  # (N, offset_groups*prod(kernel), *out_spatial)
    offset_groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One convolution as a runtime ran it: ``output = activation(conv(x, weight) + bias + residual)``."""

    x: Array  # (N, in_channels, *spatial); channels_last: (N, *spatial, in_channels)
    weight: Array  # (out, in/groups, *kernel); transposed (in, out/groups, *kernel); whatever the layout
    output: Array  # what the runtime returned, laid out as x is
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]  # (before, after) per spatial axis
    dilation: tuple[int, ...]
    bias: Array | None = None  # (out,)
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None  # transposed only; None is zeros
    layout: Literal["channels_first", "channels_last"] = "channels_first"
    residual: Array | None = None  # added before the activation (FusedConv's Z), laid out as the output
    activation: Activation | None = None
    quantization: Quantization | None = None  # of integer convolutions
    deformation: Deformation | None = None
    past_state: Array | None = None  # (N, channels, kernel - 1) that precedes x: CausalConvWithState

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return int(self.x.shape[-1 if self.layout == "channels_last" else 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted:
    """Accounted sizes and multiply-accumulates of one call; None where the accounting does not know them.

    Shapes are laid out as the execution's arrays are.
    """

    input_shape: tuple[int | None, ...] | None = None
    weight_shape: tuple[int | None, ...] | None = None
    output_shape: tuple[int | None, ...] | None = None
    macs: int | None = None


def accounted(layer: ConvLayer, sizes: Mapping[str, int]) -> Accounted:
    """Read from a layer what the accounting claims of one call.

    Args:
        layer: The accounted layer.
        sizes: Sizes that its symbolic dimensions had when it ran.

    Returns:
        Its shapes and multiply-accumulates at these sizes.
    """
    macs = costs.macs(layer)
    if isinstance(macs, Formula):
        macs = macs.substitute(sizes)
    return Accounted(
        input_shape=settled(layer.input_shape, sizes),
        weight_shape=settled(layer.weight_shape, sizes),
        output_shape=settled(layer.output_shape, sizes),
        macs=macs if isinstance(macs, int) else None,
    )
