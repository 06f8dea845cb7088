"""onnxruntime's profile: runs of a model, and the kernels that ran in each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MICROSECOND = 1e-6
_KERNEL = "_kernel_time"


@dataclass(frozen=True, slots=True)
class Event:
    """One kernel's run.

    Attributes:
        name: Of its node.
        op: Type of its op, without the domain.
        provider: What ran it.
        seconds: Without those of kernels that ran inside it, of a loop's body.
        read: Shape of its first input; None if it is not told.
        made: Shape of its first output.
    """

    name: str
    op: str
    provider: str
    seconds: float
    read: tuple[int, ...] | None = None
    made: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ProfiledRun:
    """One run of the model.

    Attributes:
        seconds: Of all of it.
        events: In the order in which they started.
        step: Seconds that the time of an event may be too short: its clock rounds down to whole steps.
    """

    seconds: float
    events: tuple[Event, ...]
    step: float = 0.0


def written_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a profile that was just written here, one a line."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = line.strip().rstrip(",")
            if text.startswith("{"):
                yield json.loads(text)


def profiled_runs(events: Iterable[Mapping[str, Any]]) -> list[ProfiledRun]:
    """The runs of a profile, in their order; what was written of one that did not end is left out."""
    kernels: list[Mapping[str, Any]] = []
    whole: list[Mapping[str, Any]] = []
    for event in events:
        if event.get("cat") == "Node" and str(event["name"]).endswith(_KERNEL):
            kernels.append(event)
        elif event.get("cat") == "Session" and event["name"] == "model_run":
            whole.append(event)
    kernels.sort(key=lambda event: (event["ts"], -event["dur"]))
    runs, position = [], 0
    for run in sorted(whole, key=lambda event: event["ts"]):
        start, end = run["ts"], run["ts"] + run["dur"]
        while position < len(kernels) and kernels[position]["ts"] < start:
            position += 1
        first = position
        while position < len(kernels) and kernels[position]["ts"] <= end:
            position += 1
        own = tuple(_own(kernels[first:position]))
        runs.append(ProfiledRun(run["dur"] * _MICROSECOND, own, _MICROSECOND))
    return runs


def _own(kernels: list[Mapping[str, Any]]) -> Iterator[Event]:
    """Events with the time of each kernel's own: a loop's is what its body's leave."""
    own = [float(event["dur"]) for event in kernels]
    open_kernels: dict[Any, list[tuple[float, int]]] = {}  # of each thread: the end and the position
    for position, event in enumerate(kernels):
        around = open_kernels.setdefault(event.get("tid"), [])
        while around and around[-1][0] <= event["ts"]:
            around.pop()
        if around:
            own[around[-1][1]] -= event["dur"]
        around.append((event["ts"] + event["dur"], position))
    for event, duration in zip(kernels, own, strict=True):
        details = event.get("args", {})
        yield Event(
            str(event["name"]).removesuffix(_KERNEL),
            str(details.get("op_name", "")),
            str(details.get("provider", "")),
            max(0.0, duration) * _MICROSECOND,
            _first_shape(details.get("input_type_shape")),
            _first_shape(details.get("output_type_shape")),
        )


def _first_shape(told: Any) -> tuple[int, ...] | None:
    """The shape of the first of some tensors: ``[{"float": [1, 64, 56, 56]}]``."""
    try:
        (sizes,) = told[0].values()
        return tuple(int(size) for size in sizes)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
