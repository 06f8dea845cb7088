"""Folders as sources: all model files in them, in one order."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NoReturn

from convaudit.errors import UsageError

MODEL_SUFFIXES = (".onnx", ".onnxtxt", ".onnxjson", ".pt2", ".pt", ".ts")
"""What files in a folder are taken for models; any other has to be named."""
MOST_MODELS = 10_000


def expanded(sources: Iterable[str]) -> tuple[str, ...]:
    """The sources, each folder among them replaced by the models in it and in its folders, sorted by path.

    A folder that links lead to again is entered once; what is hidden (``.git``, ``.venv``) is not looked at.

    Raises:
        UsageError: A folder has no model in it, or far too many, or one inside it cannot be read.
    """
    found: list[str] = []
    for source in sources:
        found += _models_in(source) if os.path.isdir(source) else [source]
    return tuple(found)


def _models_in(folder: str) -> list[str]:
    seen: set[tuple[int, int]] = set()
    models: list[str] = []
    for path, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        named = [name for name in files if name.lower().endswith(MODEL_SUFFIXES)]
        models += [os.path.join(path, name) for name in named if not name.startswith(".")]
        if len(models) > MOST_MODELS:
            raise UsageError(f"{folder!r} has more than {MOST_MODELS} models in it; name a folder inside it")
    if not models:
        raise UsageError(
            f"{folder!r} is a folder without models: no file in it ends in {', '.join(MODEL_SUFFIXES)}"
        )
    return sorted(models)


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"{error.filename}: cannot be looked into: {error.strerror}") from error
