"""Times of convolutions alone: each beside its groups=1 twin and beside itself, in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from convaudit.frontends.torch.timer.events import run_of
from convaudit.frontends.torch.timer.observed import LoneCall
from convaudit.frontends.torch.timer.operands import (
    convolving,
    dense,
    own_copy_of,
    random_input,
    refuted,
    too_large,
)
from convaudit.frontends.torch.timer.profiled import profiled
from convaudit.frontends.torch.timer.rounds import MOST_ROUNDS, Clock, interleaved
from convaudit.frontends.torch.timer.stopwatch import Run, Stopwatch
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.records.timing import LayerSamples

Key = tuple[Any, ...]
MEMORY_BYTES = 2**30
_SETUP_SECONDS = 0.02
"""What making and checking a layer's operands takes at least."""
_FEW = 12
"""Rounds that none should do with that could have more."""
_MOST_TIMES = 100
"""How much longer a twin takes, for sharing out the time; more groups than that are often depthwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How convolutions are timed."""

    stopwatch: Stopwatch
    seed: int = 0
    memory_bytes: int = MEMORY_BYTES
    clock: Clock = perf_counter


def time_alone(
    lone_calls: Mapping[int, LoneCall],
    expected: Mapping[int, float],
    bench: Bench,
    deadline: float,
    told: Callable[[int], None],
) -> dict[int, LayerSamples]:
    """Time convolutions, equal ones once: those with groups first, and of these the shortest.

    Each gets a share of what is left of the time, by how long a round of it is going to take; what it does
    not need is left to those that take longer, and what is left at last to those with few rounds.

    Args:
        lone_calls: By the layer's place in the network.
        expected: Seconds of one call of a layer, as far as known.
        bench: How to time.
        deadline: When the time is over, by the bench's clock.
        told: Is told how many layers are done.
    """
    distinct = {call.key: call for call in lone_calls.values()}
    users = {key: [place for place, one in lone_calls.items() if one.key == key] for key in distinct}

    def round_seconds(key: Key) -> float:
        longest: float = max(expected.get(place, 0.0) for place in users[key])
        return longest * (2 + min(distinct[key].groups, _MOST_TIMES)) + _SETUP_SECONDS

    weights = {key: round_seconds(key) for key in distinct}
    order = sorted(distinct, key=lambda key: (distinct[key].groups == 1, weights[key]))
    found: dict[Key, LayerSamples] = {}
    for index, key in enumerate(order):
        left, all_weights = deadline - bench.clock(), sum(weights[other] for other in order[index:])
        found[key] = time_one(distinct[key], bench, left * weights[key] / all_weights)
        told(len(users[key]))
    short = [key for key in order if 0 < len(found[key].alone) < _FEW]
    for index, key in enumerate(short):
        left = (deadline - bench.clock()) / len(short[index:])
        again = time_one(distinct[key], bench, left)
        found[key] = max(found[key], again, key=lambda samples: len(samples.alone))
    return {place: found[key] for key in order for place in users[key]}


def time_one(call: LoneCall, bench: Bench, seconds: float) -> LayerSamples:
    """Time one convolution, its twin where it has groups, and a second copy of itself."""
    if seconds <= 0:
        return LayerSamples(
            left_out=True,
            reason="left out: the time budget ended before its turn; give more with --time-budget",
        )
    start = bench.clock()
    try:
        x = random_input(call, bench.seed)
        twin, reason = _twin(call, x, bench)
        first, second = convolving(own_copy_of(call), x), convolving(own_copy_of(call), x.clone())
        functions = [first, second] if twin is None else [first, twin, second]
        kernels = kernels_of(functions[:-1], call.device)
        left = seconds - (bench.clock() - start)
        most = (
            MOST_ROUNDS if twin or call.groups > 1 else MOST_ROUNDS // 2
        )  # nothing rests on groups=1 but noise
        samples = interleaved(functions, bench.stopwatch, left, bench.clock, most)
    except (RuntimeError, MemoryError) as error:  # as of a type that torch has no kernel for
        return LayerSamples(reason=f"alone torch failed: {in_one_line(error, 120)}")
    return LayerSamples(
        alone=samples[0],
        dense=() if twin is None else samples[1],
        itself=samples[-1],
        kernel=kernels[0],
        dense_kernel=None if twin is None else kernels[1],
        reason=reason,
    )


def _twin(call: LoneCall, x: Tensor, bench: Bench) -> tuple[Run | None, str | None]:
    """What runs the twin, or why nothing does where one was wanted."""
    if call.groups == 1:
        return None, None
    weight = call.weight.numel() * call.groups * call.weight.element_size()
    reason = too_large(1, weight, bench.memory_bytes)
    if reason is not None:
        return None, reason
    twin = dense(call)
    reason = refuted(call, twin, x)
    return (convolving(twin, x), None) if reason is None else (None, reason)


def kernels_of(functions: list[Run], device: torch.device) -> list[str | None]:
    """What each function's convolution runs as."""
    runs = [run_of(event) for event in profiled(functions, device=device.type == "cuda")]
    return [run.calls[0].kernel if run.calls else None for run in runs]
