"""Every layer outside of its model, in rounds in which it, a copy of it and its groups=1 twin run in turn."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from time import perf_counter

from convaudit.errors import ConvauditError
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer.contenders import Kept
from convaudit.frontends.onnx.timer.layers import LayerAlone, LayerSource
from convaudit.frontends.onnx.timer.roofs import roof_contenders, roofs_of
from convaudit.frontends.onnx.timer.trials import Trial, run_trials
from convaudit.frontends.onnx.verifier.runs import Memory
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.timing import LayerSamples, Roofs

_ALONE, _DENSE, _ITSELF = "alone", "dense", "itself"
_PATIENCE = 0.4  # for more rounds than the least, where nobody said how long it may take
_MOST_BESIDE_THEMSELVES = 12  # distinct layers, unless they have groups: enough to tell how quiet it is


def time_alone(
    walked: Walked,
    settings: Settings,
    how: TimeRequest,
    *,
    sizes: Mapping[str, int],
    seconds: float,
    clock: Callable[[], float] = perf_counter,
) -> tuple[tuple[LayerSamples, ...], Roofs | None]:
    """Time every layer alone, beside itself and beside its groups=1 twin, and the machine's roofs.

    Layers of equal shapes are timed once; of those without groups not all beside themselves. A sample is
    the fastest run of one round, of the kernel alone; a round has sessions of its own.

    Args:
        walked: What the walker found.
        settings: What to run them in.
        how: The bound on memory, the seed, the progress.
        sizes: Of the symbolic dimensions.
        seconds: The budget of time.
        clock: The time in seconds.

    Returns:
        Samples of each of the network's layers, in their order; None for roofs that were not measured.
    """
    start = clock()
    memory = Memory().bytes if how.memory_bytes is None else how.memory_bytes
    subjects = _subjects(walked, settings, sizes, memory)
    timed = [subject.trial for subject in subjects if subject.trial is not None]
    timed.sort(key=lambda trial: _DENSE not in trial.contenders)  # those with a twin are left out last
    for trial in timed[_MOST_BESIDE_THEMSELVES:]:
        if _DENSE not in trial.contenders:
            trial.contenders = {_ALONE: trial.contenders[_ALONE]}
    roofs = Trial(roof_contenders([layer.dtype for layer in walked.network.layers]), layers=0)
    untimed = sum(len(subject.positions) for subject in subjects if subject.trial is None)
    if how.progress is not None and untimed:
        how.progress(untimed)
    run_trials(
        timed,
        roofs,
        settings,
        seconds=seconds - (clock() - start),
        memory_bytes=memory,
        seed=how.seed or 0,
        clock=clock,
        progress=how.progress,
        patience=_PATIENCE if how.budget_seconds is None else inf,
    )
    found = {position: subject.samples() for subject in subjects for position in subject.positions}
    return tuple(found[position] for position in sorted(found)), roofs_of(roofs.samples)


def with_alone(layer: LayerSamples, alone: LayerSamples) -> LayerSamples:
    """What was observed of a layer in its model and outside of it."""
    reasons = [reason for reason in (layer.reason, alone.reason) if reason]
    return replace(
        layer,
        kernel=layer.kernel or alone.kernel,
        alone=alone.alone,
        dense=alone.dense,
        itself=alone.itself,
        dense_kernel=alone.dense_kernel,
        left_out=alone.left_out,
        reason="; ".join(reasons) or None,
    )


@dataclass(slots=True)
class _Subject:
    """All layers of equal shapes."""

    trial: Trial | None  # None: they cannot be timed
    reason: str | None = None  # why there is no twin, or nothing at all
    positions: list[int] = field(default_factory=list)

    def add(self, position: int) -> None:
        self.positions.append(position)
        if self.trial is not None:
            self.trial.layers = len(self.positions)

    def samples(self) -> LayerSamples:
        trial = self.trial
        if trial is None:
            return LayerSamples(reason=self.reason)
        if trial.failure is not None:
            return LayerSamples(reason=trial.failure, left_out=trial.left_out)
        samples = {name: tuple(taken) for name, taken in trial.samples.items()}
        return LayerSamples(
            alone=samples.get(_ALONE, ()),
            dense=samples.get(_DENSE, ()),
            itself=samples.get(_ITSELF, ()),
            kernel=trial.kernels[_ALONE],
            dense_kernel=trial.kernels.get(_DENSE),
            reason=self.reason,
        )


def _subjects(walked: Walked, settings: Settings, sizes: Mapping[str, int], memory: int) -> list[_Subject]:
    parts = LayerSource(walked)
    subjects: dict[Hashable, _Subject] = {}
    models = Kept(memory // 4)
    for position, layer in enumerate(walked.network.layers):
        try:
            alone = LayerAlone(parts, layer, sizes, memory)
        except ConvauditError as error:
            subjects[position] = _Subject(None, str(error), [position])
            continue
        if alone.shape not in subjects:
            subjects[alone.shape] = _subject(alone, settings, models)
        subjects[alone.shape].add(position)
    return list(subjects.values())


def _subject(alone: LayerAlone, settings: Settings, models: Kept) -> _Subject:
    itself = models.kept(alone.itself())
    contenders = {_ALONE: itself, _ITSELF: itself}
    if alone.layer.groups == 1:
        return _Subject(Trial(contenders))
    try:
        twin = alone.twin()
        alone.verify_twin(settings)
    except ConvauditError as error:
        return _Subject(Trial(contenders), f"not timed beside its groups=1 twin: {error}")
    return _Subject(Trial({**contenders, _DENSE: models.kept(twin)}))
