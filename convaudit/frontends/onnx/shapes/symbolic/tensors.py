"""What is known of a tensor: element type, shape, and the values of a small one, as formulas or numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from onnx import TensorProto

from convaudit.arguments import LARGEST_TENSOR
from convaudit.formulas import Count, Formula, is_equal, is_nonnegative, maximum, term_count
from convaudit.records import Shape

MOST_ELEMENTS = 1024  # of a value; a shape has a handful
_MOST_TERMS = 32
_MOST_FACTORS = 12
_MOST_PRODUCTS = 512
MOST_AXES = 64

INTEGERS = frozenset(
    {TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
)
FLOATS = frozenset({TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE})
NARROW: dict[int, int] = {
    TensorProto.INT8: 2**7,
    TensorProto.UINT8: 2**8,
    TensorProto.INT16: 2**15,
    TensorProto.UINT16: 2**16,
}


class Unknown(Exception):  # noqa: N818  # not an error: the rule does not know
    """Raised by a rule that cannot tell an output's shape."""


class Tensor(NamedTuple):
    """What is known of a tensor.

    Attributes:
        dtype: Element type as in TensorProto; 0 if unknown.
        shape: Sizes; None if not even the rank is known.
        value: Elements (``Element``), in an array of objects; None if they are unknown.
    """

    dtype: int = 0
    shape: Shape | None = None
    value: np.ndarray | None = None


Element = Any
"""A ``Count`` of an integer or Boolean tensor, a ``reals.Real`` of a floating one, None if unknown."""


def array(elements: Sequence[Element], shape: Sequence[int] | None = None) -> np.ndarray:
    """An array of objects; NumPy must not look into them."""
    result = np.empty(len(elements), dtype=object)
    for index, element in enumerate(elements):
        result[index] = element
    return result if shape is None else result.reshape(tuple(shape))


def mapped(function: Callable[..., Element], *operands: np.ndarray) -> np.ndarray:
    """An element-wise function of values, broadcast; an unknown element makes an unknown one."""
    together = np.broadcast_arrays(*operands) if len(operands) > 1 else operands
    if together[0].size > MOST_ELEMENTS:
        raise Unknown
    results = [
        None if any(element is None for element in elements) else function(*elements)
        for elements in zip(*(operand.ravel() for operand in together), strict=True)
    ]
    return array(results, together[0].shape)


def bounded(value: np.ndarray, dtype: int) -> np.ndarray:
    """The value, less elements that may not fit their type, or that would cost too much to calculate with."""
    if dtype not in INTEGERS:
        return value
    return mapped(lambda element: element if fits(element, dtype) else None, value)


def fits(element: Count, dtype: int = TensorProto.INT64) -> bool:
    """Whether a count is certainly within its type, and small enough to calculate with."""
    if isinstance(element, int):
        limit = NARROW.get(dtype, 2**31 if dtype in (TensorProto.INT32, TensorProto.UINT32) else 2**63)
        return bool(-limit <= element < limit)
    return dtype not in NARROW and is_small(element)


def is_small(count: Count) -> bool:
    """Whether a formula is one that arithmetic may go on with: a file must not make it grow without end."""
    if isinstance(count, int):
        return abs(count) < 2**63
    return term_count(count) <= _MOST_TERMS and all(
        len(monomial) <= _MOST_FACTORS and abs(coefficient) < 2**63 for monomial, coefficient in count.terms
    )


@overload
def times(left: Count, right: Count) -> Count: ...
@overload
def times(left: Count | None, right: Count | None) -> Count | None: ...
def times(left: Count | None, right: Count | None) -> Count | None:
    """The product, None if a factor is unknown; Unknown if it would be absurdly large."""
    if left is None or right is None:
        return None
    if term_count(left) * term_count(right) > _MOST_PRODUCTS:
        raise Unknown
    result = left * right
    if not is_small(result):
        raise Unknown
    return result


def elements(shape: Iterable[Count | None]) -> Count:
    """The number of elements; Unknown if a size is."""
    total: Count = 1
    for size in shape:
        if size is None:
            raise Unknown
        total = times(total, size)
    return total


def checked_shape(shape: Shape | None) -> Shape | None:
    """A shape without absurd sizes: negative ones, and those too large for any memory or for arithmetic.

    The product of all sizes has a bounded number of terms, so that whatever is counted from it is bounded.
    """
    if shape is None or len(shape) > MOST_AXES:
        return None
    sizes: list[Count | None] = []
    terms = 1
    for size in shape:
        fine = size is not None and is_small(size)
        if isinstance(size, int):
            fine = 0 <= size <= LARGEST_TENSOR
        terms *= len(size.terms) if fine and isinstance(size, Formula) else 1
        sizes.append(size if fine and terms <= _MOST_PRODUCTS else None)
    return tuple(sizes)


# --- sizes of which one must be the other's -----------------------------------------------------------------


def broadcast(*shapes: Shape | None) -> Shape | None:
    """Shape of an element-wise result; a size is unknown where it depends on which operand is longer."""
    if any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max(map(len, known))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in known]
    return tuple([_broadcast_sizes(sizes) for sizes in zip(*padded, strict=True)])


def _broadcast_sizes(sizes: Sequence[Count | None]) -> Count | None:
    """Sizes are equal or 1, so one that is not 1 is the result; else it is the largest."""
    others = [size for size in sizes if size is not None and size != 1]
    fixed = [size for size in others if isinstance(size, int)]
    if fixed:
        return fixed[0]
    longer = [size for size in others if is_at_least(size, 2)]
    if longer:
        return simplest(longer)
    if None in sizes:
        return None
    if all(is_equal(others[0], size) for size in others):
        return simplest(others) if others else 1
    if not all(is_at_least(size, 1) for size in others):
        return None  # of 0 and 1 the result is 0
    result = maximum(*others)
    return result if is_small(result) else None


def is_at_least(count: Count, least: int) -> bool:
    """Whether a count is proven to be at least ``least``."""
    return is_nonnegative(count - least)


def agreed(sizes: Iterable[Count | None]) -> Count | None:
    """The one size of several that an op demands to be equal; None if all are unknown."""
    known = [size for size in sizes if size is not None]
    fixed = [size for size in known if isinstance(size, int)]
    return fixed[0] if fixed else simplest(known) if known else None


def simplest(sizes: Sequence[Count]) -> Count:
    """The one that reads best of sizes that are equal whenever the model runs."""
    return min(sizes, key=lambda size: (term_count(size), len(str(size))))


def joined(first: Shape | None, second: Shape | None) -> Shape | None:
    """What two shapes have in common: a tensor that has the one or the other."""
    if first is None or second is None or len(first) != len(second):
        return None
    return tuple(
        [
            a if a is not None and b is not None and is_equal(a, b) else None
            for a, b in zip(first, second, strict=True)
        ]
    )
