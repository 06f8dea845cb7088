"""Convolution arithmetic against naive counting, and the worked examples of the rules."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convaudit import shapes
from convaudit.errors import GroupsError, ShapeError
from convaudit.formulas import symbol

KERNELS = st.integers(1, 7)
STEPS = st.integers(1, 4)


def count_positions(padded: int, kernel: int, stride: int, dilation: int) -> int:
    """Slide the kernel and count where it fits: the definition, without a formula."""
    return sum(
        all(start + tap * dilation < padded for tap in range(kernel)) for start in range(0, padded, stride)
    )


@given(st.integers(1, 40), KERNELS, STEPS, STEPS, st.integers(0, 5), st.integers(0, 5))
def test_output_size_is_the_number_of_positions(
    size: int, kernel: int, stride: int, dilation: int, before: int, after: int
) -> None:
    padded = size + before + after
    assume(padded >= shapes.kernel_extent(kernel, dilation))
    out = shapes.conv_output_size(size, kernel, stride, dilation, before, after)
    assert out == count_positions(padded, kernel, stride, dilation)
    symbolic = shapes.conv_output_size(symbol("H"), kernel, stride, dilation, before, after)
    assert not isinstance(symbolic, int)
    assert symbolic.substitute({"H": size}) == out


@given(st.integers(1, 20), KERNELS, STEPS, STEPS, st.integers(0, 3))
def test_transposed_output_size_is_where_the_last_tap_lands(
    size: int, kernel: int, stride: int, dilation: int, output_padding: int
) -> None:
    touched = {i * stride + tap * dilation for i in range(size) for tap in range(kernel)}
    out = shapes.conv_transpose_output_size(size, kernel, stride, dilation, 0, 0, output_padding)
    assert out == max(touched) + 1 + output_padding


@given(st.integers(1, 40), KERNELS, STEPS, STEPS, st.booleans())
def test_same_padding_gives_ceil_of_size_over_stride(
    size: int, kernel: int, stride: int, dilation: int, upper: bool
) -> None:
    before, after = shapes.same_padding(size, kernel, stride, dilation, upper=upper)
    out = shapes.conv_output_size(size, kernel, stride, dilation, before, after)
    # a stride beyond the kernel's extent may leave no padding and still reach every output
    assert out == shapes.same_output_size(size, stride) == -(-size // stride)
    assert (after - before if upper else before - after) in {0, 1}


@given(st.integers(1, 20), st.integers(1, 60), KERNELS, STEPS, STEPS)
def test_transposed_padding_reaches_the_requested_size(
    size: int, out: int, kernel: int, stride: int, dilation: int
) -> None:
    total = shapes.conv_transpose_padding(size, out, kernel, stride, dilation)
    before, after = shapes.split_padding(total, upper=True)
    assert shapes.conv_transpose_output_size(size, kernel, stride, dilation, before, after) == out


def test_conv2d_4_stride_2_padding_1_halves_32() -> None:
    assert shapes.conv_output_size(32, 4, 2, 1, 1, 1) == 16


def test_padding_1_pads_both_sides() -> None:
    assert shapes.conv_output_size(32, 1, 1, 1, 1, 1) == 34


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        pytest.param(
            (6, 6, 4), r"stem: in_channels must be divisible by groups, got in_channels=6, groups=4", id="in"
        ),
        pytest.param(
            (6, 3, 2),
            r"stem: out_channels must be divisible by groups, got out_channels=3, groups=2",
            id="out",
        ),
        pytest.param((6, 6, 0), r"stem: groups must be a positive integer, got groups=0", id="zero"),
    ],
)
def test_groups_must_divide_the_channels(channels: tuple[int, int, int], message: str) -> None:
    with pytest.raises(GroupsError, match=message):
        shapes.check_groups(*channels, layer="stem")


def test_kernel_larger_than_the_padded_input_names_both_sizes() -> None:
    with pytest.raises(ShapeError, match=r"kernel spans 9 .*padded input's 6 \(size=4, padding=\(1, 1\)\)"):
        shapes.conv_output_size(4, 5, 1, 2, 1, 1)


def test_transposed_output_that_vanishes_is_an_error() -> None:
    with pytest.raises(ShapeError, match=r"output size would be -1 .*padding=\(2, 2\)"):
        shapes.conv_transpose_output_size(2, 2, 1, 1, 2, 2)


def test_per_axis_repeats_one_integer_and_checks_a_sequence() -> None:
    assert shapes.per_axis(2, 3, "stride") == (2, 2, 2)
    assert shapes.per_axis([1, 2], 2, "stride") == (1, 2)
    with pytest.raises(ShapeError, match=r"stride must be one integer or 2 integers, got \[1, 2, 3\]"):
        shapes.per_axis([1, 2, 3], 2, "stride")


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        pytest.param((1, 3, 224, 224), "1x3x224x224", id="static"),
        pytest.param((symbol("batch"), 3, symbol("H") * 2, None), "batchx3x(2*H)x?", id="symbolic"),
        pytest.param((), "scalar", id="scalar"),
        pytest.param(None, "?", id="unknown-rank"),
    ],
)
def test_as_text(shape: tuple[int, ...] | None, text: str) -> None:
    assert shapes.as_text(shape) == text


def test_static_means_every_size_is_an_integer() -> None:
    assert shapes.is_static((1, 2))
    assert not shapes.is_static((1, symbol("H")))
    assert not shapes.is_static((1, None))
    assert not shapes.is_static(None)
