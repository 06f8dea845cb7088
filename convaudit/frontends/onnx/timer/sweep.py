"""One layer at several numbers of groups, in rounds in which all of them run in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

from convaudit.errors import ConvauditError, UsageError
from convaudit.feeds import open_sizes, settled
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer.contenders import Contender, Kept
from convaudit.frontends.onnx.timer.layers import LayerAlone, LayerSource
from convaudit.frontends.onnx.timer.trials import Trial, run_trials
from convaudit.frontends.onnx.verifier.runs import Memory
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import RuntimeInfo
from convaudit.records.timing import Swept
from convaudit.timing.machine import cpu_name

_ITSELF = "itself"


def sweep_layer(
    walked: Walked,
    name: str,
    groups: Sequence[int],
    settings: Settings,
    how: TimeRequest,
    *,
    clock: Callable[[], float] = perf_counter,
) -> Swept:
    """Time one layer alone with other numbers of groups, and random weights of its element type.

    A sample is of one round, in which all of them, and a second copy of the layer at its own groups, ran in
    turn, as far as memory holds them together.

    Args:
        walked: What the walker found.
        name: The layer's.
        groups: Divisors of its input and output channels.
        settings: What to run it in.
        how: The budget, which is for this layer, the bound on memory, the seed.
        clock: The time in seconds.

    Raises:
        UsageError: There is no such layer, its sizes are not known, or the runtime does not tell times.
        ExecutionError: It does not run.
        LoadError: Weights are missing.
    """
    start, network = clock(), walked.network
    layer = next((layer for layer in network.layers if layer.name == name), None)
    if layer is None:
        raise UsageError(f"{network.source}: there is no convolution {name!r:.100}")
    if not settings.runtime.profiles:
        raise UsageError(f"{settings.runtime.name} does not tell how long its kernels take: use another one")
    sizes = open_sizes(network)
    memory = Memory().bytes if how.memory_bytes is None else how.memory_bytes
    alone = LayerAlone(LayerSource(walked), layer, sizes, memory)
    contenders, reasons = _contenders(alone, groups, Kept(memory // 4))
    trial = Trial(contenders)
    run_trials(
        [trial] if contenders else [],
        None,
        settings,
        seconds=how.seconds - (clock() - start),
        memory_bytes=memory,
        seed=how.seed or 0,
        clock=clock,
        progress=how.progress,
    )
    if trial.failure is not None:
        reasons |= {number: trial.failure for number in groups if number not in reasons}
        trial.samples.clear()
    return Swept(
        seconds={number: tuple(trial.samples.get(str(number), ())) for number in groups},
        kernels={number: trial.kernels.get(str(number)) for number in groups},
        reasons=reasons,
        itself=tuple(trial.samples.get(_ITSELF, ())),
        runtime=_runtime(walked, sizes, settings, how.seed or 0),
        cpu=cpu_name(),
    )


def _contenders(
    alone: LayerAlone, groups: Sequence[int], models: Kept
) -> tuple[dict[str, Contender], dict[int, str]]:
    """The layer at each number of groups, and a second time at its own; and why one is missing."""
    contenders, reasons = dict[str, Contender](), dict[int, str]()
    for number in groups:
        try:
            contenders[str(number)] = models.kept(alone.at_groups(number))
        except ConvauditError as error:
            reasons[number] = str(error)
    own = contenders.get(str(alone.layer.groups))
    return (contenders if own is None else {**contenders, _ITSELF: own}), reasons


def _runtime(walked: Walked, sizes: Mapping[str, int], settings: Settings, seed: int) -> RuntimeInfo:
    shapes = {tensor.name: settled(tensor.shape, sizes) for tensor in walked.network.inputs}
    return settings.runtime_info(walked.network, seed=seed, input_shapes=shapes)
