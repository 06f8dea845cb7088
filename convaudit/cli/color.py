"""Colour for a terminal: whole lines of the finished text, by how they begin."""

from __future__ import annotations

from typing import Any

import click

_STYLES: dict[str, dict[str, Any]] = {
    "mismatch:": {"fg": "red", "bold": True},
    "miscounted:": {"fg": "red", "bold": True},
    "low accuracy:": {"fg": "yellow"},
    "vacuous:": {"fg": "yellow"},
    "warning:": {"fg": "yellow"},
    "total of ": {"bold": True},
}


def colored(text: str) -> str:
    """Totals in bold, warnings and bad verdicts in colour, with the lines they continue on.

    ``click.echo`` drops colours again where they do not belong: pipes, files, ``NO_COLOR``.
    """
    lines = []
    style: dict[str, Any] | None = None
    for line in text.split("\n"):
        if not line.startswith("  "):
            style = next((value for start, value in _STYLES.items() if line.startswith(start)), None)
        lines.append(click.style(line, **style) if style else line)
    return "\n".join(lines)
