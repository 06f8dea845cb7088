"""How a model is to be verified and timed, from what callers pass: what would do nothing is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from numbers import Real
from typing import Any, get_args

from convaudit.arguments import flag, whole
from convaudit.errors import UsageError
from convaudit.frontends import TimeRequest, VerifyRequest
from convaudit.records import Optimization

MOST_THREADS = 1024
_HOW = ("seed", "memory_bytes", "provider", "threads", "optimization")
"""What says how a model is run, whatever it is run for."""


def run_requests(
    verify: Any, time: Any, how: dict[str, Any]
) -> tuple[VerifyRequest | None, TimeRequest | None]:
    """How to verify and how to time; None for what is not asked for.

    Args:
        verify: As ``audit`` takes it.
        time: As ``audit`` takes it.
        how: The keywords of ``audit`` that say how either is done.

    Raises:
        UsageError: A value is not one, or would do nothing.
    """
    if not isinstance(verify, bool) and not (isinstance(verify, str) and verify in ("in-situ", "isolated")):
        raise UsageError(f"verify must be True, False, 'in-situ' or 'isolated', got {verify!r:.100}")
    run = run_settings(how)
    timed = _time_request(time, run, how)
    if not verify and timed is None:
        for name in _HOW:
            if run[name] is not None:
                raise UsageError(f"{name} says how to run a model; give verify=True or time=True as well")
    if verify == "isolated" and timed is None and run["memory_bytes"] is not None:
        raise UsageError("memory_bytes is for a run of the whole model, which verify='isolated' avoids")
    verified = VerifyRequest(**run, isolated=verify == "isolated") if verify else None
    return verified, timed


def diff_request(time: Any, how: Mapping[str, Any]) -> TimeRequest | None:
    """How to time two models in turn; None if they are not to be timed.

    Args:
        time: As ``diff`` takes it.
        how: The keywords of ``diff`` that say how.

    Raises:
        UsageError: A value is not one, or would do nothing.
    """
    if not flag(time, "time"):
        for name, value in how.items():
            if value is not None:
                raise UsageError(f"{name} says how to time two models; give time=True as well")
        return None
    none = dict.fromkeys((*_HOW, "timings", "twin_timings", "time_budget"))
    return run_requests(False, "model", {"verify": False, **none, **how})[1]


def run_settings(how: dict[str, Any]) -> dict[str, Any]:
    """The fields of a ``RunRequest``, checked.

    Args:
        how: What callers passed, by name.

    Raises:
        UsageError: A value is not one.
    """
    seed, memory, provider, threads, optimization = (how.get(name) for name in _HOW)
    levels = get_args(Optimization)
    if optimization is not None and not (isinstance(optimization, str) and optimization in levels):
        raise UsageError(f"optimization must be one of {', '.join(levels)}, got {optimization!r:.100}")
    if provider is not None and not isinstance(provider, str):
        raise UsageError(f"provider must be a name such as 'cpu', got {provider!r:.100}")
    return {
        "seed": None if seed is None else whole(seed, "seed", most=2**64 - 1),
        "memory_bytes": None if memory is None else whole(memory, "memory_bytes", least=1),
        "provider": provider,
        "threads": None if threads is None else whole(threads, "threads", least=1, most=MOST_THREADS),
        "optimization": optimization,
    }


def _time_request(time: Any, run: dict[str, Any], how: dict[str, Any]) -> TimeRequest | None:
    files = {name: how[name] for name in ("timings", "twin_timings")}
    for name, path in files.items():
        if path is not None and not isinstance(path, str | os.PathLike):
            raise UsageError(f"{name} must be the path of a profile, got {path!r:.100}")
    budget = None if how["time_budget"] is None else positive_seconds(how["time_budget"], "time_budget")
    if files["twin_timings"] is not None and files["timings"] is None:
        raise UsageError("twin_timings are compared with timings; give both")
    if files["timings"] is not None:
        if flag(time, "time"):
            raise UsageError(
                "timings are read from a file, so that time=True would measure nothing; choose one"
            )
        given = [name for name in _HOW if run[name] is not None] if not how["verify"] else []
        given += ["time_budget"] if budget is not None else []
        if given:
            raise UsageError(
                f"{given[0]} says how to run a model; timings are read from a file: leave it out"
            )
        return TimeRequest(**{name: os.fspath(path) for name, path in files.items() if path is not None})
    in_model = isinstance(time, str) and time == "model"
    if not in_model and not flag(time, "time"):
        if budget is not None:
            raise UsageError("time_budget says how long to time; give time=True as well, or leave it out")
        return None
    return TimeRequest(**run, budget_seconds=budget, alone=not in_model)


def positive_seconds(value: Any, name: str) -> float:
    """A finite time that is longer than none.

    Raises:
        UsageError: It is not one.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise UsageError(f"{name} must be a number of seconds above 0, got {value!r:.100}")
    return float(value)
