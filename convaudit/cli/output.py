"""Where results go: standard output, or a file that is whole or not there; colours and progress beside it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from convaudit.cli.errors import silence
from convaudit.errors import UsageError
from convaudit.records import STATUSES, status_words
from convaudit.reporters.text import printable, shorten

_ALARM: dict[str, Any] = {"fg": "red", "bold": True}
_CAUTION: dict[str, Any] = {"fg": "yellow"}
_STYLES = {
    **{
        f"{status_words(status)}:": _ALARM if meaning.proves == "wrong" else _CAUTION
        for status, meaning in STATUSES.items()
    },
    "warning:": _CAUTION,
    "total of ": {"bold": True},
    "removable: ": {"bold": True},
}


def write_result(text: str, output: str | None) -> None:
    """Print ``text``, or write it to ``output`` (``-`` is standard output as well).

    Raises:
        UsageError: The file cannot be written.
    """
    if output is None or output == "-":
        _print(text)
    else:
        write_file(text.encode("utf-8", errors="backslashreplace"), output)


def check_output(output: str | None, *read: str | None) -> None:
    """Refuse, before any work, to write a result where it cannot be, or over a file that is read.

    Args:
        output: As in ``write_result``.
        read: Sources, and other files; what is no path is let through.

    Raises:
        UsageError: There is no such folder, or the file is one of those that are read.
    """
    if not output or output == "-":
        return
    if not os.path.isdir(os.path.dirname(os.path.realpath(output))):
        raise UsageError(f"cannot write {output!r}: {os.strerror(errno.ENOENT)}")
    for path in filter(None, read):
        if os.path.isfile(path) and os.path.exists(output) and os.path.samefile(path, output):
            raise UsageError(f"{output!r} is a file that is read; name another one to write")


def write_file(data: bytes, output: str) -> None:
    """Write a file that is whole or not there.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        _write_atomically(data, output)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise UsageError(f"cannot write {output!r}: {getattr(error, 'strerror', None) or error}") from error


def _print(text: str) -> None:
    if sys.stdout is None:
        raise UsageError("cannot write the result: standard output is closed; name a file with --output")
    if hasattr(sys.stdout, "reconfigure"):
        # a name that the terminal cannot show must not end the report
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"cannot write to standard output: {error.strerror or error}") from error


def _write_atomically(data: bytes, output: str) -> None:
    """Write a new file beside ``output`` and move it into place; a device or pipe is written to directly.

    The file gets the permissions that any new file gets.
    """
    target = os.path.realpath(output)
    if os.path.exists(target) and not os.path.isfile(target):
        _write(data, target, "wb")
        return
    scratch = f"{target}.{os.getpid()}.part"
    try:
        _write(data, scratch, "xb")
        os.replace(scratch, target)
    except BaseException:
        if os.path.exists(scratch):
            os.unlink(scratch)
        raise


def _write(data: bytes, path: str, mode: str) -> None:
    with open(path, mode) as file:
        file.write(data)


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


_WIDEST_BAR = 36


@contextmanager
def progress_bar(label: str, counted: str = "layers") -> Iterator[Callable[[int, int], None] | None]:
    """A callback for ``audit``'s ``progress``, or None where nobody watches.

    Such as "m.onnx  [####----]  4/8  00:00:03  layers timed".

    Args:
        label: What is being worked on.
        counted: What the numbers count.
    """
    if not sys.stderr.isatty():
        yield None
        return
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            columns = shutil.get_terminal_size().columns
            short = shorten(printable(label), columns // 3)
            rest = f"{short}  []  {total}/{total}  00:00:00  {counted} "
            bar = click.progressbar(
                length=total,
                label=short,
                file=sys.stderr,
                show_pos=True,
                item_show_func=lambda _: counted,
                width=max(1, min(_WIDEST_BAR, columns - len(rest))),
            )
            bar.render_progress()
        bar.update(done - bar.pos)

    try:
        yield show
    finally:
        if bar is not None:
            click.echo("\r\x1b[K", file=sys.stderr, nl=False)
