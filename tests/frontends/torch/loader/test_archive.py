"""A torch archive's directory: bombs and ambiguity are refused before anything is inflated."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from convaudit.errors import LoadError
from convaudit.frontends.torch.loader.archive import open_archive

MEMBERS = {"net/data.pkl": b"0123456789", "net/code/x.py": b"pass\n" * 10, "net/version": b"3"}


def archive(members: dict[str, bytes] = MEMBERS, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as writer:
        for name, content in members.items():
            writer.writestr(name, content)
    return buffer.getvalue()


def large(members: dict[str, bytes], misplaced: int = 0) -> bytes:
    """An archive whose end and whose members have 64-bit records, as those above 4 GB do."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        for name, content in members.items():
            with writer.open(name, "w", force_zip64=True) as file:
                file.write(content)
    content = buffer.getvalue()
    directory, offset = struct.unpack("<II", content[-10:-2])
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, len(members), len(members), directory, offset
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(content) - 22 + misplaced, 1)
    return content[:-22] + record + locator + content[-22:]


def duplicated() -> bytes:
    content = archive({"net/a": b"1", "net/b": b"2"})
    return content.replace(b"net/b", b"net/a")


def changed(old: bytes, new: bytes, *, last: bool = False) -> Callable[[], bytes]:
    def change() -> bytes:
        content = archive()
        place = content.rindex(old) if last else content.index(old)
        return content[:place] + new + content[place + len(old) :]

    return change


def directory_entry_field(offset: int, new: bytes) -> Callable[[], bytes]:
    """The archive with ``new`` at ``offset`` of the last member's entry in the directory."""

    def change() -> bytes:
        content = archive()
        place = content.rindex(b"PK\1\2") + offset
        return content[:place] + new + content[place + len(new) :]

    return change


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(archive(), id="stored"),
        pytest.param(archive(method=zipfile.ZIP_DEFLATED), id="deflated"),
        pytest.param(large(MEMBERS), id="64-bit"),
    ],
)
def test_opens_what_is_in_order(content: bytes) -> None:
    opened = open_archive(io.BytesIO(content), "net.pt")
    assert {name: opened.read(name) for name in opened.namelist()} == MEMBERS


BAD = [
    pytest.param(
        lambda: archive({"net/data.pkl": bytes(2**26)}, zipfile.ZIP_DEFLATED), r"a zip bomb", id="bomb"
    ),
    pytest.param(
        lambda: archive({f"net/{i}": bytes(2**21) for i in range(20)}, zipfile.ZIP_DEFLATED),
        r"a zip bomb",
        id="bomb-in-pieces",
    ),
    pytest.param(lambda: archive(method=zipfile.ZIP_BZIP2), r"is not packed as torch packs", id="bzip2"),
    pytest.param(duplicated, r"'net/a' is there twice", id="duplicate"),
    pytest.param(
        lambda: archive({"net/a": b"1", "net/A": b"2"}), r"'net/A' is there twice", id="differ-by-case"
    ),
    pytest.param(lambda: archive({"a": b""}), r"is not inside the archive's folder", id="no-folder"),
    pytest.param(lambda: archive({"/a/b": b""}), r"is not inside the archive's folder", id="absolute"),
    pytest.param(lambda: archive({"a/../b": b""}), r"is not inside the archive's folder", id="parent"),
    pytest.param(
        lambda: archive({"a/b": b"", "c/d": b""}), r"has several folders: a, c", id="several-folders"
    ),
    pytest.param(lambda: b"#!/bin/sh\n" + archive(), r"out of place", id="something-before"),
    pytest.param(lambda: archive() + b"!", r"is not where the archive's end says", id="something-behind"),
    pytest.param(
        changed(b"net/version", b"net/VERSION"), r"its two headers disagree", id="other-name-in-the-header"
    ),
    pytest.param(directory_entry_field(42, bytes(4)), r"overlaps another one", id="overlap"),
    pytest.param(directory_entry_field(8, b"\1"), r"is not packed as torch packs", id="encrypted"),
    pytest.param(directory_entry_field(20, b"\2\0\0\0\2"), r"disagree", id="other-size-in-the-header"),
    pytest.param(directory_entry_field(24, b"\2"), r"it has two different sizes", id="two-sizes"),
    pytest.param(
        lambda: large(MEMBERS, misplaced=1), r"is not where the archive's end says", id="64-bit"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD)
def test_refuses(content: Callable[[], bytes], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        open_archive(io.BytesIO(content()), "net.pt")


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convaudit.frontends.torch.loader.archive._MOST_MEMBERS", 2)
    with pytest.raises(LoadError, match="3 members, more than the 2 that are read"):
        open_archive(io.BytesIO(archive()), "net.pt")


def test_a_directory_that_cannot_be_read_is_no_archive() -> None:
    content = archive().replace(b"net/version", b"\xff\xff\xff/\xff\xff\xff\xff\xff\xff\xff")
    place = content.rindex(b"PK\1\2") + 8
    content = content[:place] + b"\0\x08" + content[place + 2 :]  # says that the name is UTF-8
    with pytest.raises(zipfile.BadZipFile, match="decode"):
        open_archive(io.BytesIO(content), "net.pt")
