"""What a walker finds in a model: its inputs, its convolutions, and what else it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from convaudit.arguments import Number
from convaudit.formulas import Count, multiply
from convaudit.shapes import Pair

Shape: TypeAlias = tuple[Count | None, ...]
"""Sizes of a tensor's axes; ``None`` where one is unknown."""

Kind = Literal["dense", "pointwise", "grouped", "depthwise", "transposed", "deformable"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ShapeSource = Literal["run", "declared"]
"""One run of the model, at whose input other sizes may be others; or what the file itself declares."""
ChannelLayout = Literal["channels_first", "channels_last", "reordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """A tensor as the model declares it: an input of the model, or a stored parameter."""

    name: str
    shape: Shape | None  # None: not even the rank is known
    dtype: str  # NumPy's name, or ml_dtypes' ("bfloat16", "float8_e4m3fn", "int4"); "unknown" if so
    value: Number | None = None  # of an input: of each of its elements, where the user said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One arm of an exclusive choice: of all arms of one ``choice`` a run executes exactly one."""

    choice: str  # the If node's path, unique in the model
    arm: str  # "then_branch" or "else_branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLayer:
    """One convolution of the model, as the walker found it. Shapes are of one call."""

    name: str  # "layer1.0.conv1" or the ONNX node's name; unique in the network
    op: str  # "Conv", "ConvTranspose", "com.microsoft.FusedConv", "aten.convolution", ...
    in_channels: Count | None
    out_channels: Count | None
    kernel_size: tuple[int, ...] | None  # its length is the spatial rank; None if not even that is known
    stride: tuple[int, ...] | None
    padding: tuple[Pair, ...] | None  # (before, after) per spatial axis; None while it depends on a size
    dilation: tuple[int, ...] | None
    groups: int = 1
    output_padding: tuple[int, ...] | None = None  # transposed only
    transposed: bool = False
    deformable: bool = False
    input_shape: Shape | None = None  # as the model stores it: see layout
    output_shape: Shape | None = None
    weight_shape: Shape | None = None  # (out, in/groups, *kernel); transposed (in, out/groups, *kernel)
    layout: ChannelLayout = "channels_first"
    dtype: str = "unknown"  # of the input
    weight_dtype: str = "unknown"
    output_dtype: str = "unknown"
    bias: bool = False
    bias_dtype: str | None = None  # None if there is no bias
    # Which stored tensors hold the parameters. Equal names mean one tensor: it counts once for the model.
    weight_name: str | None = None  # None: computed at run time, not stored
    bias_name: str | None = None
    stored_params: int | None = None  # where it differs from the effective count: weight_norm, pruning
    stored: tuple[
        TensorInfo, ...
    ] = ()  # what weight and bias are computed from, where they are not stored so
    scope: str = ""  # where it sits, for people: "" the main graph, else "If_0/then_branch"
    branches: tuple[Branch, ...] = ()  # exclusive arms it sits in, the outermost first
    calls: Count | None = 1  # executions in one run of the model; None: once per iteration of unknown number
    shapes_from: tuple[ShapeSource, ...] = ()  # what tells the sizes that the structure leaves open
    notes: tuple[str, ...] = ()  # what a reader must know of this layer, and why something is unknown

    @property
    def kind(self) -> Kind:
        """The most telling single word for the layer."""
        if self.deformable:
            return "deformable"
        if self.transposed:
            return "transposed"
        by_groups = self.grouping
        return "pointwise" if by_groups == "dense" and self.is_pointwise else by_groups

    @property
    def grouping(self) -> Literal["dense", "grouped", "depthwise"]:
        """``dense`` is groups=1; ``depthwise`` is one input channel a group."""
        if self.groups == 1:
            return "dense"
        return "depthwise" if self.in_channels == self.groups else "grouped"

    @property
    def is_pointwise(self) -> bool:
        """Every kernel size is 1."""
        return self.kernel_size is not None and all(size == 1 for size in self.kernel_size)

    @property
    def kinds(self) -> frozenset[str]:
        """Every word that fits, for ``--only``: a 1×1 conv with groups is grouped and pointwise."""
        words: set[str] = {self.grouping}
        words |= {"pointwise"} if self.is_pointwise else set()
        words |= {"transposed"} if self.transposed else set()
        words |= {"deformable"} if self.deformable else set()
        return frozenset(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherOp:
    """Another multiplying op of the model, or one that convaudit cannot count, by type."""

    op: str
    count: int
    macs: Count | None  # of all of them; None: unknown
    reason: str | None = None  # why macs is unknown
    branches: tuple[Branch, ...] = ()  # exclusive arms they sit in, the outermost first
    opaque: bool = False  # convolutions may run inside it, unseen: their totals are unknown too


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLayer:
    """One multiplying op that is not a convolution. Counts are of one call, as a layer's."""

    name: str  # as a layer's; unique among these and the layers
    op: str  # as in the other_ops, which sum these up: "Gemm", "MatMul", torch's "addmm", ...
    params: Count | None  # elements of the parameters among its operands; 0: it has none
    macs: Count | None
    input_shape: Shape | None = None  # of the first operand
    output_shape: Shape | None = None  # of the first output
    weight_shape: Shape | None = None  # of the first stored tensor that it multiplies; None: it has none
    weight_name: str | None = None
    dtype: str = "unknown"  # of the first operand
    # Its parameters, weights and biases alike. Equal names mean one tensor: it counts once for the model.
    stored: tuple[TensorInfo, ...] = ()
    scope: str = ""
    branches: tuple[Branch, ...] = ()
    calls: Count | None = 1
    notes: tuple[str, ...] = ()  # why something is unknown

    @property
    def flops(self) -> Count | None:
        """``2 * macs``."""
        return multiply(self.macs, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveActivations:
    """How much memory activations take at once, at least: see ``convaudit.analyzer.liveness``."""

    bytes: Count | None  # None: unknown
    step: str | None = None  # where it is most; None: unknown, or that depends on the open sizes
    reason: str | None = None  # why it is unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainable:
    """How many of the parameters training changes; the others are frozen, or not parameters in training."""

    model: int
    layers: int  # of the convolutions


LIVE_UNKNOWN = LiveActivations(bytes=None, reason="it is counted for ONNX models alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandMadeGroups:
    """Convolutions that together are one with groups: of one tensor's parts, in order, joined in that order.

    All have the same channels, kernel, stride, padding, dilation and groups, and weights of their own.
    """

    layers: tuple[str, ...]  # names, in the order of the parts
    groups: int  # of the one convolution that they are together


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a walker found in a model."""

    source: str  # what the user named: a path, "pkg:factory", a class
    format: str  # "onnx", "torch", "torch.export", "torchscript"
    inputs: tuple[TensorInfo, ...]
    layers: tuple[ConvLayer, ...]
    other_layers: tuple[OtherLayer, ...] = ()  # the multiplying ops one by one; what is opaque is not one
    other_ops: tuple[OtherOp, ...] = ()
    uncounted_ops: tuple[tuple[str, int], ...] = ()  # (op, count): ops that multiply-accumulate nothing
    hand_made_groups: tuple[HandMadeGroups, ...] = ()  # layers that are one convolution with groups together
    model_params: int | None = None
    trainable: Trainable | None = None  # None: the format does not say
    live_activations: LiveActivations = LiveActivations(
        bytes=None, reason="it is counted for ONNX models alone"
    )
    file_bytes: int | None = None  # the file and its external data; None: no file, or not all of it is there
    holds_at: tuple[tuple[str, int], ...] = ()  # sizes at which formulas hold that do not at all sizes
    warnings: tuple[str, ...] = ()

    @property
    def input_values(self) -> dict[str, Number]:
        """What the user filled inputs with, by the input's name."""
        return {tensor.name: tensor.value for tensor in self.inputs if tensor.value is not None}
