"""What the verdict derives from a problem beside its solution: terms, S, and the energy of the products."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convaudit.errors import ShapeError
from convaudit.judge.execution import Deformation, Execution, Quantization
from convaudit.judge.problem import Problem, summarise
from convaudit.judge.reference import Part, convolve, magnitude, product_energy


def whole(execution: Execution) -> Part:
    """The problem as one part."""
    (part,) = Problem(execution=execution).parts()
    return part


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    groups, transposed = draw(st.sampled_from([1, 2])), draw(st.booleans())
    random = np.random.default_rng(draw(st.integers(0, 99)))
    x = random.standard_normal((draw(st.integers(1, 2)), 4, *each(1, 6)))
    weight = random.standard_normal((4, 6 if transposed else 4 // groups, *each(1, 3)))
    return Execution(
        x=x,
        weight=weight,
        output=x,
        stride=each(1, 3),
        padding=tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)),
        dilation=each(1, 2),
        groups=groups,
        transposed=transposed,
    )


@given(executions())
def test_product_energy_is_the_mean_convolution_of_the_squares(execution: Execution) -> None:
    try:
        part = whole(execution)
    except ShapeError:
        assume(False)
    squares = convolve(part.map(np.square))
    np.testing.assert_allclose(product_energy(part), squares.sum(axis=(0, *range(2, squares.ndim))))


@given(executions(), st.integers(1, 12))
def test_a_part_of_the_terms_has_a_smaller_magnitude(execution: Execution, terms: int) -> None:
    try:
        part = whole(execution)
    except ShapeError:
        assume(False)
    every = magnitude(part, terms=10**9)
    assert every.dtype == np.float32
    np.testing.assert_allclose(every, convolve(part.map(np.abs)), rtol=1e-6)
    assert (magnitude(part, terms=terms) <= every * (1 + 1e-6)).all()


def conv1d(**changes: Any) -> Execution:
    x = np.arange(1.0, 7).reshape(1, 2, 3)
    weight = np.ones((1, 2, 1))
    settings = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,)}
    return Execution(**{"x": x, "weight": weight, "output": x, **settings, **changes})


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        pytest.param({}, 2, id="products"),
        pytest.param({"bias": np.ones(1), "residual": np.ones((1, 1, 3))}, 4, id="bias-and-residual"),
        pytest.param({"transposed": True, "weight": np.ones((2, 3, 5))}, 10, id="transposed"),
        pytest.param({"groups": 2, "weight": np.ones((2, 1, 3))}, 3, id="depthwise"),
    ],
)
def test_terms_of_an_element(changes: dict[str, Any], terms: int) -> None:
    assert Problem(execution=conv1d(**changes)).terms == terms


def test_the_solution_counts_its_multiply_adds() -> None:
    assert summarise(Problem(execution=conv1d())).macs == 6


def test_channels_last_operands_are_turned() -> None:
    first = conv1d(residual=np.array([[[1.0, 2, 3]]]))
    last = replace(
        first,
        x=first.x.transpose(0, 2, 1),
        residual=np.array([[[1.0], [2], [3]]]),
        layout="channels_last",
    )
    expected = convolve(whole(first))
    np.testing.assert_array_equal(expected, [[[6, 9, 12]]])
    np.testing.assert_array_equal(convolve(whole(last)), expected)


def test_a_past_state_precedes_the_input() -> None:
    execution = Execution(
        x=np.array([[[3.0, 4]]]),
        weight=np.array([[[1.0, 10]]]),
        output=np.empty(0),
        stride=(1,),
        padding=((0, 0),),
        dilation=(1,),
        past_state=np.array([[[2.0]]]),
    )
    np.testing.assert_array_equal(convolve(whole(execution)), [[[32, 43]]])


def test_zero_points_are_taken_off_per_output_channel() -> None:
    zero_points = Quantization(x_zero_point=np.uint8(1), w_zero_point=np.array([0, 1], np.uint8))
    execution = conv1d(
        x=np.full((1, 2, 3), 3, np.uint8), weight=np.full((2, 2, 1), 5, np.uint8), quantization=zero_points
    )
    result = convolve(whole(execution))
    np.testing.assert_array_equal(result[0, :, 0], [2 * 2 * 5, 2 * 2 * 4])


def test_transposed_zero_points_belong_to_the_output_channels_of_each_group() -> None:
    weight = np.full((2, 2, 1), 5, np.uint8)  # 2 groups of 1 input and 2 outputs
    execution = conv1d(
        x=np.full((1, 2, 3), 3, np.uint8),
        weight=weight,
        groups=2,
        transposed=True,
        quantization=Quantization(w_zero_point=np.array([0, 1, 2, 3], np.uint8)),
    )
    result = convolve(whole(execution))
    np.testing.assert_array_equal(result[0, :, 0], [15, 12, 9, 6])


def test_an_undeformed_convolution_with_a_mask_is_a_scaled_one() -> None:
    random = np.random.default_rng(0)
    x, weight = random.standard_normal((1, 2, 5, 5)), random.standard_normal((3, 2, 3, 3))
    deformation = Deformation(offset=np.zeros((1, 18, 5, 5)), mask=np.full((1, 9, 5, 5), -0.5))
    settings = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1)}
    plain = whole(Execution(x=x, weight=weight, output=x, **settings))
    execution = Execution(x=x, weight=weight, output=x, deformation=deformation, **settings)
    deformed = whole(execution)
    np.testing.assert_allclose(convolve(deformed), -0.5 * convolve(plain))
    np.testing.assert_allclose(magnitude(deformed, terms=1), 0.5 * magnitude(plain, terms=99), rtol=1e-5)
    np.testing.assert_allclose(product_energy(deformed), product_energy(plain) / 4)
