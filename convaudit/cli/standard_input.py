"""``-``: a model that comes through a pipe, kept in a file for as long as the command runs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import click

from convaudit.errors import UsageError
from convaudit.files import STDIN, Piped

MOST_PIPED_BYTES = 2**31
"""No ONNX file is larger: protobuf ends there, and what is beyond it lies in files of its own."""
_CHUNK = 2**20
_READ = "convaudit.standard_input"


def piped_model(ctx: click.Context) -> Piped:
    """The ONNX model on standard input, in a file that goes when the command ends.

    Raises:
        UsageError: There is none, it is too large, or it was read already.
    """
    if _READ in ctx.meta:
        raise UsageError("'-' is given twice, and standard input can be read once; name a file for the other")
    ctx.meta[_READ] = True
    stream = _binary_input()
    folder = tempfile.TemporaryDirectory(prefix="convaudit-", ignore_cleanup_errors=True)
    ctx.call_on_close(folder.cleanup)
    path = Path(folder.name, "model.onnx")
    try:
        with open(path, "wb") as file:
            _copy(stream, file)
    except OSError as error:  # a folder as standard input, a full disk
        raise UsageError(f"{STDIN}: cannot be read: {error.strerror or error}") from error
    return Piped(path, folder)


def _binary_input() -> BinaryIO:
    stream = sys.stdin
    if stream is None or stream.closed:
        raise UsageError(f"{STDIN}: standard input is closed; {_HOW}")
    if stream.isatty():
        raise UsageError(f"{STDIN}: standard input is a terminal; {_HOW}")
    return stream.buffer


_HOW = "pipe a model into it, as in: cat model.onnx | convaudit -"


def _copy(stream: BinaryIO, file: BinaryIO) -> None:
    size = 0
    while chunk := stream.read(_CHUNK):
        if not size and chunk.startswith(b"PK\x03\x04"):
            raise UsageError(
                f"{STDIN}: a zip archive, as torch writes them; '-' reads ONNX models: save it, name the file"
            )
        size += len(chunk)
        if size > MOST_PIPED_BYTES:
            raise UsageError(
                f"{STDIN}: has more than {MOST_PIPED_BYTES} bytes, as no ONNX model has; name a file"
            )
        file.write(chunk)
    if not size:
        raise UsageError(f"{STDIN}: standard input is empty; {_HOW}")
