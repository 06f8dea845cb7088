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
_NAMES = """
    Symbol Integer Float Rational Add Mul Pow Mod Max Min Abs floor ceiling Eq Ne Lt Le Gt Ge And Or Not
    Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan
    FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural
    FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt
    RoundDecimal ToFloat Identity
"""
_FUNCTIONS = frozenset(_NAMES.split())
_POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
_OPERATORS = ast.Add | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv | ast.Mod
_SYNTAX = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Constant,
    ast.Load, ast.operator, ast.unaryop, ast.cmpop,
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
    """Names, numbers, operators and calls of the functions above, nothing else that Python would run."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _SYNTAX) and _is_harmless(node) for node in nodes)


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            harmless = text.isidentifier()
        case ast.Constant(value=value):
            harmless = isinstance(value, int | float) and abs(value) < 2**63
        case ast.Call(func=ast.Name(id=name), args=[*_, last]) if name in _POWERS:
            harmless = _is_small(last)
        case ast.Call(func=ast.Name(id=name)):
            harmless = name in _FUNCTIONS
        case ast.BinOp(op=ast.Pow(), right=exponent):
            harmless = _is_small(exponent)
        case ast.BinOp(op=operator):
            harmless = isinstance(operator, _OPERATORS)
        case _:
            harmless = not isinstance(node, ast.Call)
    return harmless


def _is_small(exponent: ast.expr) -> bool:
    """Of a power that costs nothing to compute: 10**10**10 would never end."""
    match exponent:
        case ast.Call(func=ast.Name(id="Integer"), args=[argument]):
            return _is_small(argument)
        case ast.UnaryOp(operand=operand):
            return _is_small(operand)
        case _:
            return isinstance(exponent, ast.Constant) and exponent.value in range(17)
