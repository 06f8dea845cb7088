"""Which axis of a tensor is which, and what people call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from convaudit.formulas import Count
from convaudit.records import ConvLayer, Shape


class AxisName(NamedTuple):
    """What people call an axis, in full and in one letter."""

    name: str
    letter: str


BATCH, CHANNELS = AxisName("batch", "N"), AxisName("channels", "C")
_SPATIAL = {
    1: (AxisName("length", "L"),),
    2: (AxisName("height", "H"), AxisName("width", "W")),
    3: (AxisName("depth", "D"), AxisName("height", "H"), AxisName("width", "W")),
}


def spatial_names(rank: int) -> tuple[AxisName, ...]:
    """Names of the spatial axes, by how many there are."""
    return _SPATIAL.get(rank) or tuple(AxisName(f"axis {axis}", f"X{axis}") for axis in range(1, rank + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisSizes:
    """A tensor's sizes by what they are of; None where one is unknown."""

    batch: tuple[Count | None, ...]  # none: no batch
    channels: Count | None
    spatial: tuple[Count | None, ...]


def axis_sizes(shape: Shape | None, layer: ConvLayer) -> AxisSizes | None:
    """The sizes of the layer's input or output; None where its shape or the kernel's rank is unknown.

    Args:
        shape: As the model stores it.
        layer: Whose layout and kernel tell which axis is which.
    """
    if shape is None or layer.kernel_size is None or len(shape) <= len(layer.kernel_size):
        return None
    axes, rank = list(shape), len(layer.kernel_size)
    channels = axes.pop(-1 if layer.layout == "channels_last" else -1 - rank)
    first = len(axes) - rank
    return AxisSizes(batch=tuple(axes[:first]), channels=channels, spatial=tuple(axes[first:]))
