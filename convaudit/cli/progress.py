"""A progress bar for verification: on a terminal only, on standard error, gone when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from convaudit.reporters.text import printable


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A callback for ``audit``'s ``progress``, or None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = click.progressbar(length=total, label=printable(label), file=sys.stderr, show_eta=True)
            bar.render_progress()
        bar.update(done - bar.pos)

    try:
        yield show
    finally:
        if bar is not None:
            click.echo("\r\x1b[K", file=sys.stderr, nl=False)
