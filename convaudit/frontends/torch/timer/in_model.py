"""Times of a model's convolutions within runs of the whole of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch

from convaudit.frontends.torch.timer.events import SeenRun, run_of
from convaudit.frontends.torch.timer.forward import Prepared
from convaudit.frontends.torch.timer.profiled import profiled
from convaudit.frontends.torch.timer.stopwatch import synchronised
from convaudit.records.timing import PartSamples, Samples

_WARM_UPS = 3  # TorchScript optimises itself in the first two runs
_FEWEST, _MOST = 6, 20


@dataclass(frozen=True, slots=True)
class InModel:
    """What runs of the whole model told."""

    layers: dict[int, Samples]  # seconds of all calls of a layer in each run, by its place
    kernels: dict[int, str]
    runs: Samples  # without the profiler
    parts: tuple[PartSamples, ...]
    reason: str | None = None  # why layers have no times
    warnings: tuple[str, ...] = ()


def time_in_model(
    prepared: Prepared, order: Sequence[int | None], device: torch.device, budget: float
) -> InModel:
    """Run the model with the profiler and without, in turn.

    Args:
        prepared: Makes ready one run.
        order: Which layer each convolution of a run is.
        device: Where it computes.
        budget: Seconds that it may take.
    """
    for _ in range(_WARM_UPS):
        seconds = _plain(prepared, device)
    number = int(max(_FEWEST, min(_MOST, budget / 2 / seconds)))
    half = number // 2
    plain: list[float] = []
    seen: list[SeenRun] = []
    for count in (half, number - half):  # plain, profiled, profiled, plain: a drift is in both alike
        first = [_plain(prepared, device) for _ in range(count)] if not plain else []
        seen += [run_of(event) for event in _profiled(prepared, count, device)]
        plain += first or [_plain(prepared, device) for _ in range(count)]
    return joined(plain, seen, order)


def _plain(prepared: Prepared, device: torch.device) -> float:
    run = prepared()
    synchronised(device)
    start = perf_counter()
    run()
    synchronised(device)
    return perf_counter() - start


def _profiled(prepared: Prepared, count: int, device: torch.device) -> list[Any]:
    runs = [prepared() for _ in range(count)]
    return profiled(runs, device=device.type == "cuda")


def joined(plain: Sequence[float], seen: Sequence[SeenRun], order: Sequence[int | None]) -> InModel:
    """What was seen, by layer: the n-th convolution of a profiled run is the n-th of the observed one.

    Args:
        plain: Seconds of runs without the profiler.
        seen: As many runs with it.
        order: Which layer each convolution of a run is.
    """
    numbers = {len(run.calls) for run in seen}
    reason = None
    if numbers != {len(order)}:
        ran = " or ".join(map(str, sorted(numbers)))
        reason = (
            f"the profiler saw {ran} convolutions in a run, the audit {len(order)}: none can be told apart"
        )
    layers: dict[int, list[float]] = defaultdict(lambda: [0.0] * len(seen))
    kernels: dict[int, str] = {}
    parts: dict[tuple[str, Any], list[float]] = defaultdict(lambda: [0.0] * len(seen))
    counts: dict[tuple[str, Any], int] = {}
    for index, run in enumerate(seen):
        places = order if reason is None else [None] * len(run.calls)
        for place, call in zip(places, run.calls, strict=True):
            if place is None:
                parts[call.kernel, "unattributed"][index] += call.seconds
                counts[call.kernel, "unattributed"] = len(run.calls) if reason else places.count(None)
            else:
                layers[place][index] += call.seconds
                kernels.setdefault(place, call.kernel)
        for name, (count, seconds) in run.others.items():
            parts[name, "other_op"][index] += seconds
            counts[name, "other_op"] = count
    rest, warnings = _rest(plain, seen)
    named = [
        PartSamples(name=name, kind=kind, count=counts[name, kind], seconds=tuple(seconds))
        for (name, kind), seconds in parts.items()
    ]
    named.sort(key=lambda part: -median(part.seconds))
    between = PartSamples(name="between operators", kind="between", count=0, seconds=rest)
    return InModel(
        layers={place: tuple(seconds) for place, seconds in layers.items()},
        kernels=kernels,
        runs=tuple(plain),
        parts=(*named, between),
        reason=reason,
        warnings=warnings,
    )


def _rest(plain: Sequence[float], seen: Sequence[SeenRun]) -> tuple[Samples, tuple[str, ...]]:
    """What a run takes beside its operators."""
    operators = [
        sum(call.seconds for call in run.calls) + sum(seconds for _, seconds in run.others.values())
        for run in seen
    ]
    return tuple(max(0.0, whole - inside) for whole, inside in zip(plain, operators, strict=True)), ()
