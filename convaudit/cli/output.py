"""Where results go: standard output, or a file that is complete or not there at all."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from convaudit.errors import UsageError


def write_result(text: str, output: Path | None) -> None:
    """Print ``text``, or write it to ``output`` (``-`` is standard output as well).

    Raises  UsageError if the file cannot be written.
    """
    if output is None or str(output) == "-":
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(
                errors="backslashreplace"
            )  # a name the terminal cannot show must not end it
        sys.stdout.write(text)
        return
    try:
        write_atomically(text, output)
    except OSError as error:
        raise UsageError(f"cannot write {str(output)!r}: {error.strerror or error}") from error


def write_atomically(text: str, output: Path) -> None:
    """Write a new file beside ``output`` and move it into place; a device or pipe is written to directly.

    The file gets the permissions that any new file gets.
    """
    target = Path(os.path.realpath(output))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
