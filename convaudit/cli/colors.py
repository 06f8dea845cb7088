"""What of a table is coloured: bad verdicts, budgets, differences, codes of rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import click

from convaudit.records import STATUSES, status_words
from convaudit.reporters import Document

_ALARM: dict[str, Any] = {"fg": "red", "bold": True}
_CAUTION: dict[str, Any] = {"fg": "yellow"}
_GOOD: dict[str, Any] = {"fg": "green"}
_BOLD: dict[str, Any] = {"bold": True}
_LINES = {
    **{
        f"{status_words(status)}:": _ALARM if meaning.proves == "wrong" else _CAUTION
        for status, meaning in STATUSES.items()
    },
    "warning:": _CAUTION,
    "total of ": _BOLD,
    "removable: ": _BOLD,
}
_SEVERITIES: dict[str, dict[str, Any]] = {"error": {"fg": "red"}, "warning": _CAUTION, "info": {"fg": "cyan"}}
_CHECK = (
    (r"(?<=^  )passed(?=  )", _GOOD),
    (r"(?<=^  )FAILED(?=  )", _ALARM),
    (r"(?<=^  )skipped(?=  )", _CAUTION),
    (r"(?<=: )(?:\d+ of \d+ checks failed|could not be audited)$", _ALARM),
    (r"^\d+ models? checked: .*$", _BOLD),
)
_DIFF = (
    (r"^(?:---|\+\+\+) .*$", _BOLD),
    (r"^- .*(?:\n  .*)*$", {"fg": "red"}),
    (r"^\+ .*(?:\n  .*)*$", _GOOD),
    (r"^~ .*(?:\n  .*)*$", _CAUTION),
)

_EXPLAIN = (
    (r"^\S.*(?:\n  .*)*(?=\n\n- )", _BOLD),
    (r"^(?:Which channels reach which|Where the taps lie|Weight|Output .*|Multiply-accumulates)$", _BOLD),
    (r"█+", {"fg": "cyan"}),
    (r"[░·]+", {"dim": True}),
)


def painted(document: Document, text: str) -> str:
    """A table with what matters in colour, which ``click.echo`` drops again where none is wanted."""
    return _PAINTERS.get(document, colored)(text)


def colored(text: str) -> str:
    """Totals in bold, warnings and bad verdicts in colour, with the lines they continue on."""
    lines = []
    style: dict[str, Any] | None = None
    for line in text.split("\n"):
        if not line.startswith("  "):
            style = next((value for start, value in _LINES.items() if line.startswith(start)), None)
        lines.append(click.style(line, **style) if style else line)
    return "\n".join(lines)


def _marked(rows: Iterable[tuple[str, dict[str, Any]]]) -> Callable[[str], str]:
    def paint(text: str) -> str:
        for pattern, style in rows:
            text = re.sub(f"(?m){pattern}", partial(_styled, style), text)
        return text

    return paint


def _styled(style: dict[str, Any], match: re.Match[str]) -> str:
    return click.style(match[0], **style)


def _findings(text: str) -> str:
    """Codes in the colour of their severity."""
    from convaudit.linting.rules import LINT_RULES

    def code(match: re.Match[str]) -> str:
        rule = LINT_RULES.get(match[0])
        return match[0] if rule is None else click.style(match[0], **_SEVERITIES[rule.severity])

    return re.sub(r"(?m)(?<=^  )CA\d{3}(?= )", code, colored(text))


_PAINTERS: dict[Document, Callable[[str], str]] = {
    "check": _marked(_CHECK),
    "diff": _marked(_DIFF),
    "explain": _marked(_EXPLAIN),
    "lint": _findings,
}
