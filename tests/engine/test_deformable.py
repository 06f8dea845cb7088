"""Deformable convolution against ``conv`` and a loop over every sampled point."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convaudit.engine import MacCounter, conv, deform_conv
from convaudit.errors import GroupsError, ShapeError
from tests.engine.cases import convolutions


def interpolated(plane, at):
    """The value of ``plane`` at a fractional position; zeros beyond its borders."""
    low = np.floor(at).astype(int)
    total = 0.0
    for corner in itertools.product((0, 1), repeat=plane.ndim):
        index = low + corner
        if ((index >= 0) & (index < plane.shape)).all():
            total += plane[tuple(index)] * np.prod(1 - abs(at - index))
    return total


def naive_deform_conv(
    x, weight, offset, mask, out_shape, *, stride, padding, dilation, groups, offset_groups
):
    rank, taps = weight.ndim - 2, list(itertools.product(*map(range, weight.shape[2:])))
    out = np.zeros(out_shape)
    offset = offset.reshape(len(x), offset_groups, len(taps), rank, *out_shape[2:])
    mask = mask.reshape(len(x), offset_groups, len(taps), *out_shape[2:])
    before = np.array([pair[0] for pair in padding])
    for n, m, *at in itertools.product(*map(range, out_shape)):
        for c, (t, tap) in itertools.product(range(weight.shape[1]), enumerate(taps)):
            channel = m // (len(weight) // groups) * weight.shape[1] + c
            group = channel // (x.shape[1] // offset_groups)
            base = np.array(at) * stride + np.array(tap) * dilation - before
            read = interpolated(x[n, channel], base + offset[(n, group, t, slice(None), *at)])
            out[(n, m, *at)] += weight[(m, c, *tap)] * read * mask[(n, group, t, *at)]
    return out


@st.composite
def deformable(draw):
    case = draw(convolutions(longest=6))
    offset_groups = draw(st.sampled_from([g for g in (1, 2, 3) if case.x.shape[1] % g == 0]))
    shape = conv(case.x, case.weight, **case.options).shape
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    taps, rank = case.weight[0, 0].size, case.x.ndim - 2
    offset = rng.uniform(-3, 3, (len(case.x), offset_groups * taps * rank, *shape[2:]))
    return (
        case,
        offset_groups,
        offset,
        rng.uniform(0, 1, (len(case.x), offset_groups * taps, *shape[2:])),
        shape,
    )


@settings(max_examples=60, deadline=None)
@given(deformable())
def test_deform_conv_equals_the_naive_loop(drawn):
    case, offset_groups, offset, mask, shape = drawn
    options = {**case.options, "offset_groups": offset_groups}
    expected = naive_deform_conv(case.x, case.weight, offset, mask, shape, **options)
    counter = MacCounter()
    y = deform_conv(
        case.x, case.weight, offset, mask=mask, **options, workspace_bytes=2000, threads=2, counter=counter
    )
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-10)
    assert counter.macs == y.size * case.weight[0].size


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_without_offsets_it_is_a_convolution(case):
    expected = conv(case.x, case.weight, case.bias, **case.options)
    taps, rank = case.weight[0, 0].size, case.x.ndim - 2
    offset = np.zeros((len(case.x), taps * rank, *expected.shape[2:]))
    y = deform_conv(case.x, case.weight, offset, case.bias, **case.options)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def test_a_far_or_undefined_offset_reads_nothing():
    x, offset = np.ones((1, 1, 3)), np.array([[[1e30, -1e30, 0.5]]])
    assert deform_conv(x, np.ones((1, 1, 1)), offset).tolist() == [[[0, 0, 0.5]]]


def test_what_does_not_fit_is_refused_by_name():
    x, weight, offset = np.zeros((1, 4, 5, 5)), np.zeros((2, 4, 1, 1)), np.zeros((1, 2, 5, 5))
    with pytest.raises(
        GroupsError, match=r"^d: in_channels must be divisible by offset_groups.*offset_groups=3"
    ):
        deform_conv(x, weight, offset, offset_groups=3, name="d")
    with pytest.raises(ShapeError, match=r"^d: offset must be \(1, 4, 5, 5\), got \(1, 2, 5, 5\)"):
        deform_conv(x, weight, offset, offset_groups=2, name="d")
    with pytest.raises(ShapeError, match=r"^d: mask must be \(1, 1, 5, 5\), got \(1, 2, 5, 5\)"):
        deform_conv(x, weight, offset, mask=offset, name="d")
