"""The weight of the ``groups=1`` counterpart."""

from __future__ import annotations

import numpy as np
import pytest

from convaudit.engine import conv, conv_transpose, dense_weight
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


def test_beside_the_blocks_stands_what_integers_have_for_zero():
    dense = dense_weight(np.arange(1, 9).reshape(4, 2, 1), 2, fill=-1)
    assert dense[:, :, 0].tolist() == [[1, 2, -1, -1], [3, 4, -1, -1], [-1, -1, 5, 6], [-1, -1, 7, 8]]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [(3,), (3, 2), (1, 2, 3)], ids=str)
def test_it_computes_the_same(groups, kernel):
    generator = np.random.default_rng(0)
    x = generator.integers(-9, 9, (2, 8, *(5,) * len(kernel))).astype(np.float64)
    weight = generator.integers(-9, 9, (12, 8 // groups, *kernel)).astype(np.float64)
    dense = dense_weight(weight, groups)
    assert np.array_equal(conv(x, dense), conv(x, weight, groups=groups))
    weight = generator.integers(-9, 9, (8, 12 // groups, *kernel)).astype(np.float64)
    dense = dense_weight(weight, groups)
    assert np.array_equal(conv_transpose(x, dense), conv_transpose(x, weight, groups=groups))


def test_what_is_no_grouped_weight_is_refused():
    with pytest.raises(
        GroupsError, match="w: out_channels must be divisible by groups, got out_channels=3, groups=2"
    ):
        dense_weight(np.zeros((3, 1, 1)), 2, name="w")
    with pytest.raises(ShapeError, match=r"w: a weight is .*got \(3,\)"):
        dense_weight(np.zeros(3), 1, name="w")
