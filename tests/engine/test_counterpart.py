"""The weight of the ``groups=1`` counterpart."""

from __future__ import annotations

import numpy as np
import pytest

from convaudit.engine import dense_weight
from convaudit.errors import GroupsError, ShapeError


def test_dense_weight_is_block_diagonal():
    weight = np.arange(1, 9).reshape(4, 2, 1)
    assert dense_weight(weight, 2)[..., 0].tolist() == [
        [1, 2, 0, 0],
        [3, 4, 0, 0],
        [0, 0, 5, 6],
        [0, 0, 7, 8],
    ]


def test_one_group_is_dense_already():
    weight = np.arange(12.0).reshape(3, 4, 1)
    np.testing.assert_array_equal(dense_weight(weight, 1), weight)


def test_what_is_no_grouped_weight_is_refused():
    with pytest.raises(
        GroupsError, match="w: out_channels must be divisible by groups, got out_channels=3, groups=2"
    ):
        dense_weight(np.zeros((3, 1, 1)), 2, name="w")
    with pytest.raises(ShapeError, match=r"w: a weight is .*got \(3,\)"):
        dense_weight(np.zeros(3), 1, name="w")
