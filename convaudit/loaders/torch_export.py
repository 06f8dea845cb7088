"""Checks a ``.pt2`` archive before torch reads it.

``torch.export.load`` unpickles whatever the archive marks as pickled, evaluates dimension expressions as
Python, and resolves operators by attribute access from ``torch``. A model file is untrusted, so each of the
three is confined here to what ``torch.export.save`` writes for an ordinary model.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from convaudit.errors import LoadError

_TARGET = re.compile(
    r"torch\.ops\.\w+\.\w+(\.\w+)?|_operator\.[a-z_]+|math\.[a-z0-9]+|torch\.sym_\w+|#\w+:.*"
)
_FUNCTION = re.compile(r"[A-Z]\w*|ceiling|floor")
_EXPRESSION = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Load,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


def check_program(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an exported program whose loading would run code from the file.

    Raises  LoadError that names the member and what is wrong with it.
    """
    for name in archive.namelist():
        inner = PurePosixPath(name).parts[1:]
        if not inner:
            continue
        if name.endswith(".json"):
            try:
                _check_json(f"{path}: {name}", json.loads(archive.read(name)))
            except (ValueError, RecursionError) as error:
                raise LoadError(f"{path}: {name} is damaged: {error}") from error
        elif name.endswith(".pt"):
            _check_tensors_only(f"{path}: {name}", archive.read(name))
        elif inner[:2] == ("data", "constants") and not inner[-1].startswith("tensor_"):
            raise LoadError(
                f"{path}: {name} is a pickled object, and loading it would run code from the file"
            )


def _check_json(where: str, document: Any) -> None:
    for key, value in _members(document):
        if key == "use_pickle" and value:
            raise LoadError(f"{where}: has pickled tensors, and loading them would run code from the file")
        if key == "expr_str" and not _is_arithmetic(str(value)):
            raise LoadError(f"{where}: a dimension is given as {str(value)[:80]!r}, which is no arithmetic")
        if key == "target" and isinstance(value, str) and "." in value and not _TARGET.fullmatch(value):
            raise LoadError(f"{where}: calls {value[:80]!r}, which is no operator")


def _members(document: Any) -> Iterator[tuple[str, Any]]:
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item.items()
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _check_tensors_only(where: str, content: bytes) -> None:
    if not content:
        return
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise LoadError(f"{where}: holds more than tensors, and loading it would run code") from error


def _is_arithmetic(text: str) -> bool:
    """Names, numbers, operators, and calls of SymPy's functions; no attribute, subscript or string."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return (
        all(isinstance(node, _EXPRESSION) for node in nodes)
        and all(
            isinstance(node.func, ast.Name) and _FUNCTION.fullmatch(node.func.id) is not None
            for node in nodes
            if isinstance(node, ast.Call)
        )
        and all(isinstance(node.value, int | float) for node in nodes if isinstance(node, ast.Constant))
    )
