"""Plausible sizes for dimensions of which only the names are known, and where they stand.

Nobody's sizes are known here: what is shown at them names them. A formula is never shown by a term of it,
which may be wrong by any factor at the sizes that people use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import lcm

from convaudit.formulas.polynomial import Formula
from convaudit.formulas.values import divisors_of

_WORDS = (
    ("batch", r"batch.*|b|n|bs|num|.*dim_?0|.*dimension\.0"),
    ("time", r"(seq|sentence|token|text|src|tgt|source|target|time|frame|past|context).*|t|l|len|length"),
    ("samples", r"(sample|audio|signal|wave|pcm).*"),
    ("image", r".*(height|width|image|img).*|h|w|size|s"),
    ("volume", r"d|depth"),
)
"""What a dimension is, as its name tells."""
_SIZES = {"batch": 1, "time": 128, "samples": 16_000, "image": 224, "volume": 32, "other": 64}
_BY_AXIS = {
    3: ("batch", "other", "samples"),
    4: ("batch", "other", "image", "image"),
    5: ("batch", "other", "volume", "image", "image"),
}
"""What the axes of an input are that a convolution may read, by their number."""
_LARGEST_STRIDE = 2048
LONGEST_FACTOR = 12
"""Letters of a dimension of which a number is shown as a multiple: ``118 M*batch``."""


def role_of(name: str) -> str | None:
    """What a dimension is, as far as its name tells.

    >>> role_of("batch_size"), role_of("H"), role_of("x_dim2")
    ('batch', 'image', None)
    """
    word = name.strip().lower()
    last = re.split(r"[^a-z0-9]", word)[-1]
    for role, words in _WORDS:
        if re.fullmatch(words, word) or re.fullmatch(words, last):
            return role
    return None


def role_of_axis(axis: int, rank: int) -> str:
    """What a dimension is, as far as its place in an input with ``rank`` axes tells."""
    roles = _BY_AXIS.get(rank, ("batch",))
    return roles[axis] if axis < len(roles) else "other"


def strides_of(formulas: Iterable[Formula]) -> dict[str, int]:
    """What each dimension is divided by, all together, as far as that is a plausible stride."""
    strides: dict[str, int] = {}
    for formula in formulas:
        for name, divisors in divisors_of(formula).items():
            together = lcm(strides.get(name, 1), *divisors)
            if together <= _LARGEST_STRIDE:
                strides[name] = together
    return strides


def example_size(role: str, stride: int = 1) -> int:
    """A usual size of such a dimension, or the next multiple of a stride."""
    return -(-_SIZES[role] // stride) * stride


def example_sizes(formula: Formula) -> dict[str, int]:
    """Sizes to show a formula at of which nothing else is known.

    >>> from convaudit.formulas import parse
    >>> example_sizes(parse("5*N*floor(H/9)*W"))
    {'H': 225, 'N': 1, 'W': 224}
    """
    strides = strides_of([formula])
    return {
        name: example_size(role_of(name) or "other", strides.get(name, 1)) for name in sorted(formula.symbols)
    }


def sizes_text(sizes: Mapping[str, int], names: Sequence[str] | None = None) -> str:
    """``batch=1, H=224, W=224``."""
    return ", ".join(f"{name}={sizes[name]}" for name in (sizes if names is None else names))


def factor_of(formula: Formula) -> tuple[int, str] | None:
    """``(18, "batch")`` of ``18*batch``; None of a formula that is not a multiple of one dimension.

    A dimension with a long name is none to show multiples of.
    """
    if len(formula.terms) != 1:
        return None
    monomial, coefficient = formula.terms[0]
    if len(monomial) != 1 or not isinstance(monomial[0], str) or len(monomial[0]) > LONGEST_FACTOR:
        return None
    return coefficient, monomial[0]
