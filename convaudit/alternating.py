"""Two models opened, and timed in alternation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convaudit.analyzer import analyze
from convaudit.arguments import given_dims, given_inputs
from convaudit.errors import UsageError
from convaudit.frontends import OpenedModel, Request, TimeRequest, open_model
from convaudit.records import AuditReport

if TYPE_CHECKING:
    from convaudit.checks import Difference
    from convaudit.records.timing import Timed


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that may be run, and its audit."""

    model: OpenedModel
    report: AuditReport


def open_audited(source: Any, keywords: Mapping[str, Any]) -> Opened:
    """Load a model and audit it; it is not run, beyond what finding its shapes takes.

    Args:
        source: What ``audit`` takes.
        keywords: Those of ``audit`` that say how to open it.

    Raises:
        ConvauditError: As ``audit`` does.
    """
    asked = dict(keywords)
    shape, dims = given_inputs(asked.pop("input_shape", None)), given_dims(asked.pop("dims", None))
    request = Request(input_shape=shape, dims=dims, **asked)
    model = open_model(source, request)
    return Opened(model, analyze(model.network))


def timed_difference(
    before: Opened,
    after: Opened,
    how: TimeRequest,
    progress: Callable[[int, int], None] | None = None,
) -> Difference:
    """Compare two models, and time them in turn.

    Args:
        before: The one model.
        after: The other one.
        how: The budget is for both models together.
        progress: Is told how many turns are over, and of how many.

    Raises:
        ExecutionError: One of them does not run.
        UsageError: One of them has no convolution, or inputs of open sizes, or ``how`` asks for what is not
            there.
    """
    from convaudit.checks.diff import difference_of
    from convaudit.checks.speed import Turns
    from convaudit.timing import merged, with_timing
    from convaudit.timing.turns import MOST_TURNS, in_turns

    over = 0

    def done(steps: int) -> None:
        nonlocal over
        over += steps
        if progress is not None:
            progress(over, MOST_TURNS)

    first, second = in_turns(_timer(before, how), _timer(after, how), how.seconds, done=done)
    return difference_of(
        with_timing(before.report, merged(first)),
        with_timing(after.report, merged(second)),
        Turns(first, second),
    )


def _timer(side: Opened, how: TimeRequest) -> Callable[[float], Timed]:
    if not side.report.layers:
        raise UsageError(f"{side.report.source}: nothing to time, the model contains no convolution")
    if side.report.symbols:
        fix = " ".join(f"--dim {name}=VALUE" for name in side.report.symbols)
        raise UsageError(
            f"{side.report.source}: its inputs have open sizes, on which times depend; give {fix}, or --input"
        )
    return lambda seconds: side.model.time(replace(how, budget_seconds=seconds, alone=False))
