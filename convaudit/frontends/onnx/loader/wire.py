"""The skeleton of an ONNX file: everything but the bytes of its large tensors.

Protobuf's wire format says of every field how long it is, so a reader that knows which fields lead to a
``TensorProto`` can step over the weights without reading them. Here the data of each large tensor is replaced
by a reference (location, offset, length), which is what ONNX calls external data. The result is a small
serialised ``ModelProto``; a model costs memory by its graph, not by its weights.

Wire format: https://protobuf.dev/programming-guides/encoding. Field numbers: onnx.proto; a test compares the
tables below with the descriptors of the installed onnx.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from onnx import TensorProto

from convaudit.errors import LoadError

MAX_EMBEDDED_BYTES = 4096
"""Tensors up to this size stay where they are: shape inference reads the values of small ones."""

CHILDREN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
"""The fields that lead to a tensor, for every message that can contain one."""

DATA_FIELDS: dict[int, str] = {
    4: "float_data",
    5: "int32_data",
    7: "int64_data",
    9: "raw_data",
    10: "double_data",
    11: "uint64_data",
}
"""Fields of ``TensorProto`` with a tensor's elements."""

_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_EXTERNAL = 1
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10  # bytes
_MAX_HEAD = 2 * _MAX_VARINT  # a tag and a length

# Limits against files made to exhaust memory, stack or patience; real models stay far below them.
_MAX_DEPTH = 90  # protobuf itself stops at 100
_MAX_FIELDS = 10_000_000
_MAX_SKELETON_BYTES = 512 * 2**20


class _MalformedError(Exception):
    """The bytes are not a protobuf message; the text says why."""


def read_skeleton(file: BinaryIO, size: int, location: str, source: str) -> bytes:
    """Read a file's structure, and leave the bytes of its large tensors where they are.

    Args:
        file: The file.
        size: Its bytes.
        location: What references call the file; see ``external_reference``.
        source: What error messages call it.

    Returns:
        A serialised ``ModelProto`` with references for large tensors.

    Raises:
        LoadError: The bytes are truncated, are not protobuf, or exceed a limit.
    """
    try:
        return _Skeleton(file, location).message(0, size, "ModelProto", 0)
    except _MalformedError as error:
        raise LoadError(f"{source}: not an ONNX model, or a damaged one: {error}") from None


class _Skeleton:
    """One pass over one file.

    It reads, and does not map: touching one byte of a map brings the whole neighbourhood into memory.
    """

    def __init__(self, file: BinaryIO, location: str) -> None:
        self.file = file
        self.location = location
        self.fields_left = _MAX_FIELDS
        self.bytes_left = _MAX_SKELETON_BYTES

    def message(self, start: int, end: int, kind: str, depth: int) -> bytes:
        """The message at ``[start, end)`` with its large tensors replaced."""
        if kind == "TensorProto":
            return self.tensor(start, end)
        if depth > _MAX_DEPTH:
            raise _MalformedError(f"graphs are nested more than {_MAX_DEPTH} messages deep")
        children = CHILDREN[kind]
        parts: list[bytes] = []
        copied = position = start
        while position < end:
            number, value, after = self.field(position, end)
            # whatever is small, or holds no tensor, is copied as it is, in runs as long as possible
            if after - value > MAX_EMBEDDED_BYTES and number in children:
                parts.append(self.read(copied, position))
                parts.append(
                    length_delimited(number, self.message(value, after, children[number], depth + 1))
                )
                copied = after
            position = after
        parts.append(self.read(copied, end))
        return b"".join(parts)

    def tensor(self, start: int, end: int) -> bytes:
        """The tensor at ``[start, end)``, its data replaced if it is large and in one piece."""
        pieces: list[tuple[int, int, int, int]] = []  # of the data: number, field, value, end
        external = False
        position = start
        while position < end:
            number, value, after = self.field(position, end)
            if number in DATA_FIELDS:
                pieces.append((number, position, value, after))
            elif number == _DATA_LOCATION:
                external = self.read(value, after) == _varint(_EXTERNAL)
            position = after
        if len(pieces) != 1 or pieces[0][3] - pieces[0][2] <= MAX_EMBEDDED_BYTES:
            return self.read(start, end)
        number, field, value, after = pieces[0]
        around = self.read(start, field) + self.read(after, end)
        if external:
            return around  # its data are elsewhere already; ONNX says to ignore the ones here
        return around + external_reference(self.location, value, after - value, DATA_FIELDS[number])

    def field(self, position: int, end: int) -> tuple[int, int, int]:
        """Field number, and where its value starts and ends, of the field at ``position``.

        For a length-delimited field the value starts after the length.
        """
        self.fields_left -= 1
        if not self.fields_left:
            raise _MalformedError(f"more than {_MAX_FIELDS} fields")
        self.file.seek(position)
        head = self.file.read(min(_MAX_HEAD, end - position))
        tag, used = _read_varint(head, 0, position)
        wire_type = tag & 7
        if wire_type == _LENGTH:
            length, used = _read_varint(head, used, position)
        elif wire_type == _VARINT:
            length = _read_varint(head, used, position)[1] - used
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            length = -1
        if length < 0 or not tag >> 3:
            raise _MalformedError(f"no valid field at byte {position}")
        value = position + used
        if value + length > end:
            raise _MalformedError(
                f"the field at byte {position} ends {value + length - end} bytes too late; truncated?"
            )
        return tag >> 3, value, value + length

    def read(self, start: int, end: int) -> bytes:
        """The bytes ``[start, end)``, counted against the limit."""
        self.bytes_left -= end - start
        if self.bytes_left < 0:
            raise _MalformedError(f"more than {_MAX_SKELETON_BYTES} bytes besides the tensors")
        self.file.seek(start)
        data = self.file.read(end - start)
        if len(data) != end - start:
            raise _MalformedError("the file became shorter while it was read")
        return data


