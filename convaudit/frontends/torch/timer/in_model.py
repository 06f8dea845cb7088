"""Times of a model's convolutions within runs of the whole of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch

from convaudit.frontends.torch.timer.events import Event, SeenRun, operands_of, run_of
from convaudit.frontends.torch.timer.forward import Prepared
from convaudit.frontends.torch.timer.profiled import profiled
from convaudit.frontends.torch.timer.stopwatch import Run, synchronised
from convaudit.records.timing import PartSamples, Samples

_WARM_UPS = (
    2  # after the first run: TorchScript optimises itself in two; two runs tell whether they are alike
)
_MOST = 10  # rounds


@dataclass(frozen=True, slots=True)
class InModel:
    """What runs of the whole model told."""

    layers: dict[int, Samples]  # seconds of all calls of a layer in each run, by its place
    kernels: dict[int, str]
    runs: Samples  # with the profiler
    plain: Samples  # without
    parts: tuple[PartSamples, ...]
    reason: str | None = None  # why layers have no times


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
    seconds = _plain(prepared, device)
    reason = None
    if seconds * _WARM_UPS < budget / 4:
        reason = _not_repeated(_profiled(prepared, _WARM_UPS, device, operands=True))
        seconds = _plain(prepared, device)
    rounds = int(max(1, min(_MOST, (budget - seconds) / 4 / seconds)))
    plain: list[float] = []
    events: list[Event] = []
    for _ in range(rounds):  # plain, profiled, profiled, plain: a drift is in both alike
        plain.append(_plain(prepared, device))
        events += _profiled(prepared, 2, device, operands=rounds == 1)
        plain.append(_plain(prepared, device))
    return joined(plain, events, order, reason or _not_repeated(events))


def _not_repeated(events: Sequence[Event]) -> str | None:
    """Why the n-th convolution of a run is not that of another one; None if it is, as far as was told."""
    if all(operands_of(event) == operands_of(events[0]) for event in events):
        return None
    return "not timed in the model: its runs call other convolutions each time, or in another order"


def _plain(prepared: Prepared, device: torch.device) -> float:
    run = prepared()
    synchronised(device)
    start = perf_counter()
    run()
    synchronised(device)
    return perf_counter() - start


def _profiled(prepared: Prepared, count: int, device: torch.device, *, operands: bool = False) -> list[Event]:
    def synchronous(run: Run) -> Run:
        def ran() -> None:
            run()
            synchronised(device)

        return ran

    runs = (synchronous(prepared()) for _ in range(count))  # each made ready when its turn comes
    return profiled(runs, device=device.type == "cuda", operands=operands)


def joined(
    plain: Sequence[float], events: Sequence[Event], order: Sequence[int | None], reason: str | None = None
) -> InModel:
    """What was seen, by layer: the n-th convolution of a profiled run is the n-th of the observed one.

    Args:
        plain: Seconds of runs without the profiler.
        events: As many runs with it.
        order: Which layer each convolution of a run is.
        reason: Why none of them is known to be; None: they are.
    """
    seen = [run_of(event) for event in events]
    whole = tuple(event.seconds for event in events)
    numbers = {len(run.calls) for run in seen}
    if numbers != {len(order)}:
        ran = " or ".join(map(str, sorted(numbers)))
        reason = f"not timed in the model: the profiler saw {ran} convolutions in it, the audit {len(order)}"
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
    rest = tuple(run - _operators(parts) for run, parts in zip(whole, seen, strict=True))
    named = [
        PartSamples(name=name, kind=kind, count=counts[name, kind], seconds=tuple(seconds))
        for (name, kind), seconds in parts.items()
    ]
    named.sort(key=lambda part: -median(part.seconds))
    between = PartSamples(name="between operators", kind="between", count=0, seconds=rest)
    return InModel(
        layers={place: tuple(seconds) for place, seconds in layers.items()},
        kernels=kernels,
        runs=whole,
        plain=tuple(plain),
        parts=(*named, between),
        reason=reason,
    )


def _operators(run: SeenRun) -> float:
    """Seconds of everything that has a name; operators of one thread never overlap."""
    return sum(call.seconds for call in run.calls) + sum(seconds for _, seconds in run.others.values())
