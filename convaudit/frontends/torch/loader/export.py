"""Checks a ``.pt2`` archive before torch reads it.

``torch.export.load`` unpickles whatever the archive marks as pickled, evaluates dimension expressions as
Python, and resolves operators by attribute access from ``torch``. A model file is untrusted, so each of the
three is confined here to what ``torch.export.save`` writes for an ordinary model.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import torch

from convaudit.errors import LoadError
from convaudit.frontends.torch.loader.archive import open_archive
from convaudit.frontends.torch.loader.operators import is_target

_MEMBER = re.compile(
    r"""models/[^/]+\.json | data/(weights|constants)/[^/]+ | data/sample_inputs/[^/]+\.pt
    | archive_format | archive_version | version | byteorder | \.data/(version|serialization_id)
    | extra/.*""",
    re.X,
)
_NAMES = """
    Symbol Integer Float Rational Add Mul Pow Mod Max Min Abs floor ceiling Eq Ne Lt Le Gt Ge And Or Not
    Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan
    FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural
    FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt
    RoundDecimal ToFloat Identity
"""
_FUNCTIONS = frozenset(_NAMES.split())
_MOST_TEXT = 20_000
_MOST_WORK = 10_000
"""Most terms of one expression, where those under a power count as often as the power says."""
_PACKED = {"in_spec", "out_spec", "context"}
_FACTORY_MODULES = ("builtins", "collections")
_POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
_OPERATORS = ast.Add | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv | ast.Mod
_SYNTAX = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Constant,
    ast.Load, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


def check_program(source: str, archive: zipfile.ZipFile) -> bool:
    """Refuse an exported program whose loading would run code from the file; whether it needs torchvision.

    Raises:
        LoadError: Naming the member and what is wrong with it.
    """
    uses_torchvision = False
    for name in archive.namelist():
        inner = name.partition("/")[2]
        who = f"{source}: {name}"
        if inner.startswith("data/aotinductor/"):
            raise LoadError(f"{who}: a compiled model: machine code, which loading would run")
        if not _MEMBER.fullmatch(inner):
            raise LoadError(f"{who}: torch.export.save writes no such member; refused")
        if inner.endswith(".json"):
            try:
                document = json.loads(archive.read(name))
                uses_torchvision |= _check_json(who, document)
            except (ValueError, RecursionError) as error:
                raise LoadError(f"{who} is damaged: {error}") from error
        elif inner.endswith(".pt"):
            _check_tensors_only(who, archive.read(name))
        elif inner.startswith("data/constants/") and not inner.startswith("data/constants/tensor_"):
            raise LoadError(f"{who} is a pickled object, and loading it would run code from the file")
    return uses_torchvision


def _check_json(who: str, document: Any) -> bool:
    uses_torchvision = False
    for key, value in _members(document):
        if key == "use_pickle" and value:
            raise LoadError(f"{who}: has pickled tensors, and loading them would run code from the file")
        if key == "expr_str" and not _is_arithmetic(str(value)):
            raise LoadError(f"{who}: a dimension is given as {str(value)[:80]!r}, which is not arithmetic")
        if key == "__enum__" or (key == "default_factory_module" and value not in _FACTORY_MODULES):
            raise LoadError(f"{who}: its arguments are described by {key!r}, which imports a module; refused")
        if key == "target" and isinstance(value, str):
            if not is_target(value):
                raise LoadError(f"{who}: calls {value[:80]!r}, which is not an operator that only computes")
            uses_torchvision |= value.startswith("torch.ops.torchvision.")
    return uses_torchvision


def _members(document: Any) -> Iterator[tuple[str, Any]]:
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item.items()
            pending.extend(item.values())
            pending.extend(_unpacked(item[key]) for key in _PACKED & item.keys())
        elif isinstance(item, list):
            pending.extend(item)


def _unpacked(text: Any) -> Any:
    """JSON inside JSON, as trees of arguments are; None if it is none, which torch does not read either."""
    with contextlib.suppress(ValueError):
        return json.loads(text) if isinstance(text, str) else None


def _check_tensors_only(where: str, content: bytes) -> None:
    if not content:
        return
    with contextlib.suppress(zipfile.BadZipFile):  # a pickle alone has nothing to inflate
        open_archive(io.BytesIO(content), where)
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise LoadError(f"{where}: holds more than tensors, and loading it would run code") from error


def _is_arithmetic(text: str) -> bool:
    """Names, numbers, operators and calls of the functions above, nothing else, and not much of it."""
    if len(text) > _MOST_TEXT:
        return False
    try:
        tree = ast.parse(text, mode="eval")
        nodes = list(ast.walk(tree))
        return (
            all(isinstance(node, _SYNTAX) and _is_harmless(node) for node in nodes)
            and _work(tree.body) <= _MOST_WORK
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _work(node: ast.expr) -> int:
    """Terms that evaluating may make: powers multiply, and nested ones once more."""
    children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    work = 1 + sum(map(_work, children))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return work * _exponent(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _POWERS:
        return work * _exponent(node.args[-1])
    return work


def _exponent(node: ast.expr) -> int:
    """The number in ``16``, ``-16``, ``Integer(16)``; at least 1."""
    numbers = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
    return max([1, *(number for number in numbers if isinstance(number, int))])


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
    """Largest power that costs nothing to compute: 10**10**10 would never end."""
    match exponent:
        case ast.Call(func=ast.Name(id="Integer"), args=[argument]):
            return _is_small(argument)
        case ast.UnaryOp(operand=operand):
            return _is_small(operand)
        case _:
            return isinstance(exponent, ast.Constant) and exponent.value in range(17)
