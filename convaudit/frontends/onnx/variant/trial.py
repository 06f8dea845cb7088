"""Whether a runtime survives a model: its optimiser may abort, and would take the whole program with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from convaudit.apart import call_apart, file_limits
from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError, LoadError
from convaudit.frontends.onnx.runtime import Settings
from convaudit.records import Optimization


def crashes(
    settings: Settings,
    models: Sequence[bytes],
    feeds: Mapping[str, Array],
    levels: Sequence[Optimization],
) -> list[dict[Optimization, str]]:
    """Run models in a process of its own, and say what ended it.

    Args:
        settings: What they are to run in.
        models: As the runtime takes them.
        feeds: Arrays by input name.
        levels: Optimisation levels to try.

    Returns:
        For each model, by the level, how the process ended; nothing of those after which it lived, be it
        with an error.
    """
    found: list[dict[Optimization, str]] = [{} for _ in models]
    jobs = [(number, level) for number in range(len(models)) for level in levels]
    limits = file_limits(sum(map(len, models)), computes=True)
    while jobs:
        done: list[int] = []
        try:
            call_apart(
                f"{__name__}:run_here",
                *(settings, models, feeds, jobs),
                who=settings.runtime.name,
                prepared=(__name__, "onnxruntime"),
                limits=limits,
                progress=done.append,
            )
            break
        except (ExecutionError, LoadError) as error:
            number, level = jobs[len(done)]
            found[number][level] = str(error).removesuffix(" before the audit was done")
            jobs = jobs[len(done) + 1 :]
    return found


def run_here(
    settings: Settings,
    models: Sequence[bytes],
    feeds: Mapping[str, Array],
    jobs: Sequence[tuple[int, Optimization]],
    progress: Callable[[int], None],
) -> None:
    """Run models in this process, one after the other, whatever becomes of them."""
    for number, level in jobs:
        with suppress(Exception):
            session = settings.runtime.load(models[number], replace(settings, optimization=level))
            session.run(feeds, None)
        progress(number)
