"""What a program computes on, by its maker's name."""

from __future__ import annotations

import platform
from pathlib import Path


def cpu_name() -> str | None:
    """The processor's name: "AMD EPYC 7763 64-Core Processor"; None if the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Processor", "cpu model"):
            return " ".join(value.split()) or None
    return platform.processor() or None
