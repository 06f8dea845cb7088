"""onnxruntime's profile: runs of a model, and the kernels that ran in each."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

from convaudit.errors import ExecutionError

_MICROSECOND = 1e-6
_KERNEL = "_kernel_time"
_ROOM = 2**20  # bytes that a profile, and the graph beside it, need


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
        weight: Shape of its second input, as a convolution's weight is.
    """

    name: str
    op: str
    provider: str
    seconds: float
    read: tuple[int, ...] | None = None
    made: tuple[int, ...] | None = None
    weight: tuple[int, ...] | None = None


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
    """The events of a profile that was just written here, one a line.

    Raises:
        ExecutionError: It was not written as a whole.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                text = line.strip().rstrip(",")
                if text.startswith("{"):
                    yield json.loads(text)
    except (OSError, ValueError):
        raise ExecutionError(f"its profile was not written as a whole{no_room()}") from None


def no_room() -> str:
    """That the folder for what is temporary is full, in words; nothing if it is not."""
    folder = gettempdir()
    full = shutil.disk_usage(folder).free < _ROOM
    return f": {folder} is full; make room there, or set TMPDIR to another folder" if full else ""


class _Kernel(NamedTuple):
    """What is kept of an event: of a million of them, what is left out counts."""

    start: float  # microseconds, as is the next
    duration: float
    thread: object
    name: str
    op: str
    provider: str
    read: tuple[int, ...] | None
    made: tuple[int, ...] | None
    weight: tuple[int, ...] | None


def profiled_runs(events: Iterable[Mapping[str, Any]]) -> list[ProfiledRun]:
    """The runs of a profile, in their order; what was written of one that did not end is left out."""
    kernels: list[_Kernel] = []
    whole: list[tuple[float, float]] = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            kernels.append(_kernel(event))
        elif event.get("cat") == "Session" and event["name"] == "model_run":
            whole.append((event["ts"], event["dur"]))
    kernels.sort(key=lambda kernel: (kernel.start, -kernel.duration))
    runs, position = [], 0
    for start, duration in sorted(whole):
        while position < len(kernels) and kernels[position].start < start:
            position += 1
        first = position
        while position < len(kernels) and kernels[position].start <= start + duration:
            position += 1
        own = tuple(_own(kernels[first:position]))
        runs.append(ProfiledRun(duration * _MICROSECOND, own, _MICROSECOND))
    return runs


def _kernel(event: Mapping[str, Any]) -> _Kernel:
    details = event.get("args", {})
    return _Kernel(
        event["ts"],
        event["dur"],
        event.get("tid"),
        sys.intern(event["name"].removesuffix(_KERNEL)),
        sys.intern(str(details.get("op_name", ""))),
        sys.intern(str(details.get("provider", ""))),
        _shape(details.get("input_type_shape"), 0),
        _shape(details.get("output_type_shape"), 0),
        _shape(details.get("input_type_shape"), 1),
    )


def _own(kernels: list[_Kernel]) -> Iterator[Event]:
    """Events with the time of each kernel's own: a loop's is what its body's leave."""
    own = [float(kernel.duration) for kernel in kernels]
    open_kernels: dict[object, list[tuple[float, int]]] = {}  # of each thread: the end and the position
    for position, kernel in enumerate(kernels):
        around = open_kernels.setdefault(kernel.thread, [])
        while around and around[-1][0] <= kernel.start:
            around.pop()
        if around:
            own[around[-1][1]] -= kernel.duration
        around.append((kernel.start + kernel.duration, position))
    for kernel, duration in zip(kernels, own, strict=True):
        seconds = max(0.0, duration) * _MICROSECOND
        yield Event(kernel.name, kernel.op, kernel.provider, seconds, kernel.read, kernel.made, kernel.weight)


def _shape(told: Any, index: int) -> tuple[int, ...] | None:
    """The shape of one of some tensors: ``[{"float": [1, 64, 56, 56]}]``."""
    try:
        (sizes,) = told[index].values()
        return tuple(int(size) for size in sizes)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
