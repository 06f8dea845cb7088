"""Kernels that are compared with each other: timed in the same rounds, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer.contenders import Bench, Contender, take_round
from convaudit.frontends.onnx.timer.schedule import LEAST_ROUNDS, MOST_ROUNDS, Schedule, Task
from convaudit.timing import Estimate, median_of, paired_ratio

ROOF_ROUNDS = 5
"""Of what only the fastest counts."""


@dataclass(slots=True)
class Trial:
    """Kernels that are timed in the same rounds.

    Attributes:
        contenders: By their names; the first one is what the others are compared with.
        layers: How many of the model's layers it stands for.
        samples: Seconds, one for each round, by the contender's name.
        kernels: What each is called, by the same names.
        failure: Why it was given up.
        left_out: Whether the budget was why.
    """

    contenders: Mapping[str, Contender]
    layers: int = 1
    samples: dict[str, list[float]] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    failure: str | None = None
    left_out: bool = False

    def task(self, bench: Bench, least: int, most: int) -> Task:
        """Its rounds, at least so many and at most so many, to be scheduled with others."""
        return Task(
            take=lambda: self._take(bench),
            estimate=self._estimate,
            weight=lambda: self.layers * sum(median(taken) for taken in self.samples.values()),
            least=least,
            most=most,
        )

    def _take(self, bench: Bench) -> None:
        taken = take_round(self.contenders, bench)
        for name, sample in taken.items():
            self.samples.setdefault(name, []).append(sample.seconds)
            self.kernels[name] = sample.kernel

    def _estimate(self) -> Estimate | None:
        """The one that is least sure: the first one's seconds where it stands alone, else a ratio to it."""
        if not self.samples:
            return None
        first, *others = (self.samples[name] for name in self.contenders)
        ratios = [paired_ratio(other, first) for other in others] or [median_of(first)]
        known = [ratio for ratio in ratios if ratio is not None]
        return max(known, key=lambda ratio: ratio.spread or 0.0, default=None)


def run_trials(
    trials: Sequence[Trial],
    roofs: Trial | None,
    settings: Settings,
    *,
    seconds: float,
    memory_bytes: int,
    seed: int,
    clock: Callable[[], float],
    progress: Callable[[int], None] | None = None,
    patience: float = inf,
) -> None:
    """Time trials, and roofs in the same rounds, within a budget.

    Args:
        trials: What comes first is left out last.
        roofs: What is timed beside them, a few times only.
        settings: What to run them in.
        seconds: The budget.
        memory_bytes: What kernels that run in turn may take together.
        seed: Of the order of everything.
        clock: The time in seconds.
        progress: Is told of the layers that are done.
        patience: As in ``Schedule``.
    """
    with TemporaryDirectory(prefix="convaudit-") as folder:
        bench = Bench(settings, Path(folder), np.random.default_rng(seed), memory_bytes)
        tasks = [trial.task(bench, LEAST_ROUNDS, MOST_ROUNDS) for trial in trials]
        few = [] if roofs is None else [roofs.task(bench, ROOF_ROUNDS, ROOF_ROUNDS)]
        layers = {id(task): trial.layers for task, trial in zip(tasks, trials, strict=True)}

        def done(task: Task) -> None:
            if progress is not None and id(task) in layers:
                progress(layers[id(task)])

        Schedule([*few, *tasks] if tasks else [], seconds, clock, done, patience).run()
    for task, trial in zip(tasks, trials, strict=True):
        trial.failure, trial.left_out = task.failure, task.left_out
