"""Idle taps: borders that are zero, and taps that only meet padding, held against the engine."""

from __future__ import annotations

import numpy as np
import pytest

from convaudit.engine import conv, conv_transpose
from convaudit.linting.crops import cropped_padding, met_taps
from tests.linting.layers import examined, layer_of, weight


def bordered(shape, *places):
    array = weight(*shape)
    for place in places:
        array[(..., *(place if isinstance(place, tuple) else (place,)))] = 0
    return array


BORDERS = [
    pytest.param(bordered((2, 2, 5, 5), np.s_[0, :], np.s_[4, :]), ((1, 4), (0, 5)), id="one-axis"),
    pytest.param(
        bordered((2, 2, 5, 5), *(np.s_[at, :] for at in (0, 4)), *(np.s_[:, at] for at in (0, 4))),
        ((1, 4), (1, 4)),
        id="five-that-is-three",
    ),
    pytest.param(bordered((2, 2, 9), np.s_[:2], np.s_[5:]), ((2, 5),), id="one-dimension"),
    pytest.param(bordered((2, 2, 3, 3, 3), np.s_[:, :, 0]), ((0, 3), (0, 3), (1, 3)), id="three-dimensions"),
    pytest.param(bordered((2, 2, 5), np.s_[2]), None, id="inside"),
    pytest.param(bordered((2, 2, 5), np.s_[:]), None, id="all-zero"),
]


@pytest.mark.parametrize(("array", "crop"), BORDERS)
def test_zero_borders_are_found(array, crop):
    facts = examined(array)
    assert facts.crops == ({} if crop is None else {"CA201": crop})
    claims = [claim for claim in facts.claims if claim.rule == "CA201"]
    if crop is None:
        assert claims == []
        return
    (region,) = claims[0].regions
    kernel = np.zeros(array.shape[2:], bool)
    kernel[tuple(slice(*pair) for pair in crop)] = True
    assert region.taps == tuple(np.flatnonzero(~kernel).tolist())


def test_a_border_is_zero_in_all_filters_and_inputs():
    array = bordered((2, 2, 5), np.s_[0])
    array[1, 1, 0] = 1e-30
    assert examined(array).crops == {}


def test_a_zero_filter_does_not_hide_a_border():
    array = bordered((3, 2, 5), np.s_[0])
    array[1] = 0
    assert examined(array).crops == {"CA201": ((1, 5),)}


def sized(array, spatial, **changed):
    """The record of a layer, with the sizes that the engine finds."""
    layer = layer_of(array, **changed)
    x = np.ones((1, layer.in_channels, *spatial), np.float32)
    return layer_of(array, **changed, input_shape=x.shape, output_shape=run(layer, x, array).shape)


def run(layer, x, array):
    function = conv_transpose if layer.transposed else conv
    keywords = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    return function(x, array, groups=layer.groups, **keywords)


GEOMETRIES = [
    pytest.param(
        {"stride": (s,), "padding": ((b, a),), "dilation": (d,), "transposed": t},
        (size,),
        id=f"{'transposed' if t else 'conv'}-s{s}-p{b},{a}-d{d}-{size}",
    )
    for t in (False, True)
    for s in (1, 2, 4)
    for b, a in ((0, 0), (1, 1), (4, 0), (2, 5))
    for d in (1, 2)
    for size in (1, 2, 3)
    if (not t and size + a + b > 4 * d) or (t and (size - 1) * s + 4 * d + 1 - a - b > 0)
]


@pytest.mark.parametrize(("changed", "spatial"), GEOMETRIES)
def test_taps_that_only_meet_padding_are_those_that_change_nothing(changed, spatial):
    array = np.ones((1, 1, 5), np.float32)
    layer = sized(array, spatial, **changed)
    x = np.ones(layer.input_shape, np.float32)
    before = run(layer, x, array)
    changes = []
    for tap in range(5):
        other = array.copy()
        other[..., tap] = 100
        changes.append(bool((run(layer, x, other) != before).any()))
    assert met_taps(layer).tolist() == changes


