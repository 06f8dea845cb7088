"""A bar on standard error while people wait, of which nothing stays."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from convaudit.cli.errors import is_quiet
from convaudit.reporters.text import cut, display_width, printable

_WIDEST_BAR = 36
_SECONDS_BETWEEN = 0.1


@contextmanager
def progress_bar(label: str, counted: str = "layers") -> Iterator[Callable[[int, int], None] | None]:
    """A callback for ``audit``'s ``progress``, or None where nobody watches.

    Such as "m.onnx  [####----]  4/8 layers timed  0:03 left".

    Args:
        label: What is being worked on.
        counted: What the numbers count.
    """
    if is_quiet() or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    bar = _Bar(label, counted)
    try:
        yield bar.show
    finally:
        bar.clear()


class _Bar:
    """One line of the terminal, drawn again where it is."""

    def __init__(self, label: str, counted: str) -> None:
        self._label = printable(label)
        self._counted = counted
        self._start = time.monotonic()
        self._drawn = float("-inf")
        self._cells = 0

    def show(self, done: int, total: int) -> None:
        """Draw it, unless that was done just now."""
        now = time.monotonic()
        if self._cells and done < total and now - self._drawn < _SECONDS_BETWEEN:
            return
        self._drawn = now
        left = int((now - self._start) / done * (total - done)) if 0 < done < total else None
        line = bar_line(self._label, done, total, self._counted, left, _columns())
        cells = display_width(line)
        self._write("\r" + line + " " * (self._cells - cells))
        self._cells = cells

    def clear(self) -> None:
        """Leave the line as it was found."""
        if self._cells:
            self._write("\r" + " " * self._cells + "\r")

    @staticmethod
    def _write(text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that is gone, or knows no such letter, ends no audit
            sys.stderr.write(text)
            sys.stderr.flush()


def bar_line(label: str, done: int, total: int, counted: str, left: int | None, columns: int) -> str:
    """What fits into so many columns, of which the last one stays free: there terminals wrap.

    Args:
        label: What is being worked on.
        done: How many of ``total``.
        total: How many there are.
        counted: What they are.
        left: Seconds that remain; None: nobody knows.
        columns: Of the terminal.
    """
    count = f"{done}/{total}"
    words = f"{count} {counted}"
    clock = words if left is None else f"{words}  {_clock(left)} left"
    third = cut(label, max(12, columns // 3))
    for name, tail, least in (
        (label, clock, 12),
        (third, clock, 12),
        (third, words, 8),
        (cut(label, 12), count, 4),
        ("", count, 4),
    ):
        start = f"{name}  [" if name else "["
        width = min(_WIDEST_BAR, columns - 1 - display_width(f"{start}]  {tail}"))
        if width >= least:
            full = width * done // total if total else width
            return f"{start}{'#' * full}{'-' * (width - full)}]  {tail}"
    return count[: max(0, columns - 1)]


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _columns() -> int:
    """Of ``COLUMNS``, or of the terminal that standard error is; standard output may be a file."""
    if re.fullmatch("[1-9][0-9]{0,8}", os.environ.get("COLUMNS", "")):
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
