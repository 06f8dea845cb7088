"""The layout of a weight of which the schema of an op says one thing, and its kernel another."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.formulas import Count, multiply
from convaudit.records import Shape


def channels_second(
    weight: Shape, kernel_shape: Sequence[int] | None, channels: Count | None, groups: int
) -> Shape | None:
    """``weight`` as (out, in/groups, *kernel), whichever of both layouts it is in.

    Args:
        weight: As it is stored: that, or (out, *kernel, in/groups).
        kernel_shape: The attribute, if it is there.
        channels: The input's.
        groups: Of the convolution.

    Returns:
        The shape; None where both layouts fit. Where none fits, as if the channels were last.
    """

    def fits(shape: Shape) -> bool:
        kernel_fits = kernel_shape is None or _agree(shape[2:], kernel_shape)
        return kernel_fits and _agree([multiply(shape[1], groups)], [channels])

    last = (weight[0], weight[-1], *weight[1:-1])
    fitting = [shape for shape in dict.fromkeys((last, weight)) if fits(shape)]
    if len(fitting) > 1:
        return None
    return fitting[0] if fitting else last


def _agree(sizes: Sequence[Count | None], others: Sequence[Count | None]) -> bool:
    """Whether two shapes may be the same one, as far as their sizes are known integers."""
    return len(sizes) == len(others) and all(
        one == other
        for one, other in zip(sizes, others, strict=True)
        if isinstance(one, int) and isinstance(other, int)
    )
