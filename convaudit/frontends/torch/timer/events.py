"""What torch's profiler saw of one run of a model: its convolutions in order, its other operators, the rest.

Operators nest: ``aten::conv2d`` calls ``aten::convolution``, and that its kernel. A convolution is the
outermost operator of the table of convolutions, with the one around it that does nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from convaudit.frontends.torch.ops import CONV_OPS

_CONVOLUTIONS = frozenset(name.replace(".", "::") for name in CONV_OPS)
_AROUND_ONE = re.compile(r"aten::_?conv|torchvision::_?deform|quantized::conv|_quantized::conv")
"""What calls one convolution, beside padding its input and reading its arguments."""
_MOST_LETTERS = 60


@dataclass(slots=True)
class Event:
    """An operator that ran, or a stretch of the run that somebody gave a name."""

    name: str
    start: float  # seconds since some moment
    seconds: float  # of the device where it ran on one
    inside: list[Event] = field(default_factory=list)  # what it called, in order
    kernel: str | None = None  # the longest that it started on a device
    operands: str = ""  # their shapes, and numbers as strides and groups; empty: nobody asked


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One convolution that ran."""

    seconds: float
    kernel: str


@dataclass(frozen=True, slots=True)
class SeenRun:
    """What one run consists of."""

    calls: tuple[SeenCall, ...]  # in order
    others: dict[str, tuple[int, float]]  # how many of each operator, and their seconds


def nested(flat: Iterable[Event]) -> list[Event]:
    """The outermost of the events of one thread, each with what ran inside it."""
    outermost: list[Event] = []
    running: list[tuple[float, Event]] = []  # with its end
    for event in sorted(flat, key=lambda event: (event.start, -event.seconds)):
        while running and running[-1][0] <= event.start:
            running.pop()
        (running[-1][1].inside if running else outermost).append(event)
        running.append((event.start + event.seconds, event))
    return outermost


def run_of(event: Event) -> SeenRun:
    """Take the event around a whole run apart."""
    calls: list[SeenCall] = []
    others: dict[str, tuple[int, float]] = {}
    for part in _parts(event.inside):
        if _convolutions(part):
            calls.append(SeenCall(part.seconds, kernel_of(part)))
        else:
            name = part.name.removeprefix("aten::").replace("::", ".")[:_MOST_LETTERS]
            count, seconds = others.get(name, (0, 0.0))
            others[name] = count + 1, seconds + part.seconds
    return SeenRun(tuple(calls), others)


def kernel_of(event: Event) -> str:
    """What a convolution ran as: the innermost operator on the way to where most of its time went."""
    found = event
    while inner := [part for part in found.inside if "conv" in part.name]:
        found = max(inner, key=lambda part: part.seconds)
    kernel = next((part.kernel for part in (found, event) if part.kernel), None)
    return found.name if kernel is None else f"{found.name} ({kernel[:_MOST_LETTERS]})"


def operands_of(event: Event) -> list[str]:
    """The operands of each convolution that it called, in order."""
    if event.name in _CONVOLUTIONS:
        return [event.operands]
    return [operands for part in event.inside for operands in operands_of(part)]


def _parts(events: Iterable[Event]) -> Iterator[Event]:
    """Convolutions and operators without any, looking into whatever holds more than one convolution."""
    for event in events:
        inside = _convolutions(event)
        is_operator = "::" in event.name
        if event.name in _CONVOLUTIONS or (inside == 1 and _AROUND_ONE.match(event.name)):
            yield event
        elif inside or (not is_operator and event.inside):
            yield from _parts(event.inside)
        elif is_operator:
            yield event


def _convolutions(event: Event) -> int:
    """How many convolutions it is or calls."""
    return 1 if event.name in _CONVOLUTIONS else sum(map(_convolutions, event.inside))
