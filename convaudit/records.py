"""The records that flow through convaudit: frozen, typed, with no behaviour beyond derivation.

A walker makes a ``Network`` of ``ConvLayer`` records, the analyzer turns it into an ``AuditReport`` of
``LayerCost`` rows, a verifier adds a ``Verification`` to each row, and reporters only read.

The vocabulary is torch's. A *count* is an ``int``, a ``Formula`` where it depends on a symbolic dimension, or
``None`` where it is unknown; then ``notes`` or ``warnings`` say why. Nothing unknown is ever 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from convaudit.arguments import Number
from convaudit.formulas import Count, Formula, multiply, subtract
from convaudit.shapes import Pair

Shape: TypeAlias = tuple[Count | None, ...]
"""Sizes of a tensor's axes; ``None`` where one is unknown."""

Kind = Literal["dense", "pointwise", "grouped", "depthwise", "transposed", "deformable"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Layout = Literal["channels_first", "channels_last", "reordered"]
Status = Literal[
    "exact",
    "within_rounding",
    "low_accuracy",
    "miscounted",
    "mismatch",
    "vacuous",
    "not_executed",
    "not_supported",
]
Optimization = Literal["all", "extended", "basic", "disabled"]
"""How far onnxruntime may rewrite a graph before it runs it."""


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
    layout: Layout = "channels_first"
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
    address: tuple[str | int, ...] = ()  # where it sits, for the verifier; only walker and verifier read it
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
class Network:
    """What a walker found in a model."""

    source: str  # what the user named: a path, "pkg:factory", a class
    format: str  # "onnx", "torch", "torch.export", "torchscript"
    inputs: tuple[TensorInfo, ...]
    layers: tuple[ConvLayer, ...]
    other_ops: tuple[OtherOp, ...] = ()
    uncounted_ops: tuple[tuple[str, int], ...] = ()  # (op, count): ops that multiply-accumulate nothing
    model_params: int | None = None
    file_bytes: int | None = None  # the file and its external data; None: no file, or not all of it is there
    warnings: tuple[str, ...] = ()

    @property
    def input_values(self) -> dict[str, Number]:
        """What the user filled inputs with, by the input's name."""
        return {tensor.name: tensor.value for tensor in self.inputs if tensor.value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The verdict on one layer: did its runtime compute what the accounting claims?

    It is ``verified``, or it ``failed``, or nothing was proven.
    """

    status: Status
    reason: str  # in words, always given
    max_abs_error: float | None = None
    bits: float | None = None  # accuracy carried: -log2(RMS error / RMS signal); inf if exact
    worst_index: tuple[int, ...] | None = None  # output element with the largest error against its bound
    bound: float | None = None  # rounding-error bound at worst_index
    location: str | None = None  # where a mismatch sits: "output channels 3, 7", "borders"
    format: str | None = None  # what explains low accuracy: "TF32", "bfloat16", "Winograd"
    executed_macs: int | None = None  # multiply-adds that the engine counted while re-executing

    @property
    def verified(self) -> bool:
        """The layer is proven right; one of low accuracy is right too, in a number format that is named."""
        return self.status in ("exact", "within_rounding", "low_accuracy")

    @property
    def failed(self) -> bool:
        """The runtime computed something else (mismatch), or the accounting is wrong (miscounted)."""
        return self.status in ("miscounted", "mismatch")

    @property
    def words(self) -> str:
        """The status as people read it: ``within rounding``."""
        return self.status.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What layers were run on: who has this can repeat it."""

    name: str  # "onnxruntime", "torch"
    version: str
    provider: str | None  # of onnxruntime: "CPUExecutionProvider"
    threads: int
    optimization: Optimization | None  # of onnxruntime's graph; a layer that ran otherwise says so
    device: str  # "cpu", "cuda:0"
    seed: int | None  # of the random inputs; None: the inputs were given
    input_shapes: Mapping[str, Shape | None]  # of the model's inputs, by name
    input_values: Mapping[str, Number] = field(default_factory=dict)  # where the user fixed all elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verifier hands back."""

    verdicts: tuple[Verification, ...]  # one per layer, in order
    runtime: Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost(ConvLayer):
    """A layer with what it costs. Every count is of one call; ``calls`` says how often it runs."""

    params: Count | None  # weight elements + bias elements
    macs: Count | None  # multiply-accumulates, nominal: taps on padding count, bias does not
    dense_params: Count | None  # of the same layer with groups=1
    dense_macs: Count | None
    weight_bytes: Count | None  # weight and bias, as stored
    activation_bytes: Count | None  # input and output
    verification: Verification | None = None

    @property
    def flops(self) -> Count | None:
        """``2 * macs``: one multiplication and one addition each."""
        return multiply(self.macs, 2)

    @property
    def params_saved(self) -> Count | None:
        """Parameters that ``groups`` saves: ``dense_params - params``."""
        return subtract(self.dense_params, self.params)

    @property
    def macs_saved(self) -> Count | None:
        """Multiply-accumulates that ``groups`` saves: ``dense_macs - macs``."""
        return subtract(self.dense_macs, self.macs)

    @property
    def arithmetic_intensity(self) -> float | None:
        """FLOPs per byte of weight, bias, input and output; low values are bound by memory."""
        flops, weights, activations = self.flops, self.weight_bytes, self.activation_bytes
        if not isinstance(flops, int) or not isinstance(weights, int) or not isinstance(activations, int):
            return None
        moved = weights + activations
        return flops / moved if moved else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over a network's convolutions, and the whole model's beside them.

    A sum in which one part is unknown is ``None``; ``macs_at_least`` sums the parts that are known.
    Stored tensors count once, MACs per call, and of exclusive branches the costlier one. Where convolutions
    may run unseen, every sum over them is unknown.
    """

    layers: int
    params: Count | None
    macs: Count | None
    dense_params: Count | None
    dense_macs: Count | None
    weight_bytes: Count | None
    peak_activation_bytes: Count | None  # input and output of the largest layer
    macs_at_least: Count
    model_params: Count | None  # of the whole model
    model_macs: Count | None  # convolutions and the other multiplying ops

    @property
    def flops(self) -> Count | None:
        """``2 * macs``."""
        return multiply(self.macs, 2)

    @property
    def params_saved(self) -> Count | None:
        """``dense_params - params``."""
        return subtract(self.dense_params, self.params)

    @property
    def macs_saved(self) -> Count | None:
        """``dense_macs - macs``."""
        return subtract(self.dense_macs, self.macs)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Everything one audit found, as data. Reporters turn it into text."""

    source: str
    format: str
    file_bytes: int | None = None  # the file and its external data; None: no file, or not all of it is there
    inputs: tuple[TensorInfo, ...]
    runtime: Runtime | None = None  # what the layers were verified on; None: nothing was run
    layers: tuple[LayerCost, ...]
    totals: Totals
    other_ops: tuple[OtherOp, ...]
    uncounted_ops: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]

    @property
    def opaque_ops(self) -> tuple[OtherOp, ...]:
        """What may run convolutions that nobody saw."""
        return tuple(other for other in self.other_ops if other.opaque)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbolic dimensions that the model's inputs leave open, sorted."""
        sizes = [size for tensor in self.inputs for size in tensor.shape or ()]
        return tuple(sorted({name for size in sizes if isinstance(size, Formula) for name in size.symbols}))
