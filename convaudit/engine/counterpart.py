"""The ``groups=1`` convolution that computes the same as a grouped one."""

from __future__ import annotations

import numpy as np

from convaudit.arguments import whole
from convaudit.engine.operands import Array, check_arrays
from convaudit.errors import ShapeError
from convaudit.shapes import check_groups


def dense_weight(weight: Array, groups: int, *, name: str = "weight") -> Array:
    """The block-diagonal weight with which ``groups=1`` gives what ``weight`` gives with ``groups``.

    weight   (C_out, C_in // groups, *kernel_size)
    Returns  (C_out, C_in, *kernel_size): ``groups`` times the elements, zero off the diagonal blocks.
    Raises   GroupsError if groups does not divide C_out; ShapeError if weight has no channel axes.
    """
    check_arrays(name, weight=weight)
    groups = whole(groups, f"{name}: groups", least=None)
    if weight.ndim < 2:
        raise ShapeError(f"{name}: a weight is (out, in/groups, *kernel), got {weight.shape}")
    out_channels, channels, *kernel = weight.shape
    check_groups(channels * groups, out_channels, groups, layer=name)
    dense = np.zeros((groups, out_channels // groups, groups, channels, *kernel), weight.dtype)
    block = np.arange(groups)
    dense[block, :, block] = weight.reshape(groups, -1, channels, *kernel)
    return dense.reshape(out_channels, groups * channels, *kernel)
