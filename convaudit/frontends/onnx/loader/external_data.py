"""References to tensors' bytes: parsed, confined to the model's folder, and mapped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convaudit.errors import LoadError
from convaudit.files import open_regular

if TYPE_CHECKING:
    from onnx import TensorProto


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a tensor's bytes are: ONNX external data."""

    location: str  # relative to the model's folder, with forward slashes
    offset: int
    length: int | None  # None: up to the end of the file
    field: str  # the TensorProto field that the bytes would be in


def reference(tensor: TensorProto, source: str) -> Reference | None:
    """Reference to the tensor's bytes; None if they are in the tensor itself.

    Raises:
        LoadError: The location is missing or unsafe, or an offset or length is not a number.
    """
    if tensor.data_location != tensor.EXTERNAL:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    who = f"{source}: external data of {tensor.name!r}"
    if not all(isinstance(text, str) for text in (*entries, *entries.values())):
        raise LoadError(f"{who} is not valid UTF-8")
    location = entries.get("location", "")
    _check_location(location, who)
    return Reference(
        location=location,
        offset=_integer(entries.get("offset", "0"), "offset", who),
        length=_integer(entries["length"], "length", who) if "length" in entries else None,
        field=entries.get("field", "raw_data"),
    )


def confined_path(model: Path, location: str, source: str) -> Path:
    """Path of ``location`` beside ``model``, links resolved. The file need not exist.

    A cache may hold model and data elsewhere, each behind a link of its own, as that of the Hugging Face hub
    does: so the folder in which the model really is counts as well.

    Raises:
        LoadError: It is outside of both folders.
    """
    resolved = Path(os.path.realpath(model.parent / location))
    folders = os.path.realpath(model.parent), os.path.dirname(os.path.realpath(model))
    if not any(map(resolved.is_relative_to, folders)):
        raise LoadError(
            f"{source}: external data {location!r} is a link out of the model's folder; "
            "put the file itself beside the model"
        )
    return resolved


def map_bytes(path: Path, offset: int, length: int | None, who: str) -> np.ndarray:
    """Map bytes ``[offset, offset + length)`` of a file as a read-only uint8 array.

    Args:
        path: The file.
        offset: Where they start.
        length: How many they are; None: all up to the end.
        who: What error messages call them.

    Raises:
        LoadError: They are not all inside the file.
    """
    with open_regular(path, who) as file:
        size = os.fstat(file.fileno()).st_size
        length = size - offset if length is None else length
        if length < 0 or offset + length > size:
            raise LoadError(
                f"{who}: needs bytes {offset} to {offset + length} of {path.name}, which has {size}; "
                "truncated?"
            )
        if length == 0:
            return np.empty(0, np.uint8)
        return np.memmap(file, dtype=np.uint8, mode="r", offset=offset, shape=(length,))


def _check_location(location: str, who: str) -> None:
    parts = location.replace("\\", "/").split("/")
    if not location or "\0" in location:
        raise LoadError(f"{who} names no file (location={location!r})")
    if location.startswith(("/", "\\")) or ":" in parts[0] or ".." in parts:
        raise LoadError(f"{who} leaves the model's folder (location={location!r}); refused")


def _integer(text: str, name: str, who: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise LoadError(f"{who}: {name} must be a non-negative integer, got {text[:40]!r}")
    return int(text)
