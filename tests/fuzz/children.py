"""A child process for what may crash, hang or eat the memory: its end is a finding, and the fuzz goes on."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What became of one call.

    Attributes:
        value: What the function returned.
        error: ``Type: text`` of the exception that it raised.
        crash: How the child ended instead of answering: its exit code or signal, or that time was up.
        peak_bytes: Most resident memory that the child has had so far, if it answered.
    """

    value: Any = None
    error: str | None = None
    crash: str | None = None
    peak_bytes: int = 0


class Child:
    """Calls a module-level function in a process of its own, which lives as long as it behaves.

    Args:
        function: Importable by name; its arguments and results are pickled.
        seconds: Time for one call, after which the child is killed.
        memory_bytes: Limit of the child's address space; its allocations fail beyond.
        calls: Calls after which a fresh child takes over, so that peaks of memory are of few calls.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        seconds: float,
        memory_bytes: int | None = None,
        calls: int | None = None,
    ) -> None:
        self._function = function
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._calls = calls
        self._made = 0
        self._process: Any = None
        self._connection: Connection | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, *arguments: Any) -> Outcome:
        """One call in the child; a child that ended before is replaced."""
        if self._calls is not None and self._made >= self._calls:
            self.close()
        if self._process is None:
            self._start()
        assert self._connection is not None
        self._made += 1
        try:
            self._connection.send(arguments)
            if not self._connection.poll(self._seconds):
                self.close()
                return Outcome(crash=f"no answer after {self._seconds:g} s")
            return Outcome(**self._connection.recv())
        except (EOFError, ConnectionError):
            self._process.join(10)
            code = self._process.exitcode
            self.close()
            return Outcome(crash=f"ended with exit code {code}")

    def close(self) -> None:
        """End the child, however busy it is."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, self._function, self._memory_bytes), daemon=True
        )
        self._process.start()
        other.close()
        self._made = 0


def _serve(connection: Connection, function: Callable[..., Any], memory_bytes: int | None) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        answer: dict[str, Any]
        try:
            answer = {"value": function(*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        connection.send({**answer, "peak_bytes": _peak_bytes()})


def _peak_bytes() -> int:
    """The most memory that this process ever had; ``ru_maxrss`` keeps the parent's across ``exec``."""
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024
