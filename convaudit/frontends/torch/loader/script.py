"""Checks the code in a TorchScript archive before torch reads it.

torch compiles that code and runs parts of it while it loads (``__setstate__``), and its interpreter has
operators that write and read files. Every one is named in the code in one way, as torch prints it, so the
text shows which are called, wherever they stand: in methods, functions, hooks, interfaces, branches, loops.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from convaudit.errors import LoadError
from convaudit.frontends.torch.loader.operators import PACKED_CLASSES, is_operator, refused_names

_STRING = re.compile(r'"((?:\\.|[^"\\\n])*)"')
_JOINED = re.compile(r"\0\s*\0")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPERATOR = re.compile(r"(?<![\w.])ops\b(?:\.(\w+)\.(\w+))?", re.ASCII)
_CLASS = re.compile(r"torch[.\s]+classes\b(?:[.\s]+(\w+))?", re.ASCII)
_SPLIT_PATH = re.compile(r"__torch__(?:\.\w+)*?(?:(?<=__torch__)|(?<=\.torch))(?![\w.])", re.ASCII)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2}))")


def check_code(source: str, archive: zipfile.ZipFile) -> bool:
    """Refuse TorchScript that could do more than compute; whether it needs torchvision's operators.

    Raises:
        LoadError: Naming the operator or class.
    """
    uses_torchvision = False
    for member in archive.namelist():
        kind, _, inner = member.casefold().partition("/")[2].rpartition(".")
        if inner == "py":
            text = archive.read(member).decode("latin-1")
            uses_torchvision |= "ops.torchvision." in text
            _check_text(text, f"{source}: {member}")
        elif inner == "pkl":
            _check_classes(archive.read(member).decode("latin-1"), f"{source}: {member}")
        elif (kind, inner) == ("model", "json"):
            raise LoadError(f"{source}: TorchScript of before torch 1.4; load it and save it again")
    return uses_torchvision


def _check_text(text: str, who: str) -> None:
    code = _STRING.sub("\0", text)
    # torch takes three quotes for one that spans others, and joins texts that stand side by side
    hides = '"""' in text or "\0" in text or _JOINED.search(code)
    if hides or any(mark in code for mark in "'\"#\\") or _SPLIT_PATH.search(code):
        raise LoadError(f"{who}: its code is written in a way that torch never writes; refused")
    _check_classes(code, who)
    for name in _refused(code, set(map(_unescaped, _STRING.findall(text)))):
        raise LoadError(f"{who}: its code calls {name}, which may do more than compute; refused")


def _refused(code: str, strings: set[str]) -> Iterator[str]:
    names = set(_NAME.findall(code))
    if "getattr" in names:
        names |= strings
    yield from sorted(names & refused_names())
    for namespace, name in dict.fromkeys(match.groups() for match in _OPERATOR.finditer(code)):
        if namespace is None:
            yield "an operator in a way that torch never writes"
        elif not is_operator(namespace, name):
            yield f"{namespace}::{name}"


def _check_classes(text: str, who: str) -> None:
    for match in _CLASS.finditer(text):
        if match[1] not in PACKED_CLASSES:
            raise LoadError(f"{who}: uses {match[0]!r}, a class that is not known to be harmless; refused")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8) if match[1] else int(match[2], 16)), text)
