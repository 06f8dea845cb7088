"""What an audit found: the costs of each layer, with its verdict, and their totals."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from convaudit.formulas import Count, Formula, multiply, subtract
from convaudit.records.displayed import Displayed
from convaudit.records.network import (
    LIVE_UNKNOWN,
    ConvLayer,
    HandMadeGroups,
    LiveActivations,
    OtherLayer,
    OtherOp,
    TensorInfo,
)
from convaudit.records.verification import RuntimeInfo, Verification

if TYPE_CHECKING:
    from convaudit.records.findings import LintReport
    from convaudit.records.timing import ModelTiming, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost(ConvLayer, Displayed):
    """A layer with what it costs. Every count is of one call; ``calls`` says how often it runs."""

    params: Count | None  # weight elements + bias elements
    macs: Count | None  # multiply-accumulates, nominal: taps on padding count, bias does not
    dense_params: Count | None  # of the same layer with groups=1
    dense_macs: Count | None
    weight_bytes: Count | None  # weight and bias, as stored
    activation_bytes: Count | None  # input and output
    verification: Verification | None = None
    timing: Timing | None = None

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


COSTS = tuple(
    field.name
    for field in fields(LayerCost)
    if field.name not in ConvLayer.__dataclass_fields__ and field.name not in ("verification", "timing")
)
"""The counts of a layer that the analyzer makes, by their fields' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Displayed):
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
    live_activation_bytes: Count | None = None  # at least so many live at once: the model's, in its order
    trainable_params: Count | None = None  # of the convolutions: those that training changes
    model_trainable_params: Count | None = None
    macs_at_least: Count
    model_params: Count | None  # of the whole model
    model_macs: Count | None  # convolutions and the other multiplying ops

    @property
    def flops(self) -> Count | None:
        """``2 * macs``."""
        return multiply(self.macs, 2)

    @property
    def frozen_params(self) -> Count | None:
        """``params - trainable_params``."""
        return subtract(self.params, self.trainable_params)

    @property
    def model_frozen_params(self) -> Count | None:
        """``model_params - model_trainable_params``."""
        return subtract(self.model_params, self.model_trainable_params)

    @property
    def params_saved(self) -> Count | None:
        """``dense_params - params``."""
        return subtract(self.dense_params, self.params)

    @property
    def macs_saved(self) -> Count | None:
        """``dense_macs - macs``."""
        return subtract(self.dense_macs, self.macs)


class LayerCosts(tuple[LayerCost, ...], Displayed):
    """A model's convolutions in its order: a tuple, that a notebook shows as a table."""

    __slots__ = ()

    @overload
    def __getitem__(self, key: SupportsIndex) -> LayerCost: ...
    @overload
    def __getitem__(self, key: slice) -> LayerCosts: ...
    def __getitem__(self, key: SupportsIndex | slice) -> LayerCost | LayerCosts:
        """A layer by its place; of several places the layers, which a notebook shows as a table too."""
        found = super().__getitem__(key)
        return LayerCosts(found) if isinstance(found, tuple) else found

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # what a notebook keeps as text beside the table: not the fields of thousands of layers
        printer.text(f"<convaudit.LayerCosts: {len(self)}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Everything one audit found, as data. Reporters turn it into text."""

    source: str
    format: str
    file_bytes: int | None = None  # the file and its external data; None: no file, or not all of it is there
    inputs: tuple[TensorInfo, ...]
    runtime: RuntimeInfo | None = None  # what the layers were verified on, or timed; None: nothing was run
    timing: ModelTiming | None = None  # None: it was not timed
    layers: tuple[LayerCost, ...]
    totals: Totals
    live_activations: LiveActivations = LIVE_UNKNOWN
    other_layers: tuple[OtherLayer, ...] = ()
    hand_made_groups: tuple[HandMadeGroups, ...] = ()  # layers that are one convolution with groups together
    other_ops: tuple[OtherOp, ...]
    uncounted_ops: tuple[tuple[str, int], ...]
    holds_at: tuple[tuple[str, int], ...] = ()  # sizes at which formulas hold that do not at all sizes
    warnings: tuple[str, ...]
    lint: LintReport | None = None  # what it carries for nothing; None: nobody looked

    @property
    def opaque_ops(self) -> tuple[OtherOp, ...]:
        """What may run convolutions that nobody saw."""
        return tuple(other for other in self.other_ops if other.opaque)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbolic dimensions that the model's inputs leave open, sorted."""
        sizes = [size for tensor in self.inputs for size in tensor.shape or ()]
        return tuple(sorted({name for size in sizes if isinstance(size, Formula) for name in size.symbols}))
