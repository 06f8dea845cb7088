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
    "vacuous",
    "not_executed",
    "not_supported",
    "miscounted",
    "mismatch",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a status says of a layer, and how reports tell it."""

    proves: Literal["right", "wrong", "nothing"]  # "wrong" is exit code 1, "nothing" of any layer 2
    told: Literal["counted", "with_reasons", "one_by_one"]
    severity: int  # of the verdicts on several calls, the most severe is the layer's


STATUSES: dict[Status, Meaning] = {
    "exact": Meaning(proves="right", told="counted", severity=2),
    "within_rounding": Meaning(proves="right", told="counted", severity=3),
    # in a number format that is named
    "low_accuracy": Meaning(proves="right", told="one_by_one", severity=4),
    # any other weight would have agreed too: one such call takes nothing from the others
    "vacuous": Meaning(proves="nothing", told="one_by_one", severity=1),
    "not_executed": Meaning(proves="nothing", told="with_reasons", severity=0),
    "not_supported": Meaning(proves="nothing", told="with_reasons", severity=5),
    # a run had other sizes than the accounting, which is at fault
    "miscounted": Meaning(proves="wrong", told="one_by_one", severity=6),
    # the runtime computed something else
    "mismatch": Meaning(proves="wrong", told="one_by_one", severity=7),
}
"""Every status, in the order of reports."""

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
    provider: str | None = None  # what onnxruntime ran it on, as far as it tells: "CPUExecutionProvider"
    compiled_nodes: int | None = (
        None  # that the provider compiled into one, this layer's among them; 1: alone
    )

    @property
    def verified(self) -> bool:
        """The layer is proven right; one of low accuracy is right too, in a number format that is named."""
        return STATUSES[self.status].proves == "right"

    @property
    def failed(self) -> bool:
        """The runtime computed something else (mismatch), or the accounting is wrong (miscounted)."""
        return STATUSES[self.status].proves == "wrong"

    @property
    def severity(self) -> int:
        """The layer's verdict is the most severe of those on its calls."""
        return STATUSES[self.status].severity

    @property
    def words(self) -> str:
        """The status as people read it: ``within rounding``."""
        return status_words(self.status)


def status_words(status: Status) -> str:
    """A status as people read it: ``within rounding``."""
    return status.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """What layers were run on: who has this can repeat it."""

    name: str  # "onnxruntime", "torch"
    version: str
    provider: str | None  # of onnxruntime: "CPUExecutionProvider"; a layer that another one ran says so
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
    warnings: tuple[str, ...] = ()  # the report's, beside those of the walk
