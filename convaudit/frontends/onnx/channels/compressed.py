"""Facts about a tensor as small arrays: an axis along which nothing differs has size 1.

So a fact about the channels of (N, C, H, W) is (1, C, 1, 1), and no open dimension is ever written out. A
fact about a tensor of unknown rank has no axes at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.formulas import Count
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.records import Shape

MOST_OF_A_FACT = 2**18
"""Of one fact; a larger one is given up: nothing constant, everything read."""


FEW_ELEMENTS = 2**13
"""Of one fact; larger ones must share ``MOST_OF_ALL_FACTS``."""
MOST_OF_ALL_FACTS = 2**26
_MOST_COMPARED = 2**24  # elements, to see along which axes they differ


def everywhere(shape: Shape | None, *, value: bool = True) -> Mask:
    """The mask that says the same of each element."""
    return np.full((1,) * len(shape or ()), value)


def is_about(array: NDArray[Any], shape: Shape | None) -> bool:
    """Whether a fact can be one about a tensor of that shape."""
    if shape is None:
        return array.ndim == 0
    return array.ndim == len(shape) and all(
        size in (1, count) for size, count in zip(array.shape, shape, strict=True)
    )


def squeezed(mask: Mask) -> Mask:
    """The same mask, with size 1 where nothing differs."""
    for axis, size in enumerate(mask.shape):
        if size > 1:
            first = mask.take([0], axis)
            if bool((mask == first).all()):
                mask = first
    return mask


def squeezed_known(known: KnownElements) -> KnownElements | None:
    """The same knowledge, with size 1 where nothing differs; None where there is none, or far too much."""
    if prod(np.broadcast_shapes(known.mask.shape, known.values.shape)) > _MOST_COMPARED:
        return None
    try:
        finite = np.isfinite(known.values) if known.values.dtype.kind in "fcV" else True
    except TypeError:  # integers of 4 bits and fewer
        return None
    mask, values = np.broadcast_arrays(known.mask & finite, known.values)
    if not mask.any():
        return None
    for axis, size in enumerate(mask.shape):
        if size > 1:
            first, value = mask.take([0], axis), values.take([0], axis)
            if bool((mask == first).all()) and bool(((values == value) | ~mask).all()):
                mask, values = first, value
    return KnownElements(mask, values)


def unbroadcast(mask: Mask, shape: Shape | None) -> Mask:
    """What is wanted of an operand that was broadcast, from what is wanted of the result.

    Args:
        mask: Of the result.
        shape: Of the operand.
    """
    if shape is None:
        return np.asarray(mask.any())
    if mask.ndim < len(shape):
        mask = mask.reshape((1,) * (len(shape) - mask.ndim) + mask.shape)
    mask = np.asarray(mask.any(axis=tuple(range(mask.ndim - len(shape)))))
    return any_along(mask, [axis for axis, size in enumerate(mask.shape) if size not in (1, shape[axis])])


def any_along(mask: Mask, axes: Sequence[int]) -> Mask:
    """The mask that is True all along these axes where it was so anywhere."""
    return np.asarray(mask.any(axis=tuple(axes), keepdims=True))


def check_size(*sizes: int) -> None:
    """Raise Unknown of a fact that would be too large: a file may claim any size."""
    if prod(sizes) > MOST_OF_A_FACT:
        raise Unknown


def uniform_along(known: KnownElements, axes: Sequence[int]) -> KnownElements:
    """What is known of elements that are the same all along these axes; of them these have size 1."""
    axes = tuple(axes)
    mask, values = np.broadcast_arrays(known.mask, known.values)
    one = values[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(values.ndim))]
    same = (values == one).all(axis=axes, keepdims=True)
    return KnownElements(np.asarray(mask.all(axis=axes, keepdims=True) & same), one)


def reshaped(array: NDArray[Any], before: Shape, after: Shape) -> NDArray[Any] | None:
    """A fact about a tensor as one about the tensor that was reshaped; None where it cannot be said."""
    parts = segments(before, after)
    expanded: list[int] = []
    sizes: list[int] = []
    for old, new in parts:
        if all(array.shape[axis] == 1 for axis in old):
            expanded += [1] * len(old)
            sizes += [1] * len(new)
            continue
        counts = [before[axis] for axis in old] + [after[axis] for axis in new]
        if not all(isinstance(count, int) for count in counts):
            return None
        expanded += [int(before[axis]) for axis in old]  # type: ignore[arg-type]
        sizes += [int(after[axis]) for axis in new]  # type: ignore[arg-type]
    if prod(expanded) > MOST_OF_A_FACT:
        return None
    return np.broadcast_to(array, expanded).reshape(sizes)


_Segment = tuple[tuple[int, ...], tuple[int, ...]]


def segments(before: Shape, after: Shape) -> list[_Segment]:
    """Axes before and after that hold the same elements, from both ends as far as sizes tell."""
    head = _matching(before, after)
    used = (sum(len(old) for old, _ in head), sum(len(new) for _, new in head))
    rest = (before[used[0] :], after[used[1] :])
    tail = [
        (
            tuple(sorted(len(before) - 1 - axis for axis in old)),
            tuple(sorted(len(after) - 1 - axis for axis in new)),
        )
        for old, new in _matching(rest[0][::-1], rest[1][::-1])
    ][::-1]
    ends = (
        len(before) - sum(len(old) for old, _ in tail),
        len(after) - sum(len(new) for _, new in tail),
    )
    middle = (tuple(range(used[0], ends[0])), tuple(range(used[1], ends[1])))
    return [*head, *([middle] if any(middle) else []), *tail]


def _matching(before: Shape, after: Shape) -> list[_Segment]:
    """Segments of equal size from the front, as far as they can be told."""
    found: list[_Segment] = []
    first = second = 0
    while first < len(before) and second < len(after):
        end, other = first + 1, second + 1
        if not _is_same(before[first], after[second]):
            size, wanted = before[first], after[second]
            while size != wanted:
                if not isinstance(size, int) or not isinstance(wanted, int) or 0 in (size, wanted):
                    return found
                grows = size < wanted
                if (end if grows else other) == len(before if grows else after):
                    return found
                factor = before[end] if grows else after[other]
                if not isinstance(factor, int):
                    return found
                size, wanted = (size * factor, wanted) if grows else (size, wanted * factor)
                end, other = (end + 1, other) if grows else (end, other + 1)
        found.append((tuple(range(first, end)), tuple(range(second, other))))
        first, second = end, other
    return found


def _is_same(size: Count | None, other: Count | None) -> bool:
    return size is not None and size == other
