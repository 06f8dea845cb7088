"""Whole processes measured: wall time and peak memory, interleaved, medians.

This module stays small on purpose: Linux counts the parent's memory at the time of the fork as a child's.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Medians over the repetitions of one command."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(commands: Mapping[str, Sequence[str]], repeat: int = 7) -> dict[str, Cost]:
    """Run every command in turn, ``repeat`` times after one to warm up, and take medians."""
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(repeat + 1):
        for name, command in commands.items():
            cost = _run(command)
            if turn:
                runs[name].append(cost)
    return {
        name: Cost(
            seconds=statistics.median(cost.seconds for cost in costs),
            cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
            peak_mb=statistics.median(cost.peak_mb for cost in costs),
        )
        for name, costs in runs.items()
    }


def _run(command: Sequence[str]) -> Cost:
    # an installed package has its bytecode: so must a checkout
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def table(title: str, costs: Mapping[str, Cost], base: str) -> str:
    """A Markdown table with the ratio of each time to that of ``base``."""
    rows = [f"| {title} | seconds | CPU s | peak MB | time of `{base}` × |", "|---|---:|---:|---:|---:|"]
    for name, cost in costs.items():
        ratio = cost.seconds / costs[base].seconds
        rows.append(
            f"| {name} | {cost.seconds:.2f} | {cost.cpu_seconds:.2f} | {cost.peak_mb:.0f} | {ratio:.2f} |"
        )
    return "\n".join(rows) + "\n"
