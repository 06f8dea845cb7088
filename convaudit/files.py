"""Files that are only read if they are files: opening a pipe would wait for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from convaudit.errors import LoadError

_MOST_BYTES = 2**29  # a sparse file of any size costs nothing to make


STDIN = "<stdin>"
"""What a model that came through a pipe is called in reports and messages."""


class Piped(str):
    """The name of such a model, and the file that holds it meanwhile.

    Attributes:
        path: The file.
        keeper: What removes the file when it goes.
    """

    path: Path
    keeper: object

    def __new__(cls, path: Path, keeper: object) -> Piped:
        """A text like any other, so that messages and reports say the name."""
        piped = super().__new__(cls, STDIN)
        piped.path, piped.keeper = path, keeper
        return piped


def file_of(source: str | os.PathLike[str]) -> Path:
    """Where the model that ``source`` names is."""
    return source.path if isinstance(source, Piped) else Path(source)


def open_regular(path: Path, source: str) -> BinaryIO:
    """Open a file for reading, but only a regular one: opening a pipe would wait for ever.

    Raises:
        LoadError: The file is missing, unreadable, or not a regular file.
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LoadError(f"{source}: cannot be opened: {reason}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise LoadError(f"{source}: cannot be opened: it is a pipe or device, not a file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def regular_size(path: Path) -> int | None:
    """Size of a regular file in bytes; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read_all(file: BinaryIO, source: str) -> bytes:
    """All of a regular file that is to be parsed as a whole, unless no parser should be given so much.

    Raises:
        LoadError: The file is too large.
    """
    size = os.fstat(file.fileno()).st_size
    if size > _MOST_BYTES:
        raise LoadError(f"{source}: has {size} bytes; text is read up to {_MOST_BYTES}")
    return file.read(_MOST_BYTES)


def read_text(path: Path) -> str:
    """All of a regular file in UTF-8.

    Raises:
        LoadError: As ``open_regular`` does, or the text is not UTF-8.
    """
    with open_regular(path, str(path)) as file:
        try:
            return read_all(file, str(path)).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LoadError(f"{path}: cannot be read: {error}") from error
