"""What callers pass, read once into plain Python values: integers, sizes of dimensions, inputs.

NumPy's and torch's integers become Python's, which cannot overflow; what is not an integer is refused, where
``int()`` would cut it. The command line and settings files write inputs as text, which is read here as well.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from convaudit.errors import ShapeError, UsageError

if TYPE_CHECKING:
    from convaudit.formulas import Count

LARGEST_TENSOR = 2**48
"""Elements. More than any memory holds; shape inference's 64-bit products wrap where files claim more."""

DTYPES = (
    *("float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool", "str"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
"""Element types that an input can be given."""

Number: TypeAlias = bool | int | float

_SIZES = re.compile(r"\d{1,18}(?:[x,]\d{1,18})*", re.A)
_REAL = r"(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})(?:e[+-]?\d{1,3})?"
_VALUE = re.compile(rf"true|false|-?{_REAL}", re.A | re.I)
_INPUT = re.compile(r"(?:(shape|value):)?([^:]*)(?::(\w+))?", re.S)


def whole(value: Any, what: str, *, least: int | None = 0, most: int | None = None) -> int:
    """``value`` as a Python integer.

    Args:
        value: An integer of any library, for instance ``np.int64(3)``.
        what: Names the argument in the message.
        least: The smallest that is allowed; None allows every integer.
        most: The largest that is allowed.

    Raises:
        UsageError: It is not an integer, or out of range. A bool is not an integer here.
    """
    kind = {None: "an integer", 0: "a non-negative integer", 1: "a positive integer"}.get(
        least, f"an integer of at least {least}"
    )
    flag = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    try:
        number = None if flag else operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        raise UsageError(f"{what} must be {kind}, got {value!r:.100}")
    if most is not None and number > most:
        raise UsageError(f"{what} must be at most {most}, got {number}")
    return number


def flag(value: Any, what: str) -> bool:
    """``value``, or NumPy's, as a Python bool.

    Raises:
        UsageError: It is neither True nor False; text such as "False" would count as true.
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise UsageError(f"{what} must be True or False, got {value!r:.100}")
    return bool(value)


@dataclass(frozen=True, slots=True)
class GivenInput:
    """What a caller says of one input.

    With both a shape of one size and a value, as ``16000`` has, it is the number of an input's axes that
    tells which is meant: see ``resolved``.
    """

    shape: tuple[int, ...] | None  # None: not said
    dtype: str | None = None
    value: Number | None = None  # of a scalar, or of every element
    open_shape: tuple[Count, ...] | None = None  # in place of a shape: sizes with names of the caller's own

    def __str__(self) -> str:
        size = "" if self.shape is None else "x".join(map(str, self.shape)) or "scalar"
        if self.open_shape is not None:
            size = ",".join(str(part).replace(" ", "") for part in self.open_shape)
        text = size or str(self.value)
        return f"{text}:{self.dtype}" if self.dtype else text

    def checked(self, dtype: str, what: str) -> Number | None:
        """The value as an element of a type.

        Raises:
            UsageError: That type does not have it.
        """
        value, kind = self.value, dtype.rstrip("0123456789")
        if value is None:
            return None
        if dtype == "bool" and value in (0, 1):
            return bool(value)
        if kind in ("int", "uint") and isinstance(value, int) and not isinstance(value, bool):
            bits = int(dtype.removeprefix(kind))
            least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind == "int" else (0, 2**bits - 1)
            return whole(value, what, least=least, most=most)
        if kind.startswith(("float", "bfloat", "complex")) and not isinstance(value, bool):
            return float(value)
        raise UsageError(f"{what} is {dtype}, which cannot be {str(value).lower()}; give it with --data")

    def resolved(self, rank: int | None, name: str) -> GivenInput:
        """The same without a doubt, for an input with so many axes; ``rank`` is None if nobody knows.

        Raises:
            UsageError: It may be a size or a value, and the rank is not known.
        """
        if self.open_shape is not None:
            return self
        if self.shape is None:
            return replace(self, shape=()) if rank is None else self
        if self.value is None:
            return self
        if rank is None:
            option = f"{name}=" if name else ""
            raise UsageError(
                f"{option}{self} may be the size of an input with one axis or the value of a scalar; "
                f"write {option}shape:{self} or {option}value:{self}"
            )
        return replace(self, shape=()) if rank == 0 else replace(self, value=None)


Given: TypeAlias = tuple[GivenInput, ...] | dict[str, GivenInput]
"""Inputs in order, or by name."""


def read_input(text: str) -> tuple[str, GivenInput]:
    """One input as the command line writes it; without a name the name is empty.

    >>> read_input("ids=1x20:int64")
    ('ids', GivenInput(shape=(1, 20), dtype='int64', value=None, open_shape=None))
    >>> read_input("sr=value:16000")
    ('sr', GivenInput(shape=None, dtype=None, value=16000, open_shape=None))
    >>> str(read_input("x=batch,3,32*h,W")[1])
    'batch,3,32*h,W'

    Raises:
        UsageError: The text is not an input's shape or value.
    """
    name, _, given = text.rpartition("=")
    match = _INPUT.fullmatch(given)
    kind, body, dtype = match.groups() if match else (None, "", None)
    shape = _read_sizes(body) if kind != "value" else None
    too_long = kind is None and shape is None and body.isdigit()
    value = _read_value(body) if kind != "shape" and not too_long else None
    by_name = "," in body or (kind == "shape" and body != "scalar")
    named = _read_named(body) if shape is None and kind != "value" and by_name else None
    if shape is None and value is None and named is None:
        raise UsageError(
            f"{text!r:.200} is not an input; write it as 1x3x224x224 or NAME=1x3x224x224, with a type as "
            "NAME=1x20:int64, a scalar's value as NAME=16000, and sizes with names, of a torch module, with "
            "commas: NAME=batch,3,H,W"
        )
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"{text!r:.200}: unknown element type {dtype!r}; write one of {', '.join(DTYPES)}")
    return name, checked_input(GivenInput(shape, dtype, value, named), repr(text))


def given_inputs(given: Any) -> Given | None:
    """Whatever ``input_shape=`` may be: one shape, several in a list, or by name; each also as text.

    >>> given_inputs((1, 3, 224, 224))
    (GivenInput(shape=(1, 3, 224, 224), dtype=None, value=None, open_shape=None),)

    Raises:
        UsageError: A size is not a non-negative integer, or there is no shape at all in it.
        ShapeError: No memory holds such a tensor.
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return inputs_by_name(given)
    if isinstance(given, str):
        given = [given]
    several = list(given) if is_several(given) else None
    if several and all(isinstance(one, str) and _names_size(one) for one in several):
        return (_one(given, "input_shape"),)
    if not several or not all(isinstance(one, str | GivenInput) or is_several(one) for one in several):
        return (_one(given, "input_shape"),)
    pairs = [read_input(one) if isinstance(one, str) else ("", _one(one, "input_shape")) for one in several]
    return named_or_in_order(pairs, "input_shape")


def named_or_in_order(pairs: Sequence[tuple[str, GivenInput]], what: str) -> Given:
    """Inputs with their names, all of which are empty if they are given in order.

    Raises:
        UsageError: Only some have a name, or one name comes twice.
    """
    if not any(name for name, _ in pairs):
        return tuple(one for _, one in pairs)
    if not all(name for name, _ in pairs):
        raise UsageError(f"{what}: name every input, or none")
    return unique(pairs, what)


def inputs_by_name(given: Mapping[Any, Any]) -> dict[str, GivenInput]:
    """A mapping's inputs; raises as ``given_inputs`` does."""
    return {_text(name, "input_shape"): _one(one, f"input_shape[{name!r}]") for name, one in given.items()}


def given_dims(dims: Any) -> dict[str, int]:
    """Sizes of dimensions by name.

    Raises:
        UsageError: ``dims`` is not a mapping of names to non-negative integers.
    """
    if dims is None:
        return {}
    if not isinstance(dims, Mapping):
        raise UsageError(f"dims must be sizes by name such as {{'batch': 1}}, got {dims!r:.100}")
    return {_text(name, "dims"): whole(size, f"dims[{name!r}]") for name, size in dims.items()}


def unique(pairs: Iterable[tuple[str, Any]], what: str) -> dict[str, Any]:
    """The pairs by name.

    Raises:
        UsageError: One name comes twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UsageError(f"{what} is given twice for {name!r}")
        found[name] = value
    return found


def _one(given: Any, what: str) -> GivenInput:
    if isinstance(given, GivenInput):
        return given
    if isinstance(given, str):
        name, one = read_input(given)
        if name:
            raise UsageError(f"{what}: {given!r:.200} names an input itself; leave out one of the names")
        return one
    if isinstance(given, float | bool):
        return checked_input(GivenInput(None, value=given), what)
    if not is_several(given):
        size = whole(given, what, least=None)
        return GivenInput((size,) if size >= 0 else None, value=size)
    parts = list(given)
    if any(isinstance(part, str) for part in parts):
        return GivenInput(None, open_shape=tuple(_named_or_number(part, what) for part in parts))
    sizes = tuple(whole(size, f"each size in {what}") for size in parts)
    return checked_input(GivenInput(sizes), what)


def _named_or_number(size: Any, what: str) -> Count:
    if not isinstance(size, str):
        return whole(size, f"each size in {what}")
    from convaudit.named_sizes import named_size

    return named_size(size, what)


def _names_size(text: str) -> bool:
    from convaudit.named_sizes import is_size_name

    return is_size_name(text)


def _read_named(text: str) -> tuple[Count, ...] | None:
    """``batch,3,32*h,W``; None if it is not that."""
    from convaudit.named_sizes import named_size

    try:
        sizes = tuple(named_size(part.strip(), "") for part in text.split(","))
    except UsageError:
        return None
    return None if all(isinstance(size, int) for size in sizes) else sizes


def refuse_names(given: Any, who: str, instead: str) -> None:
    """Refuse sizes with names where there is nothing that they could mean.

    Raises:
        UsageError: There are some; it says what to do instead.
    """
    for one in given.values() if isinstance(given, Mapping) else given or ():
        if isinstance(one, GivenInput) and one.open_shape is not None:
            raise UsageError(f"{who}: {one} names sizes, which is for torch modules; {instead}")


def checked_input(given: GivenInput, what: str) -> GivenInput:
    """The same input, where its value is finite and a memory may hold it; raises as ``given_inputs`` does."""
    if given.value is not None and not isfinite(given.value):
        raise UsageError(f"{what}: {given.value} is not finite; give such input with --data (data=)")
    if given.value is None and prod(given.shape or ()) > LARGEST_TENSOR:
        raise ShapeError(f"{what}: no memory holds a tensor of {given}")
    return given


def _read_sizes(text: str) -> tuple[int, ...] | None:
    if text != "scalar" and not _SIZES.fullmatch(text):
        return None
    return tuple(int(size) for size in re.findall(r"\d+", text))


def _read_value(text: str) -> Number | None:
    if not _VALUE.fullmatch(text):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.lstrip("-").isdigit() else float(text)


def is_several(value: Any) -> TypeGuard[Iterable[Any]]:
    """Whether it is a sequence of things; text, and an array without axes, is one thing."""
    return (
        isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) != 0
    )


def _text(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise UsageError(f"{what}: {name!r:.100} is not a name; write it as text")
    return name
