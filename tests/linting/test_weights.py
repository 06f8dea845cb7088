"""What one weight tells: each rule where it holds, and next to it where it does not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convaudit.linting.weights import examine
from convaudit.records.findings import Region
from tests.linting.layers import examined, layer_of, rules_of, weight


def test_nothing_is_found_in_a_dense_weight():
    facts = examined(weight(6, 4, 3, 3))
    assert facts.dense
    assert (facts.claims, facts.crops, facts.latent, facts.duplicates) == ((), {}, None, ())


def zeroed(shape, *places, **changed):
    array = weight(*shape, **changed)
    for place in places:
        array[place] = -0.0 if array.dtype.kind == "f" else 0
    return array


SIGNS = np.array([1, -1, 0, 2])
MIXED = [
    pytest.param(np.tile(SIGNS, (3, 1)), {}, True, id="all"),
    pytest.param(np.stack([SIGNS, abs(SIGNS), SIGNS]), {}, False, id="not-the-second"),
    pytest.param(np.stack([SIGNS, 0 * SIGNS, SIGNS]), {}, True, id="zeros"),
    pytest.param(np.tile(SIGNS, (3, 1)).T, {"transposed": True}, True, id="transposed"),
    pytest.param(np.tile(SIGNS, (3, 1)), {"transposed": True}, False, id="in-rows"),
]


@pytest.mark.parametrize(("numbers", "changed", "mixed"), MIXED)
def test_both_signs_in_each_filter_are_seen(numbers, changed, mixed):
    array = numbers.astype(np.float32)[:, :, np.newaxis, np.newaxis]
    assert examined(array, **changed).mixed is mixed


ZERO_FILTERS = [
    pytest.param(zeroed((6, 4, 3, 3), 1, 4), {}, (1, 4), id="dense"),
    pytest.param(zeroed((6, 4, 3), 5), {}, (5,), id="one-dimension"),
    pytest.param(zeroed((6, 4, 2, 3, 3), 0), {}, (0,), id="three-dimensions"),
    pytest.param(zeroed((6, 1, 3, 3), 2), {"groups": 6}, (2,), id="depthwise"),
    pytest.param(zeroed((6, 2, 1, 1), 3), {"groups": 2}, (3,), id="grouped"),
    pytest.param(zeroed((6, 4, 1, 1), np.s_[:, 2]), {"transposed": True}, (2,), id="transposed"),
    pytest.param(
        zeroed((6, 2, 1, 1), np.s_[3:, 1]),
        {"transposed": True, "groups": 2},
        (3,),
        id="transposed-grouped",
    ),
    pytest.param(zeroed((6, 4, 1, 1), 1, dtype=np.int32), {}, (1,), id="integers"),
    pytest.param(zeroed((6, 4, 1, 1), 1, dtype=ml_dtypes.bfloat16), {}, (1,), id="bfloat16"),
]


@pytest.mark.parametrize(("array", "changed", "channels"), ZERO_FILTERS)
def test_zero_filters_are_found(array, changed, channels):
    (claim,) = (claim for claim in examined(array, **changed).claims if claim.rule == "CA101")
    assert claim.channels == channels
    assert claim.regions == (Region(layer="conv", outputs=channels),)


def test_a_filter_beside_which_something_else_is_added_is_not_constant():
    array = zeroed((6, 4, 1, 1), 1, 2)
    assert rules_of(examine(layer_of(array), array, None)) == ["CA101"]
    assert rules_of(examine(layer_of(array), array, None, residual=True)) == []
    assert rules_of(examine(layer_of(array, bias=True), array, None)) == [], "its bias is computed"


def repeated(shape, *pairs):
    array = weight(*shape)
    for one, other in pairs:
        array[one] = array[other]
    return array


DUPLICATES = [
    pytest.param(repeated((6, 4, 3, 3), (5, 2)), {}, ((2, 5),), id="two"),
    pytest.param(repeated((6, 4, 1), (5, 0), (3, 0), (4, 1)), {}, ((0, 3, 5), (1, 4)), id="many"),
    pytest.param(repeated((6, 2, 1, 1), (5, 4), (3, 0)), {"groups": 2}, ((4, 5),), id="groups"),
    pytest.param(repeated((6, 1, 3, 3), (5, 4)), {"groups": 6}, (), id="depthwise"),
    pytest.param(
        repeated((6, 4, 3, 3), (np.s_[:, 3], np.s_[:, 1])), {"transposed": True}, ((1, 3),), id="transposed"
    ),
    pytest.param(zeroed((6, 4, 1, 1), 1, 2), {}, (), id="zero-filters"),
]


@pytest.mark.parametrize(("array", "changed", "classes"), DUPLICATES)
def test_duplicate_filters_are_found(array, changed, classes):
    facts = examined(array, **changed)
    again = tuple(sorted(channel for members in classes for channel in members[1:]))
    assert facts.duplicates == classes
    claims = [claim for claim in facts.claims if claim.rule == "CA104"]
    assert [claim.channels for claim in claims] == ([again] if again else [])


def test_filters_that_differ_in_one_bit_or_in_their_bias_are_not_duplicates():
    array = repeated((6, 40, 3, 3), (5, 2), (4, 1))
    array[5, 17, 1, 2] = np.nextafter(array[5, 17, 1, 2], np.float32(9))
    bias = np.zeros(6, np.float32)
    assert examined(array, bias).duplicates == ((1, 4),)
    bias[4] = 1
    assert examined(array, bias).duplicates == ()


def test_equal_integers_of_other_scales_are_not_duplicates():
    array = (repeated((6, 4, 1, 1), (5, 2), (4, 1)) * 1000).astype(np.int32)
    scale = np.ones(6, np.float32)
    scale[5] = 2
    assert examined(array).duplicates == ((1, 4), (2, 5))
    assert examine(layer_of(array), array, None, scale=scale).duplicates == ((1, 4),)


def test_messages_say_what_repeats_what():
    (claim,) = examined(repeated((6, 4, 3, 3), (5, 2), (3, 2))).claims
    assert claim.message == "2 of 6 filters repeat others bit for bit: 3 and 5 repeat 2"


SMALL = [
    pytest.param(np.float16, 6e-8, id="float16"),
    pytest.param(ml_dtypes.bfloat16, 1e-39, id="bfloat16"),
    pytest.param(np.float32, 1e-39, id="float32"),
    pytest.param(np.float64, 5e-324, id="float64"),
]


@pytest.mark.parametrize(("dtype", "value"), SMALL)
def test_denormal_weights_are_counted_by_their_type(dtype, value):
    array = weight(6, 4, 3, 3, dtype=dtype)
    array[0, 0, 0, 0] = ml_dtypes.finfo(dtype).smallest_normal
    array[1, 0, 0] = 0
    assert rules_of(examined(array)) == []
    array[2, 1] = -value
    (claim,) = examined(array).claims
    assert (claim.rule, claim.regions) == ("CA301", ())
    assert "9 of 216 weights (4.2%) are denormal" in claim.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_weights_that_are_not_finite_are_counted(dtype, value):
    array = weight(6, 4, 3, 3, dtype=dtype)
    array[2, 1, 0] = value
    bias = np.zeros(6, dtype)
    bias[5] = value
    (claim,) = examined(array, bias).claims
    assert (claim.rule, claim.channels) == ("CA302", (2, 5))
    assert claim.message == "3 of 216 weights and 1 of 6 biases are infinite or not a number"


def test_a_weight_is_looked_at_block_by_block(monkeypatch):
    array = weight(64, 4, 3, 3)
    array[7], array[40, 2], array[50, 0, 0, 0], array[60, 3, 1, 1] = 0, 0, 1e-39, np.nan
    whole = examined(array)
    monkeypatch.setattr("convaudit.linting.scan.BLOCK", 50)
    blocks = examined(array)
    assert blocks.claims == whole.claims
    assert (blocks.nonzero == whole.nonzero).all()
    assert blocks.nonzero.sum() == 64 * 4 - 5


@pytest.mark.parametrize("shape", [(0, 4, 3, 3), (4, 0, 3, 3), (4, 4, 0)])
def test_an_empty_weight_tells_nothing(shape):
    assert examined(np.zeros(shape, np.float32)).claims == ()
