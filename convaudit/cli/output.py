"""Where results go: standard output, or a file that is whole or not there."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from convaudit.cli.colors import painted
from convaudit.cli.errors import color_wanted, silence
from convaudit.errors import UsageError
from convaudit.reporters import DEFAULT_FORMAT, DEFAULT_VIEW, FORMATS, Document, View


def write_document(
    document: Document, content: Any, name: str, output: str | None, view: View = DEFAULT_VIEW
) -> None:
    """Write what a command has found in the format ``name``; a table that is printed has its colours.

    Raises:
        UsageError: The file cannot be written.
    """
    text = FORMATS[name].render(document, content, view)
    printed = output is None or output == "-"
    write_result(painted(document, text) if printed and name == DEFAULT_FORMAT else text, output)


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


def check_outputs(outputs: Iterable[str | None], *read: str | None) -> None:
    """As ``check_output`` for each of them; two results must not go to one place either.

    Args:
        outputs: As in ``write_result``.
        read: As in ``check_output``.

    Raises:
        UsageError: One cannot be written, or would be written over.
    """
    taken = set()
    for output in outputs:
        check_output(output, *read)
        place = "-" if output is None or output == "-" else os.path.realpath(output)
        if place in taken:
            where = "standard output" if place == "-" else repr(output)
            raise UsageError(f"two results would go to {where}; give each a file of its own")
        if place == "-" or os.path.isfile(place) or not os.path.exists(place):  # /dev/null takes many
            taken.add(place)


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
        click.echo(text, nl=False, color=color_wanted())
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
