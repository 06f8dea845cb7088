"""Every convolution in runs of the whole model, as the runtime's profile tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import get_clock_info, perf_counter, process_time
from typing import Any

import onnx
from onnx import ModelProto

from convaudit.errors import ExecutionError, UsageError
from convaudit.feeds import feeds_of
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.runtime import CPU, Arrays, Placement, Session, Settings
from convaudit.frontends.onnx.timer.absent import reason_of_absence
from convaudit.frontends.onnx.timer.alone import time_alone, with_alone
from convaudit.frontends.onnx.timer.by_name import onnxruntime_kernels
from convaudit.frontends.onnx.timer.kernels import kernels_of
from convaudit.frontends.onnx.timer.original import Original
from convaudit.frontends.onnx.timer.profile import ProfiledRun, no_room, profiled_runs, written_events
from convaudit.frontends.onnx.timer.samples import summed
from convaudit.frontends.onnx.verifier.runs import Memory
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.timing import Samples, Timed
from convaudit.timing.estimates import median_of, narrow_enough, paired_ratio
from convaudit.timing.machine import cpu_name
from convaudit.units import human_seconds

_SHARE = 1 / 3  # of the budget, for runs of the model where layers are timed alone as well
_LEAST_RUNS, _MOST_RUNS = 7, 100  # that count; of fewer than 6 no median has a 95 % interval
_LITTLE = 1.1  # times as long, with the profiler
_MOST_WAITED = 0.1  # of the time of a run, for a processor
_FINE = 1e-4  # seconds, of a clock that tells how long a processor was busy
_MOST_EVENTS = 50_000  # that are read: a second, in which nothing is timed


def time_model(walked: Walked, data: Mapping[str, Any], settings: Settings, how: TimeRequest) -> Timed:
    """Measure every convolution of a model in runs of it.

    Args:
        walked: What the walker found.
        data: The user's arrays by input name; none: random ones.
        settings: What to run it in.
        how: The budget, the seed.

    Raises:
        ExecutionError: The runtime cannot run the model.
        LoadError: Weights are missing.
        UsageError: ``data`` do not fit the inputs, or the runtime does not tell times.
    """
    network, start = walked.network, perf_counter()
    if not settings.runtime.profiles:
        raise UsageError(f"{settings.runtime.name} does not tell how long its kernels take: use another one")
    seed = how.seed or 0
    feeds, sizes = feeds_of(network, data or None, seed)
    original = Original(walked, sizes)
    profiled = _profiled(walked, original, feeds, settings, how)
    if profiled.optimized is None:
        own = {name: [name] for name in original.nodes}
        kernels = onnxruntime_kernels(original, profiled.runs, own)
    else:
        kernels = kernels_of(original, profiled.optimized.graph)
    absent = partial(reason_of_absence, original=original, kernels=kernels, placements=profiled.placements)
    runs = tuple(run.seconds for run in profiled.runs)
    layers, parts = summed(profiled.runs, kernels, len(network.layers), absent)
    used, roofs = replace(settings, optimization=profiled.settings.optimization), None
    if how.alone:
        left = how.seconds - (perf_counter() - start)
        alone, roofs = time_alone(walked, used, how, sizes=sizes, seconds=left)
        layers = tuple(map(with_alone, layers, alone))
    return Timed(
        layers=layers,
        runs=runs,
        plain=profiled.plain,
        busy=profiled.busy,
        parts=parts,
        roofs=roofs,
        runtime=used.runtime_info(
            network,
            seed=None if data else seed,
            input_shapes={name: array.shape for name, array in feeds.items()},
        ),
        cpu=cpu_name(),
        warnings=(
            *_overhead(runs, profiled.plain, settings.runtime.name),
            *_waited(profiled.plain or runs, profiled.busy),
        ),
    )


def _overhead(runs: Samples, plain: Samples, runtime: str) -> tuple[str, ...]:
    """One line where the profiler slows a run down beyond doubt, and by more than a little."""
    pairs = min(len(runs), len(plain))  # of a profile that was full, the last runs are missing
    ratio = paired_ratio(runs[:pairs], plain[:pairs])
    if ratio is None or not ratio.sure or ratio.low <= _LITTLE:
        return ()
    with_it, without = (human_seconds(median(seconds)) for seconds in (runs, plain))
    return (
        f"{runtime}'s profiler slows a run down: {with_it} with it, {without} without; it adds some "
        "microseconds to each kernel, so short ones look longer in the model than they are",
    )


def _waited(runs: Samples, busy: Samples) -> tuple[str, ...]:
    """One line where runs waited for a processor, which others had."""
    if not busy or median(busy) >= (1 - _MOST_WAITED) * median(runs):
        return ()
    whole, spent = (human_seconds(median(seconds)) for seconds in (runs, busy))
    return (
        f"other work kept the processor from the runs: of a run's {whole} it spent {spent} on it; "
        "time it again while nothing else runs",
    )


@dataclass(frozen=True, slots=True)
class _Profiled:
    """Runs of a model, and the graph that ran."""

    runs: list[ProfiledRun]
    plain: Samples  # of runs without the profiler
    busy: Samples  # of the processor, in these or else in all of them; empty: not known
    optimized: ModelProto | None  # None: the runtime cannot write it
    settings: Settings
    placements: Mapping[str, Placement | None]  # by layer


def _profiled(
    walked: Walked, original: Original, feeds: Arrays, settings: Settings, how: TimeRequest
) -> _Profiled:
    """Runs of the model; without optimisation where the runtime refuses it with."""
    proto = ModelProto()
    proto.CopyFrom(original.model)
    model = with_mapped_weights(walked.model, proto)
    plan = _Plan(
        budget=how.seconds * (_SHARE if how.alone else 1.0),
        most=max(_LEAST_RUNS, min(_MOST_RUNS, _MOST_EVENTS // _most_events(original))),
        plain=(walked.network.file_bytes or 0) <= (how.memory_bytes or Memory().bytes),
    )
    settings = replace(settings, spinning=False, arena=True)
    attempts = [(settings, True)]
    if settings.provider != CPU:  # what it compiles cannot be written
        attempts.append((settings, False))
    if settings.optimization != "disabled":
        attempts.append((replace(settings, optimization="disabled"), settings.provider == CPU))
    if no_room():
        raise UsageError(f"{walked.network.source}: there is no room for the profile of a run{no_room()}")
    refusals = []
    for used, written in attempts:
        try:
            return _attempt(original, model, feeds, used, plan, written=written)
        except ExecutionError as error:
            refusals.append(error)
    raise ExecutionError(
        f"{walked.network.source}: the model does not run: {refusals[0]}; give input that it accepts "
        "with --input or --data"
    )


def _most_events(original: Original) -> int:
    """How many kernels one run may have, as far as it is known how often bodies run."""
    calls = [layer.calls for layer in original.layers if isinstance(layer.calls, int)]
    return max(1, len(original.nodes)) * max([1, *calls])


def _attempt(
    original: Original, model: bytes, feeds: Arrays, settings: Settings, plan: _Plan, *, written: bool
) -> _Profiled:
    start = perf_counter()
    with TemporaryDirectory(prefix="convaudit-") as folder:
        path = Path(folder) / "optimized.onnx"
        watched = replace(settings, profile=Path(folder), optimized_model=path if written else None)
        session = settings.runtime.load(model, watched)
        bare = settings.runtime.load(model, settings) if plan.plain else None
        for one in (bare, session):
            if one is not None:
                one.run(feeds, None)  # the first one is slower
        plain, walls, busy = list[float](), list[float](), list[float]()
        while not walls or plan.worthwhile(walls, plan.budget - (perf_counter() - start)):
            if bare is not None:
                plain.append(_seconds(bare, feeds, busy))
            walls.append(_seconds(session, feeds, busy if bare is None else []))
        runs = profiled_runs(written_events(session.end_profiling()))[1:]
        optimized = onnx.load(path, load_external_data=False) if path.exists() else None
    if not runs:
        raise ExecutionError("its profile has no complete run")
    placements = {layer.name: session.placement(layer.name) for layer in original.layers}
    return _Profiled(runs, tuple(plain), _known(busy, settings), optimized, settings, placements)


def _seconds(session: Session, feeds: Arrays, busy: list[float]) -> float:
    """Of one run; what a processor spent on it is added to ``busy``."""
    start, spent = perf_counter(), process_time()
    session.run(feeds, None)
    busy.append(process_time() - spent)
    return perf_counter() - start


def _known(busy: Sequence[float], settings: Settings) -> Samples:
    """Only of one thread: several wait for each other, and a device computes beside the processor."""
    alone = settings.threads == 1 and settings.provider == CPU
    return tuple(busy) if alone and get_clock_info("process_time").resolution <= _FINE else ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """How much is done.

    Attributes:
        budget: Seconds for all of it.
        most: Runs.
        plain: Whether the model is also run without the profiler, which takes time itself.
    """

    budget: float
    most: int
    plain: bool

    def worthwhile(self, walls: Sequence[float], left: float) -> bool:
        """Whether there is time for one more run, and the runs so far do not tell the median."""
        cost = walls[-1] * (2 if self.plain else 1)
        return len(walls) < self.most and cost <= left and not narrow_enough(median_of(walls))
