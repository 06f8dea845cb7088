"""A torch archive's zip directory, checked before any member is inflated, so that all readers agree on it.

torch's reader and Python's are two programs. What one takes for harmless the other must not find to be
something else, so an archive has to be as torch writes them: from the file's first byte to its last, one
member behind the other, each where both its headers say, and no two of one name.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO

from convaudit.errors import LoadError

_MOST_MEMBERS = 200_000
_MOST_INFLATION = 20
"""How much larger than the file its contents may be. torch deflates nothing but code."""
_SLACK_BYTES = 2**24

_LOCAL = struct.Struct("<4s2xHHH2x4xIIHH")  # signature, flags, method, time; sizes; lengths of name and extra
_END = struct.Struct("<4s4xHHIIH")
_END64 = struct.Struct("<4s36xQQ")  # signature; size and place of the directory
_END64_LOCATOR = struct.Struct("<4s4xQ4x")


def open_archive(file: BinaryIO, source: str) -> zipfile.ZipFile:
    """The archive in ``file``, its directory checked.

    Raises:
        LoadError: It is damaged, ambiguous, or much larger inside than outside.
        BadZipFile: It is not a zip archive.
    """
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except zipfile.BadZipFile:
        raise
    except Exception as error:  # zipfile decodes and unpacks without looking first
        raise zipfile.BadZipFile(str(error)) from error
    _check_sizes(members, _size(file), source)
    _check_names(members, source)
    _check_layout(archive, file, source)
    return archive


def _check_sizes(members: list[zipfile.ZipInfo], file_bytes: int, source: str) -> None:
    if len(members) > _MOST_MEMBERS:
        raise LoadError(f"{source}: {len(members)} members, more than the {_MOST_MEMBERS} that are read")
    total = sum(member.file_size for member in members)
    if total > _MOST_INFLATION * file_bytes + _SLACK_BYTES:
        raise LoadError(
            f"{source}: {file_bytes} bytes that would inflate to {total}, more than {_MOST_INFLATION} "
            "times as many: a zip bomb"
        )
    for member in members:
        stored = member.compress_type == zipfile.ZIP_STORED
        if (not stored and member.compress_type != zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise LoadError(f"{source}: member {member.filename!r} is not packed as torch packs")
        if stored and member.file_size != member.compress_size:
            raise LoadError(f"{source}: member {member.filename!r} is damaged: it has two different sizes")


def _check_names(members: list[zipfile.ZipInfo], source: str) -> None:
    roots, seen = set(), set()
    for member in members:
        name = member.filename
        parts = PurePosixPath(name).parts
        if member.orig_filename != name or len(parts) < 2 or ".." in parts or parts[0] == "/":
            raise LoadError(f"{source}: member {name!r} is not inside the archive's folder")
        if name.casefold() in seen:  # torch's reader does not tell case
            raise LoadError(f"{source}: member {name!r} is there twice")
        seen.add(name.casefold())
        roots.add(parts[0])
    if len(roots) > 1:
        raise LoadError(f"{source}: the archive has several folders: {', '.join(sorted(roots)[:3])}")


def _check_layout(archive: zipfile.ZipFile, file: BinaryIO, source: str) -> None:
    end = 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        # torch aligns what follows with padding inside the header, so nothing lies between two members
        if member.header_offset < end or (end == 0 and member.header_offset != 0):
            raise LoadError(f"{source}: member {member.filename!r} overlaps another one, or is out of place")
        file.seek(member.header_offset)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size:
            raise LoadError(f"{source}: member {member.filename!r} is outside the file")
        signature, flags, method, _, packed, size, name_length, extra_length = _LOCAL.unpack(header)
        name = file.read(name_length)
        encoding = "utf-8" if member.flag_bits & 0x800 else "cp437"
        known = not flags & 8 and packed != 0xFFFFFFFF and size != 0xFFFFFFFF
        if (
            signature != b"PK\3\4"
            or method != member.compress_type
            or name != member.orig_filename.encode(encoding, "replace")
            or (known and (packed, size) != (member.compress_size, member.file_size))
        ):
            raise LoadError(f"{source}: member {member.filename!r} is damaged: its two headers disagree")
        end = member.header_offset + _LOCAL.size + name_length + extra_length + member.compress_size
    if end > archive.start_dir or not _ends_with_directory(archive, file):
        raise LoadError(f"{source}: its directory is not where the archive's end says it is")


def _ends_with_directory(archive: zipfile.ZipFile, file: BinaryIO) -> bool:
    """Whether the file's last bytes are the end record, which agrees with what Python took it for."""
    end = _size(file) - _END.size
    signature, _, entries, directory, offset, comment = _END.unpack(_read_at(file, end, _END.size))
    if signature != b"PK\5\6" or comment:
        return False
    locator, record = _END64_LOCATOR.unpack(_read_at(file, end - _END64_LOCATOR.size, _END64_LOCATOR.size))
    if locator == b"PK\6\7":
        end -= _END64_LOCATOR.size + _END64.size
        signature, directory, offset = _END64.unpack(_read_at(file, end, _END64.size))
        if signature != b"PK\6\6" or record != end:
            return False
    elif entries != len(archive.infolist()):
        return False
    return bool(offset == archive.start_dir and offset + directory == end)


def _read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(max(0, offset))
    return file.read(length).ljust(length, b"\0")


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)
