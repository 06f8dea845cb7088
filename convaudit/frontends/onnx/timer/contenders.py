"""One round of kernels timed in turn: each in a session of its own, in bursts, in an order drawn by chance.

What makes a kernel against a copy of itself come out as 1 was found by experiment:

- a fresh session for each round, as where weights and scratch memory lie makes up to 5 % that no number of
  runs removes; the order in which the sessions are made is drawn too;
- bursts of one kernel, of which the first run does not count, so that each finds in the caches what it left
  there: run in turn one by one, small kernels took up to 1.6 times as long behind large ones;
- the runtime's memory arena, without which kernels wait for fresh pages; input at addresses that vector
  loads like, as a runtime's own is;
- the fastest run of a round: what disturbs a run only ever makes it longer, and not all kernels alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.runtime import CPU, Arrays, Settings
from convaudit.frontends.onnx.timer.kernels import is_blocked_name
from convaudit.frontends.onnx.timer.profile import Event, profiled_runs, written_events

RESOLUTION = 1e-6
"""Seconds that onnxruntime's profile leaves out at most: it cuts off fractions of microseconds."""
_BURSTS = 2  # of each kernel in a round; one of a kernel that takes long
_BURST_SECONDS = 2e-3
_FEWEST, _MOST = 3, 8  # runs of a burst that count
_LINE, _PAGE = 64, 4096  # bytes: of the cache, of memory
_AROUND = frozenset(
    {"ReorderInput", "ReorderOutput", "DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Identity"}
)
"""Ops that change the layout or the type of what a kernel gets and gives."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A kernel as a model of its own.

    Attributes:
        make: Gives the model as a runtime loads it.
        feeds: Values of its inputs by name.
        needs: Bytes that it takes, as far as that is known.
    """

    make: Callable[[], bytes]
    feeds: Arrays
    needs: int = 0


class Kept:
    """Models that are kept once they are made, as far as they take no more than a number of bytes."""

    def __init__(self, most: int) -> None:
        self._left = most

    def kept(self, contender: Contender) -> Contender:
        """The same, its model perhaps made only once."""
        model = b""

        def make() -> bytes:
            nonlocal model
            if model:
                return model
            made = contender.make()
            if len(made) <= self._left:
                self._left -= len(made)
                model = made
            return made

        return replace(contender, make=make)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round tells of a kernel: its seconds, and what it is called."""

    seconds: float
    kernel: str


@dataclass(frozen=True, slots=True)
class Bench:
    """What rounds are run in.

    Attributes:
        settings: Of the sessions.
        folder: For their profiles; none is left there.
        generator: Draws the order.
        memory_bytes: What contenders that run in turn may take together.
    """

    settings: Settings
    folder: Path
    generator: np.random.Generator
    memory_bytes: int


def take_round(contenders: Mapping[str, Contender], bench: Bench) -> dict[str, Sample]:
    """Time all contenders once, in turn, or those in turn that fit into memory together.

    Args:
        contenders: By their names.
        bench: What to run them in.

    Raises:
        ExecutionError: The runtime does not run one of them.
        LoadError: Weights are missing.
    """
    samples: dict[str, Sample] = {}
    waiting = _shuffled(contenders, bench.generator)
    while waiting:
        needed, together = 0, list[str]()
        for name in waiting:
            needed += contenders[name].needs
            if not together or needed <= bench.memory_bytes:
                together.append(name)
        samples |= _in_turn({name: contenders[name] for name in together}, bench)
        waiting = [name for name in waiting if name not in samples]
    return samples


def _in_turn(contenders: Mapping[str, Contender], bench: Bench) -> dict[str, Sample]:
    generator = bench.generator
    settings = replace(bench.settings, spinning=False, arena=True)
    running = {}
    for name, contender in contenders.items():
        place = bench.folder / name  # two profiles of one second have one name
        place.mkdir(exist_ok=True)
        running[name] = _Running(contender, replace(settings, profile=place), generator)
    for _ in range(_BURSTS):
        for name in _shuffled(contenders, generator):
            running[name].burst()
    return {name: running[name].sample(generator) for name in contenders}


class _Running:
    """A contender in a session."""

    def __init__(self, contender: Contender, settings: Settings, generator: np.random.Generator) -> None:
        self._session = settings.runtime.load(contender.make(), settings)
        feeds = {name: _placed(array, generator) for name, array in contender.feeds.items()}
        self._run = self._session.bound(feeds)
        start = perf_counter()
        self._run()  # takes memory: it does not count
        self._count = int(np.clip(_BURST_SECONDS / (perf_counter() - start), _FEWEST, _MOST))
        self._bursts = 1 if self._count == _FEWEST else _BURSTS
        self._runs, self._uncounted = 1, {0}

    def burst(self) -> None:
        if not self._bursts:
            return
        self._bursts -= 1
        self._uncounted.add(self._runs)
        for _ in range(1 + self._count):
            self._run()
        self._runs += 1 + self._count

    def sample(self, generator: np.random.Generator) -> Sample:
        profile = self._session.end_profiling()
        runs = profiled_runs(written_events(profile))
        profile.unlink()
        counted = [run.events for index, run in enumerate(runs) if index not in self._uncounted]
        kernels = [_kernel(events) for events in counted]
        if not kernels or not all(kernels):
            raise ExecutionError("its profile tells of no kernel")
        fastest = min(kernels, key=lambda events: sum(event.seconds for event in events))
        seconds = sum(event.seconds + generator.uniform(0, RESOLUTION) for event in fastest)
        return Sample(seconds, " + ".join(dict.fromkeys(map(kernel_label, fastest))))


def _kernel(events: Iterable[Event]) -> list[Event]:
    """The events of a run that compute: not those that only change a layout or a type."""
    return [event for event in events if event.op not in _AROUND]


def kernel_label(event: Event) -> str:
    """For people. What a provider compiled is numbered, differently in each session: that tells nothing."""
    if event.provider != CPU:
        return re.sub(r"_\d+$", "", event.op)
    return f"{event.op} (NCHWc)" if is_blocked_name(event.name) else event.op


def _shuffled(names: Iterable[str], generator: np.random.Generator) -> list[str]:
    ordered = list(names)
    return [ordered[index] for index in generator.permutation(len(ordered))]


def _placed(array: Array, generator: np.random.Generator) -> Array:
    """A copy at the start of a cache line, that one drawn within a page."""
    memory = np.empty(array.nbytes + _PAGE + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE + _LINE * int(generator.integers(_PAGE // _LINE))
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
