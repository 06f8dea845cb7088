"""What a timer hands back, what is derived from it, and what a sweep finds: seconds, with their spread.

A timer knows a runtime, and hands back samples as it took them (``Timed``). What they mean for each layer
(``Timing``) and for the model (``ModelTiming``) is derived from them by ``convaudit.timing``, which knows no
model format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from convaudit.formulas import Count
from convaudit.records.report import LayerCost
from convaudit.records.verification import RuntimeInfo

Samples: TypeAlias = tuple[float, ...]
"""Seconds, one for each run, in the order in which they were taken."""

Bound = Literal["compute", "memory", "overhead"]
"""What a layer's time is mostly spent on: multiplying, moving bytes, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSamples:
    """What was observed of one layer.

    ``alone`` and ``dense`` are of one call, of the kernel alone, and pairs: each of a round in which the
    layer and its twin ran in turn. ``in_model`` is of all of the layer's calls in one run of the model.
    """

    in_model: Samples = ()  # with the layout reorders that the layer caused
    reorders: int | None = 0  # such reorders in one run; None: the runtime does not tell
    reordering: Samples = ()  # the part of in_model that they take; empty: none
    kernel: str | None = None  # what ran in the model, as the runtime names it: "Conv (NCHWc)"
    alone: Samples = ()
    dense: Samples = ()  # of the groups=1 twin; empty for a layer that is dense itself
    dense_kernel: str | None = None
    itself: Samples = ()  # of a second copy of the layer in the same rounds: alone / itself is 1, or noise
    dense_in_model: Samples = ()  # of the twin, as in_model, in runs of the twin network: from a file only
    step: float = 0.0  # seconds that each of in_model may be too short: a clock that tells whole steps
    dense_step: float = 0.0  # the same of dense_in_model
    left_out: bool = False  # whether the time budget ended before it was measured alone
    reason: str | None = None  # why something was not measured, or not attributed


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSamples:
    """What else a run of the model consists of."""

    name: str  # type of the op; of an unattributed event its own name
    kind: Literal[
        "other_op", "unattributed", "between"
    ]  # between: the runtime's own time between two kernels
    count: int  # events in one run
    seconds: Samples  # of all of them in each run


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofs:
    """The most that the machine does, as measured in the same run, on the same threads."""

    macs_per_second: Mapping[str, float]  # of a large matrix product, by element type
    bytes_per_second: float  # read and written by a large copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What a timer hands back."""

    layers: tuple[LayerSamples, ...]  # one per layer, in order
    runs: Samples  # of the model, as the runtime tells them while it is profiled
    plain: Samples = ()  # of the model without the profiler, in turn with runs; empty: not measured
    busy: Samples = ()  # of a processor in each of plain, or else of runs; empty: it is not known
    parts: tuple[PartSamples, ...] = ()  # with the layers' in_model they add up to the runs
    roofs: Roofs | None = None  # None: they cannot be measured there
    runtime: RuntimeInfo | None = None  # None: the times come from files
    cpu: str | None = None  # what computed, by its maker's name
    files: tuple[str, ...] = ()  # where times were read from
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one layer takes, and what its ``groups`` are worth. Seconds are medians, of one call.

    What was not measured is None, and ``reason`` says why.
    """

    seconds: float | None = None  # of the layer alone, its kernel only
    dense_seconds: float | None = None  # of its twin with groups=1, alone, in turn with it
    promised: float | None = None  # dense_macs / macs; None for a layer with groups=1
    realised: float | None = None  # dense_seconds / seconds, the median over rounds
    realised_interval: tuple[float, float] | None = None  # that holds it with 95 % confidence
    efficiency: float | None = None  # realised / promised
    spread: float | None = None  # half of the widest interval of these, relative to its median
    kernel: str | None = None
    dense_kernel: str | None = None
    model_seconds: float | None = None  # in the model, with the reorders that the layer caused
    model_spread: float | None = None
    model_share: float | None = None  # of a run of the model, all calls
    reorders: int | None = None  # that the layer caused in a run of the model
    reorder_seconds: float | None = None  # of one call, a part of model_seconds
    macs_per_second: float | None = None
    bound: Bound | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePart:
    """One part of a run of the model."""

    name: str
    kind: Literal["layers", "reorders", "other_op", "unattributed", "between"]
    count: int
    seconds: float  # of all of them in one run, the median
    spread: float | None = None  # half of the median's 95 % interval, relative to it
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTiming:
    """How long a run of the model takes, what of it is known, and what all its groups are worth together."""

    seconds: float | None  # of one run, the median; without the profiler, where that was measured
    interval: tuple[float, float] | None = None  # that holds it with 95 % confidence
    spread: float | None  # half of the interval, relative to the median
    runs: int  # that were timed
    profiled_seconds: float | None = None  # of one run with the profiler: what the parts are parts of
    parts: tuple[TimePart, ...] = ()
    attributed: float | None = None  # share of the run that belongs to layers and named ops
    grouped_layers: int = 0  # calls counted once, that are in the three numbers below
    left_out: int = 0  # grouped layers that are not in them since the time budget ended before
    promised: float | None = None  # MACs of the twins / MACs, of the grouped layers, all calls
    realised: float | None = None  # seconds of the twins / seconds, of the same layers
    realised_interval: tuple[float, float] | None = None
    efficiency: float | None = None
    with_reorders: float | None = None  # realised, the reorders that groups caused in the model added
    with_reorders_interval: tuple[float, float] | None = None
    noise: float | None = None  # how far layers were from themselves: the mean, weighted by their seconds
    too_noisy: str | None = None  # why no verdict is given: the machine was not quiet
    roofs: Roofs | None = None
    runtime: RuntimeInfo | None = None  # what was timed; a verification may have run on another one
    cpu: str | None = None
    files: tuple[str, ...] = ()  # where the times were read from; none: they were measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a timer hands back of one layer at several numbers of groups, timed in turn."""

    seconds: Mapping[int, Samples]  # by groups, one for each round; empty where it was not measured
    kernels: Mapping[int, str | None]
    reasons: Mapping[int, str] = field(default_factory=dict)  # why one was not measured
    itself: Samples = ()  # a second copy at the layer's own groups
    runtime: RuntimeInfo | None = None
    cpu: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One layer at one number of groups. Weights are random: accuracy is another matter."""

    groups: int
    params: Count | None
    macs: Count | None
    weight_bytes: Count | None
    seconds: float | None  # of one call, alone: the median
    spread: float | None
    promised: float | None  # MACs at groups=1 / MACs
    realised: float | None  # seconds at groups=1 / seconds
    realised_interval: tuple[float, float] | None = None
    kernel: str | None = None
    current: bool = False  # what the model has
    dominated_by: int | None = None  # groups that save less and yet are faster, beyond the spread
    reason: str | None = None  # why it was not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One layer at every number of groups that its channels allow."""

    source: str
    layer: str
    cost: LayerCost  # the layer as the model has it
    layers: tuple[str, ...]  # all that have these shapes, the layer among them
    rows: tuple[SweepRow, ...]
    noise: float | None = None
    too_noisy: str | None = None
    runtime: RuntimeInfo | None = None
    cpu: str | None = None
