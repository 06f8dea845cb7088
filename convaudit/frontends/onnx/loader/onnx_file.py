"""ONNX models, read as structure: the graph in memory, the weights left where they are.

``load_onnx`` accepts what ``onnx.load`` does: binary protobuf, and by its extension protobuf text, JSON and
ONNX text. External data are not opened, and need not be present; ``OnnxModel.array`` reads one tensor's
bytes when a verifier wants them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from convaudit.errors import LoadError
from convaudit.files import file_of, open_regular, read_all, regular_size
from convaudit.frontends.onnx.loader.checks import check_expansion, check_names
from convaudit.frontends.onnx.loader.external_data import confined_path, map_bytes, reference
from convaudit.frontends.onnx.loader.memory import IN_MEMORY, strip
from convaudit.frontends.onnx.loader.tensors import check_dims, decode, model_tensors
from convaudit.frontends.onnx.loader.text import parse_text, text_format
from convaudit.frontends.onnx.loader.wire import read_skeleton


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX model's structure, and the way to its weights."""

    proto: ModelProto  # large tensors are references: TensorProto.data_location is EXTERNAL
    source: str  # what the user named
    path: Path | None  # None: given in memory
    file_bytes: int | None  # of the file and its external data; None if some of it is not there
    in_memory: Sequence[TensorProto] = ()  # the large tensors of a model that is not a binary file

    def array(self, tensor: TensorProto) -> np.ndarray:
        """The tensor's elements; of a file, a read-only map of them where the element type allows.

        Raises:
            LoadError: The bytes are missing, truncated, outside the model's folder, or do not fit dims.
        """
        who = f"{self.source}: tensor {tensor.name!r}"
        where = reference(tensor, self.source)
        if where is None:
            return decode(tensor, None, "raw_data", who)
        if where.location == IN_MEMORY and where.offset < len(self.in_memory):
            return decode(self.in_memory[where.offset], None, "raw_data", who)
        if self.path is None:
            raise LoadError(
                f"{who} is in the external file {where.location!r}, but the model was given "
                "without its folder; pass the model's path"
            )
        data = map_bytes(self.data_path(where.location), where.offset, where.length, who)
        return decode(tensor, data, where.field, who)

    def data_path(self, location: str) -> Path:
        """The file that a reference's ``location`` means, which may be the model's own.

        Raises:
            LoadError: It is outside the model's folder.
        """
        if self.path is None:
            raise LoadError(f"{self.source}: was given without a folder; pass the model's path")
        if location == _own_location(self.path):
            return self.path
        return confined_path(self.path, location, self.source)


def load_onnx(source: str | os.PathLike[str] | ModelProto) -> OnnxModel:
    """Load a model's structure.

    Args:
        source: A file, or a model in memory, which is not changed, and whose weights are not copied.

    Raises:
        LoadError: It is not a readable and safe ONNX model.
    """
    large: list[TensorProto] = []
    if isinstance(source, ModelProto):
        name, path, own_bytes = "ModelProto", None, None
        try:
            proto = strip(source, large)
        except UnicodeDecodeError:  # in memory too, protobuf only notices when a text is written
            raise LoadError(f"{name}: damaged: a text in it is not valid UTF-8") from None
    else:
        name, path = str(os.fspath(source)), file_of(source)
        format_name = text_format(path)
        with open_regular(path, name) as file:
            own_bytes = os.fstat(file.fileno()).st_size
            if own_bytes == 0:
                raise LoadError(f"{name}: the file is empty")
            if format_name is None:
                proto = _read_binary(file, own_bytes, path, name)
            else:
                proto = strip(parse_text(read_all(file, name), format_name, name), large)
    if not proto.HasField("graph"):
        raise LoadError(f"{name}: not an ONNX model: it has no graph")
    check_names(proto, name)
    check_expansion(proto, name)
    external_bytes = _check_tensors(proto, path, name)
    file_bytes = None if own_bytes is None or external_bytes is None else own_bytes + external_bytes
    return OnnxModel(proto, name, path, file_bytes, large)


def _check_tensors(proto: ModelProto, path: Path | None, source: str) -> int | None:
    """Bytes of the external files; None if one of them is not there.

    Raises:
        LoadError: A tensor has a negative size, or its reference leaves the model's folder or the file that
            it names.
    """
    own = IN_MEMORY if path is None else _own_location(path)
    sizes: dict[str, int | None] = {}
    for tensor in model_tensors(proto):
        check_dims(tensor.dims, f"{source}: tensor {tensor.name!r}")
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        where = reference(tensor, source)
        if where is None or where.location in (own, IN_MEMORY) or path is None:
            continue
        if where.location not in sizes:
            sizes[where.location] = _size_beside(path, where.location, source)
        size = sizes[where.location]
        if size is not None and where.offset + (where.length or 0) > size:
            raise LoadError(
                f"{source}: tensor {tensor.name!r} needs bytes {where.offset} to "
                f"{where.offset + (where.length or 0)} of {where.location}, which has {size}; truncated?"
            )
    present = [size for size in sizes.values() if size is not None]
    return sum(present) if len(present) == len(sizes) else None


def _size_beside(path: Path, location: str, source: str) -> int | None:
    """Bytes of the file that ``location`` names; None if it is not there, or not to be read."""
    try:
        return regular_size(confined_path(path, location, source))
    except LoadError:
        return None  # accounting needs no weights; whoever wants them is refused


def _read_binary(file: BinaryIO, size: int, path: Path, source: str) -> ModelProto:
    _refuse_known_formats(file.read(64), source)
    skeleton = read_skeleton(file, size, _own_location(path), source)
    try:
        proto: ModelProto = ModelProto.FromString(skeleton)
    except DecodeError:
        raise LoadError(f"{source}: not an ONNX model, or a damaged one: protobuf cannot parse it") from None
    return proto


def _own_location(path: Path) -> str:
    """The reference location of what is in the model's own file; protobuf strings must be valid Unicode."""
    return path.name.encode(errors="replace").decode()


def _refuse_known_formats(start: bytes, source: str) -> None:
    for magic, offset, explanation in _KNOWN_FORMATS:
        if start[offset:].startswith(magic):
            raise LoadError(f"{source}: not an ONNX model but {explanation}")


_KNOWN_FORMATS = (
    (b"PK\x03\x04", 0, "a zip archive; a torch file needs the ending .pt, .pth or .pt2"),
    (b"version https://git-lfs", 0, "a Git LFS pointer; fetch the file itself with 'git lfs pull'"),
    (b"ORTM", 4, "an ONNX Runtime .ort file; audit the .onnx that it was made from"),
    (b"TFL3", 4, "a TensorFlow Lite model"),
)
