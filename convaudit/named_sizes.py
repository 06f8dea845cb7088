"""Sizes to which a caller gives names of his own: ``batch``, ``32*h``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from convaudit.errors import UsageError
from convaudit.formulas import Count, Formula, parse

_MOST_CHARACTERS = 100


def is_size_name(text: str) -> bool:
    """Whether it can be a name for a size, as ``batch`` can."""
    is_word = text.lower() in ("true", "false", "scalar")
    return text.isidentifier() and not is_word and len(text) <= _MOST_CHARACTERS


def named_size(text: str, what: str) -> Count:
    """A size as a number, a name, or a sum of products of both: ``224``, ``H``, ``32*h``.

    Args:
        text: How it is written.
        what: Names the argument in the message.

    Raises:
        UsageError: It is something else, or could be negative.
    """
    value = parse(text) if len(text) <= _MOST_CHARACTERS and re.fullmatch(r"[\w\s*+-]+", text) else None
    if isinstance(value, Formula):
        atoms = [atom for monomial, _ in value.terms for atom in monomial]
        named = all(isinstance(atom, str) and is_size_name(atom) for atom in atoms)
        if named and all(factor > 0 for monomial, factor in value.terms if monomial):
            return value
    elif value is not None and value >= 0:
        return value
    raise UsageError(
        f"{what}: {text!r:.200} is neither a size nor a name for one; write 224, H, or 32*h for a multiple"
    )


def names_in(sizes: Iterable[Count]) -> tuple[str, ...]:
    """The names in sizes that ``named_size`` made, each once, in the order in which they come."""
    formulas = [size for size in sizes if isinstance(size, Formula)]
    names = (str(atom) for formula in formulas for monomial, _ in formula.terms for atom in monomial)
    return tuple(dict.fromkeys(names))


def replaced(sizes: Sequence[Count], values: Mapping[str, int]) -> tuple[Count, ...]:
    """The sizes with names replaced by their values."""
    return tuple(size.substitute(values) if isinstance(size, Formula) else size for size in sizes)
