"""What a verifier hands back: a verdict on each layer, and what they were run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from convaudit.arguments import Number
from convaudit.records.network import Shape

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
class RuntimeInfo:
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
    runtime: RuntimeInfo