def test_on_one_position_one_tap_of_nine_meets_a_value():
    array = weight(4, 4, 3, 3)
    layer = sized(array, (1, 1))
    facts = examined(array, input_shape=layer.input_shape, output_shape=layer.output_shape)
    (claim,) = facts.claims
    assert (claim.rule, facts.crops) == ("CA202", {"CA202": ((1, 2), (1, 2))})
    assert claim.message == "8 of 9 taps only ever meet padding: its input is 1x1"
    assert claim.regions[0].taps == (0, 1, 2, 3, 5, 6, 7, 8)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"shapes_from": ("run",)}, id="sizes-of-one-run"),
        pytest.param({"input_shape": (1, 4, None, None), "output_shape": (1, 4, None, None)}, id="unknown"),
        pytest.param({"deformable": True}, id="deformable"),
        pytest.param({"padding": None}, id="unknown-padding"),
    ],
)
def test_where_sizes_are_not_certain_nothing_is_said_of_padding(changed):
    sizes = {"input_shape": (1, 4, 1, 1), "output_shape": (1, 4, 1, 1)}
    assert examined(weight(4, 4, 3, 3), **{**sizes, **changed}).claims == ()


def test_channels_last_have_their_sizes_between():
    sizes = {"input_shape": (1, 1, 1, 4), "output_shape": (1, 1, 1, 4), "layout": "channels_last"}
    assert list(examined(weight(4, 4, 3, 3), **sizes).crops) == ["CA202"]


def test_a_border_is_that_of_the_taps_that_meet_values():
    """Tap 0 meets padding, tap 1 is zero: 2 to 4 stay, and each rule tells its own."""
    array = bordered((2, 2, 5), np.s_[1])
    layer = sized(array, (3,), padding=((1, 2),), stride=(9,))
    facts = examined(
        array,
        **{name: getattr(layer, name) for name in ("input_shape", "output_shape")},
        padding=((1, 2),),
        stride=(9,),
    )
    assert {claim.rule: claim.regions[0].taps for claim in facts.claims} == {"CA202": (0, 4), "CA201": (1,)}
    assert facts.crops == {"CA202": ((1, 4),), "CA201": ((2, 4),)}


CROPPED = [
    pytest.param({}, (7,), (1, 4), ((1, 1),), id="kept-size"),
    pytest.param({"dilation": (2,), "padding": ((4, 4),)}, (7,), (1, 4), ((2, 2),), id="dilated"),
    pytest.param({"padding": ((0, 2),)}, (7,), (1, 4), None, id="nothing-to-take-away"),
    pytest.param({"padding": ((2, 0),), "stride": (2,)}, (7,), (1, 4), ((1, 0),), id="stride-skips-the-end"),
    pytest.param({"padding": ((2, 0),), "stride": (2,)}, (8,), (1, 4), None, id="stride-reaches-the-end"),
    pytest.param({"transposed": True, "stride": (2,)}, (7,), (1, 4), ((1, 1),), id="transposed"),
    pytest.param({"transposed": True, "padding": ((0, 1),)}, (7,), (0, 4), ((0, 0),), id="transposed-end"),
]


@pytest.mark.parametrize(("changed", "spatial", "crop", "padding"), CROPPED)
def test_a_cropped_kernel_computes_the_same(changed, spatial, crop, padding):
    array = weight(3, 3, 5)
    array[..., : crop[0]] = 0
    array[..., crop[1] :] = 0
    layer = sized(array, spatial, **changed)
    found = cropped_padding(layer, (crop,))
    assert found == padding
    if found is None:
        return
    x = weight(*layer.input_shape)
    smaller = array[..., slice(*crop)]
    made = run(layer_of(smaller, **{**changed, "padding": found}), x, smaller)
    np.testing.assert_allclose(made, run(layer, x, array), rtol=1e-5)
