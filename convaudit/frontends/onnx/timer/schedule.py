"""Which of many things is timed next, until all are known well enough or the time is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf

from convaudit.errors import ConvauditError
from convaudit.timing import Estimate, narrow_enough
from convaudit.timing.estimates import FEWEST

LEAST_ROUNDS = 9
"""Rounds without which nothing is concluded: of nine samples the second and the eighth hold the median."""
MOST_ROUNDS = 25
_WITHIN = 0.015  # half of an interval, relative to its median, that is narrow enough
_WITHIN_ALL = 0.001  # what it may make of the whole, relative to that


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """One thing that is timed in rounds.

    Attributes:
        take: Does one round, and keeps its samples.
        estimate: What these say so far.
        weight: What it stands for, in seconds of the whole: what matters most is timed first, and longest.
        least: Rounds that it needs.
        most: Rounds that are enough, whatever they say.
        rounds: How many were taken.
        cost: Seconds of the shortest.
        failure: Why it was given up.
        left_out: Whether the budget was why.
    """

    take: Callable[[], None]
    estimate: Callable[[], Estimate | None]
    weight: Callable[[], float]
    least: int = LEAST_ROUNDS
    most: int = MOST_ROUNDS
    rounds: int = 0
    cost: float = inf
    failure: str | None = None
    left_out: bool = False

    def known(self, whole: float) -> bool:
        """Whether no more rounds are worth their time.

        Args:
            whole: The weight of all tasks.
        """
        estimate = self.estimate()
        if self.rounds < self.least or estimate is None:
            return False
        matters = self.weight() * (estimate.spread or 0.0) > _WITHIN_ALL * whole
        return self.rounds >= self.most or narrow_enough(estimate, _WITHIN, self.least) or not matters


class Schedule:
    """Rounds of many tasks within a budget of time."""

    def __init__(
        self,
        tasks: Sequence[Task],
        budget: float,
        clock: Callable[[], float],
        done: Callable[[Task], None] = lambda task: None,
        patience: float = inf,
    ) -> None:
        """Plan nothing yet.

        Args:
            tasks: What is to be timed; what comes first is left out last.
            budget: Seconds for all of it, from now on.
            clock: The time in seconds.
            done: Is told of each task that gets no more rounds.
            patience: How long more rounds than the least may take, relative to those.
        """
        self._tasks, self._budget, self._clock, self._done = tasks, budget, clock, done
        self._patience = patience
        self._start = clock()

    def run(self) -> None:
        """Take rounds of all tasks in turn.

        After the first round of each, those are given up whose least number of rounds does not fit into the
        time that those before them leave; what took longer than it seemed ends with fewer rounds.
        """
        for task in self._tasks:
            if self._left > 0:
                self._round(task)
            else:
                self._give_up(task)
        open_tasks = [task for task in self._tasks if task.failure is None]
        for pass_number in count(1):
            open_tasks = self._affordable(open_tasks, slack=1 + 1 / pass_number**2)
            if not open_tasks:
                break
            if all(task.rounds >= task.least for task in open_tasks):
                self._hurry()
            for task in sorted(open_tasks, key=_need, reverse=True):
                if task.rounds < task.least or task.cost <= self._left:
                    self._round(task)
                else:
                    open_tasks.remove(task)
                    self._done(task)
            whole = sum(task.weight() for task in self._tasks if task.failure is None)
            for task in [task for task in open_tasks if task.failure is not None or task.known(whole)]:
                open_tasks.remove(task)
                if task.failure is None:
                    self._done(task)

    @property
    def _left(self) -> float:
        return self._budget - (self._clock() - self._start)

    def _hurry(self) -> None:
        """Spend on more rounds than the least no more than there is patience for."""
        self._budget = min(self._budget, (self._budget - self._left) * (1 + self._patience))
        self._patience = inf

    def _round(self, task: Task) -> None:
        start = self._clock()
        try:
            task.take()
        except ConvauditError as error:
            task.failure = str(error)
            self._done(task)
        task.rounds += 1
        task.cost = min(task.cost, self._clock() - start)

    def _affordable(self, tasks: list[Task], slack: float) -> list[Task]:
        """Those whose least number of rounds fits: first rounds tell too much of what the next ones take."""
        left, kept = self._left * slack, []
        for task in tasks:
            needed = task.cost * max(0, task.least - task.rounds)
            if needed <= left:
                left -= needed
                kept.append(task)
            elif task.rounds >= FEWEST:
                self._done(task)
            else:
                self._give_up(task)
        return kept

    def _give_up(self, task: Task) -> None:
        task.left_out = True
        task.failure = (
            f"left out: {task.least} rounds do not fit into the time budget; give more with --time-budget"
        )
        self._done(task)


def _need(task: Task) -> float:
    """What one more round is worth: what is not known yet, of what matters."""
    estimate = task.estimate()
    spread = estimate.spread if estimate is not None else None
    return task.weight() * (1.0 if spread is None else spread)