class Hole(NamedTuple):
    """Where the bytes of a large tensor belong in a file."""

    tensor: TensorProto
    size: int


def filled(skeleton: BinaryIO, size: int, size_of: Callable[[TensorProto], int]) -> list[bytes | Hole]:
    """What to write for a file without references: the inverse of ``read_skeleton``.

    Args:
        skeleton: A serialised ``ModelProto`` with references.
        size: Its bytes.
        size_of: Bytes that a referenced tensor has as ``raw_data``.

    Returns:
        Bytes of the file in their order, and between them a hole for the bytes of each such tensor.
    """
    return _Filled(skeleton, size_of).message(0, size, "ModelProto")


class _Filled:
    """One pass over one skeleton."""

    def __init__(self, skeleton: BinaryIO, size_of: Callable[[TensorProto], int]) -> None:
        self._file = _Skeleton(skeleton, "")
        self._size_of = size_of

    def message(self, start: int, end: int, kind: str) -> list[bytes | Hole]:
        if kind == "TensorProto":
            return self._tensor(self._file.read(start, end))
        children = CHILDREN[kind]
        parts: list[bytes | Hole] = []
        copied = position = start
        while position < end:
            number, value, after = self._file.field(position, end)
            if number in children:
                inner = self.message(value, after, children[number])
                if any(isinstance(part, Hole) for part in inner):
                    length = sum(part.size if isinstance(part, Hole) else len(part) for part in inner)
                    parts += [self._file.read(copied, position), _head(number, length), *inner]
                    copied = after
            position = after
        return [*parts, self._file.read(copied, end)]

    def _tensor(self, serialised: bytes) -> list[bytes | Hole]:
        tensor = TensorProto.FromString(serialised)
        if tensor.data_location != _EXTERNAL:
            return [serialised]
        bare = TensorProto()
        bare.CopyFrom(tensor)
        bare.ClearField("external_data")
        bare.ClearField("data_location")
        size = self._size_of(tensor)
        return [bare.SerializeToString() + _head(_RAW_DATA, size), Hole(tensor, size)]


def _head(number: int, length: int) -> bytes:
    """What stands before a field of so many bytes."""
    return _varint(number << 3 | _LENGTH) + _varint(length)


def _read_varint(head: bytes, index: int, position: int) -> tuple[int, int]:
    """The variable-length integer at ``head[index]``, and the index where it ends."""
    value = shift = 0
    for byte in head[index : index + _MAX_VARINT]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, index + shift // 7
    raise _MalformedError(f"no valid integer in the field at byte {position}; truncated?")


def external_reference(location: str, offset: int, length: int, field: str) -> bytes:
    """Serialised fields of a ``TensorProto`` which say that its data are elsewhere.

    ``field`` names the field that the bytes were in. For ``raw_data`` that is ONNX external data; for the
    others the key ``field`` tells ``OnnxModel.array`` how the elements are packed.
    """
    entries = {"location": location, "offset": str(offset), "length": str(length)}
    if field != "raw_data":
        entries["field"] = field
    text = b"".join(
        length_delimited(
            _EXTERNAL_DATA, length_delimited(1, key.encode()) + length_delimited(2, value.encode())
        )
        for key, value in entries.items()
    )
    return text + _varint(_DATA_LOCATION << 3 | _VARINT) + _varint(_EXTERNAL)


def length_delimited(number: int, value: bytes) -> bytes:
    """Serialised field of a message: tag, length, value."""
    return _head(number, len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
