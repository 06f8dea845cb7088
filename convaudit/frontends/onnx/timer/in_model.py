"""Every convolution in runs of the whole model, as the runtime's profile tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import onnx
from onnx import ModelProto

from convaudit.errors import ExecutionError, UsageError
from convaudit.feeds import feeds_of
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.runtime import Arrays, Settings, short_name
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.timer.kernels import Kernel, kernels_of, nodes_of
from convaudit.frontends.onnx.timer.profile import ProfiledRun, profiled_runs, written_events
from convaudit.frontends.onnx.timer.samples import summed
from convaudit.frontends.onnx.verifier.operands import known_padding
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import RuntimeInfo
from convaudit.records.timing import Timed
from convaudit.timing.machine import cpu_name

BUDGET_SECONDS = 30.0
_SHARE = 1 / 3  # of the budget, for runs of the model where layers are timed alone as well
_LEAST_RUNS, _MOST_RUNS = 7, 100  # that count; of fewer than 6 no median has a 95 % interval
_MOST_EVENTS = 200_000  # that are read


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
    network = walked.network
    if not settings.runtime.profiles:
        raise UsageError(f"{settings.runtime.name} does not tell how long its kernels take: use another one")
    seed = how.seed or 0
    feeds, sizes = feeds_of(network, data or None, seed)
    budget = (how.budget_seconds or BUDGET_SECONDS) * (_SHARE if how.alone else 1.0)
    original = _named_model(walked, sizes)
    profiled = _profiled(walked, original, feeds, settings, budget)
    positions = {layer.name: index for index, layer in enumerate(network.layers)}
    kernels = _kernels(original, positions, profiled.optimized)
    layers, parts = summed(profiled.runs, kernels, len(network.layers))
    return Timed(
        layers=layers,
        runs=tuple(run.seconds for run in profiled.runs),
        parts=parts,
        runtime=RuntimeInfo(
            name=settings.runtime.name,
            version=settings.runtime.version,
            provider=settings.provider,
            threads=settings.threads,
            optimization=profiled.settings.optimization,
            device=settings.runtime.device(settings.provider),
            seed=None if data else seed,
            input_shapes={name: array.shape for name, array in feeds.items()},
            input_values=network.input_values,
        ),
        cpu=cpu_name(),
    )


@dataclass(frozen=True, slots=True)
class _Profiled:
    """Runs of a model, and the graph that ran."""

    runs: list[ProfiledRun]
    optimized: ModelProto | None  # None: the runtime does not tell it
    settings: Settings


def _named_model(walked: Walked, sizes: Mapping[str, int]) -> ModelProto:
    """The model as it is run: each node has a name of its own, a convolution its layer's."""
    proto = ModelProto()
    proto.CopyFrom(with_dense_tensors(walked.model, walked.expanded.model))
    graphs = Graphs(proto)
    taken = {layer.name for layer in walked.network.layers}
    convolutions = {}
    for layer in walked.network.layers:
        node = graphs.node(walked.addresses[layer.name])
        make_runnable(node, known_padding(layer, node, sizes))
        convolutions[id(node)] = layer.name
    for position, node in enumerate(nodes_of(proto.graph)):
        name = convolutions.get(id(node)) or node.name
        if id(node) not in convolutions and (not name or name in taken):
            name = f"{name or node.op_type}#{position}"
        taken.add(name)
        node.name = name
    return proto


def _profiled(
    walked: Walked, original: ModelProto, feeds: Arrays, settings: Settings, budget: float
) -> _Profiled:
    """Runs of the model; without optimisation where the runtime refuses it with."""
    proto = ModelProto()
    proto.CopyFrom(original)
    model = with_mapped_weights(walked.model, proto)
    most = max(_LEAST_RUNS, min(_MOST_RUNS, _MOST_EVENTS // max(1, len(original.graph.node))))
    settings = replace(settings, spinning=False, arena=True)
    try:
        return _attempt(model, feeds, settings, budget, most)
    except ExecutionError as error:
        if settings.optimization != "disabled":
            try:
                return _attempt(model, feeds, replace(settings, optimization="disabled"), budget, most)
            except ExecutionError:
                pass
        raise ExecutionError(
            f"{walked.network.source}: the model does not run: {error}; give input that it accepts "
            "with --input or --data"
        ) from None


def _attempt(model: bytes, feeds: Arrays, settings: Settings, budget: float, most: int) -> _Profiled:
    with TemporaryDirectory(prefix="convaudit-") as folder:
        path = Path(folder) / "optimized.onnx"
        settings = replace(settings, profile=Path(folder), optimized_model=path)
        session = settings.runtime.load(model, settings)
        session.run(feeds, None)  # the first one is slower
        start, done = perf_counter(), 0
        while done < most and (done < 1 or _worthwhile(done, perf_counter() - start, budget)):
            session.run(feeds, None)
            done += 1
        runs = profiled_runs(written_events(session.end_profiling()))[1:]
        optimized = onnx.load(path, load_external_data=False) if path.exists() else None
    if not runs:
        raise ExecutionError("its profile has no complete run")
    return _Profiled(runs, optimized, settings)


def _worthwhile(done: int, used: float, budget: float) -> bool:
    """Whether there is time for one more run."""
    return used + used / done <= budget


def _kernels(
    original: ModelProto, positions: Mapping[str, int], optimized: ModelProto | None
) -> dict[str, Kernel]:
    if optimized is None:
        return {name: Kernel(short_name(name), (index,)) for name, index in positions.items()}
    return kernels_of(original.graph, positions, optimized.graph)
