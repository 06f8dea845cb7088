"""A convolution solved and judged part by part is the whole one, whatever its form and its tiles."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convaudit.engine import conv, conv_transpose
from convaudit.errors import ShapeError
from convaudit.judge.execution import Deformation, Execution, Quantization
from convaudit.judge.problem import Problem, summarise
from convaudit.judge.reference import magnitude
from convaudit.judge.verdict import judge
from tests.judge.kernels import Array
from tests.judge.test_reference import executions

SMALL = [8_000, 40_000]
"""Workspaces of which the smaller cuts every form here, along every axis that it has."""


def assert_parts_are_the_whole(execution: Execution, workspace_bytes: int) -> int:
    """Every element is in one part, where it is what the whole problem has there; returns how many parts."""
    problem = Problem(execution=execution)
    try:
        (whole,) = problem.parts()
    except ShapeError:
        assume(False)
    exact, sums = np.full((2, *problem.shape), np.nan)
    count, cut = 0, Problem(execution=execution, workspace_bytes=workspace_bytes)
    for part in cut.parts():
        assert np.isnan(exact[part.place]).all()
        exact[part.place], sums[part.place] = part.exact, magnitude(part, terms=10**9)
        count += 1
    np.testing.assert_allclose(exact, whole.exact, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sums, magnitude(whole, terms=10**9), rtol=1e-5)
    expected, found = summarise(problem), summarise(cut)
    assert found.macs == expected.macs
    np.testing.assert_allclose(found.products, expected.products, rtol=1e-9)
    return count


@settings(max_examples=60, deadline=None)
@given(executions(), st.sampled_from(SMALL))
def test_parts_make_up_the_whole(execution: Execution, workspace_bytes: int) -> None:
    assert_parts_are_the_whole(execution, workspace_bytes)


RNG = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def layer(x: Array, weight: Array, **settings: Any) -> Execution:
    rank = weight.ndim - 2
    usual: dict[str, Any] = {"stride": (1,) * rank, "padding": ((1, 1),) * rank, "dilation": (1,) * rank}
    return Execution(x=x, weight=weight, output=x, **{**usual, **settings})


ZERO_POINTS = Quantization(x_zero_point=np.uint8(3), w_zero_point=np.arange(6, dtype=np.uint8))
FORMS = {
    "dense": layer(normal(2, 4, 9, 8), normal(6, 4, 3, 3), bias=normal(6)),
    "many-filters": layer(normal(1, 2, 3, 3), normal(40, 2, 3, 3)),
    "batch": layer(normal(50, 2, 3), normal(2, 2, 3)),
    "signal": layer(normal(1, 1, 400), normal(1, 1, 7), dilation=(2,), stride=(3,)),
    "volume": layer(normal(1, 2, 7, 6, 5), normal(4, 2, 3, 3, 3), stride=(2, 1, 1)),
    "depthwise": layer(normal(1, 60, 4, 4), normal(60, 1, 3, 3), groups=60),
    "groups-of-two": layer(normal(1, 12, 6, 6), normal(6, 2, 3, 3), groups=6, residual=normal(1, 6, 6, 6)),
    "wide-padding": layer(normal(1, 2, 4, 4), normal(2, 2, 3, 3), padding=((9, 7), (5, 8))),
    "channels-last": layer(
        normal(2, 8, 7, 4), normal(4, 4, 3, 3), layout="channels_last", residual=normal(2, 8, 7, 4)
    ),
    "causal": layer(
        normal(2, 3, 40),
        normal(3, 1, 5),
        groups=3,
        padding=((0, 0),),
        past_state=normal(2, 3, 4),
    ),
    "transposed": layer(
        normal(2, 4, 6, 5),
        normal(4, 3, 4, 4),
        transposed=True,
        groups=2,
        stride=(2, 3),
        padding=((1, 2), (0, 1)),
        output_padding=(1, 0),
    ),
    "transposed-with-gaps": layer(
        normal(1, 2, 30), normal(2, 2, 2), transposed=True, stride=(7,), dilation=(3,), padding=((2, -9),)
    ),
    "integers": layer(
        RNG.integers(0, 256, (2, 4, 9, 8), np.uint8),
        RNG.integers(0, 256, (6, 2, 3, 3), np.uint8),
        groups=2,
        quantization=ZERO_POINTS,
    ),
    "integers-transposed": layer(
        RNG.integers(0, 256, (1, 4, 5, 5), np.uint8),
        RNG.integers(0, 256, (4, 3, 3, 3), np.uint8),
        groups=2,
        transposed=True,
        quantization=ZERO_POINTS,
    ),
    "deformable": layer(
        normal(2, 4, 6, 4),
        normal(6, 2, 3, 3),
        groups=2,
        bias=normal(6),
        deformation=Deformation(offset=normal(2, 36, 6, 4) * 5, mask=normal(2, 18, 6, 4), offset_groups=2),
    ),
    "deformable-strided": layer(
        normal(1, 4, 9, 8),
        normal(6, 4, 3, 3),
        stride=(2, 2),
        deformation=Deformation(offset=normal(1, 18, 5, 4), offset_groups=1),
    ),
}
FORM = pytest.mark.parametrize("execution", [pytest.param(form, id=name) for name, form in FORMS.items()])


@FORM
@pytest.mark.parametrize("workspace_bytes", SMALL)
def test_parts_of_every_form_make_up_the_whole(execution: Execution, workspace_bytes: int) -> None:
    count = assert_parts_are_the_whole(execution, workspace_bytes)
    assert count > 1 or workspace_bytes > SMALL[0]


def honest(execution: Execution) -> Execution:
    """With the output of a perfect runtime, rounded to the format of its results."""
    (whole,) = Problem(execution=execution).parts()
    exact = whole.exact
    if execution.layout == "channels_last":
        exact = np.moveaxis(exact, 1, -1)
    return replace(execution, output=exact.astype(np.int32 if execution.quantization else np.float32))


FAULTS = {
    "none": (slice(0, 0),),
    "one-element": (-1, -1, -1),
    "first-image": (0,),
}


@FORM
@pytest.mark.parametrize("fault", FAULTS)
def test_the_verdict_does_not_depend_on_the_parts(execution: Execution, fault: str) -> None:
    ran = honest(execution)
    ran.output[FAULTS[fault]] += 100
    whole, cut = judge(ran), judge(ran, workspace_bytes=30_000)
    assert whole.status == ("exact" if fault == "none" else "mismatch")
    for name in ("status", "reason", "location", "format", "worst_index", "executed_macs", "max_abs_error"):
        assert getattr(cut, name) == getattr(whole, name), name
    assert cut.bits == pytest.approx(whole.bits)
    assert cut.bound == pytest.approx(whole.bound)


WORKSPACE = 4 << 20
LARGE = {  # shapes of x and weight, and settings; several times the workspace in float64
    "dense": ((1, 16, 240, 240), (16, 16, 3, 3), {}),
    "pointwise": ((1, 16, 300, 300), (24, 16, 1, 1), {"padding": ((0, 0),) * 2}),
    "depthwise": ((1, 8_000, 9, 9), (8_000, 1, 3, 3), {"groups": 8_000}),
    "batch": ((300, 16, 18, 18), (16, 16, 1, 1), {"padding": ((0, 0),) * 2}),
    "signal": ((1, 1, 1_000_000), (1, 1, 3), {}),
    "volume": ((1, 4, 50, 50, 50), (4, 4, 3, 3, 3), {}),
    "transposed": ((1, 16, 150, 150), (16, 8, 2, 2), {"transposed": True, "stride": (2, 2)}),
    "weights": ((1, 2048, 3, 3), (128, 2048, 3, 3), {"padding": ((0, 0),) * 2}),
}


@pytest.mark.parametrize(("x_shape", "weight_shape", "settings"), LARGE.values(), ids=LARGE)
def test_judging_stays_within_its_workspace(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], settings: dict[str, Any]
) -> None:
    execution = layer(np.ones(x_shape, np.float32), normal(*weight_shape), **settings)
    operands = execution.x, execution.weight
    options = {"stride": execution.stride, "padding": execution.padding, "groups": execution.groups}
    ran = replace(execution, output=(conv_transpose if execution.transposed else conv)(*operands, **options))
    tracemalloc.start()
    verdict = judge(ran, workspace_bytes=WORKSPACE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verdict.status in {"exact", "within_rounding"}
    assert 0 < peak < WORKSPACE


def test_explaining_an_error_stays_within_the_workspace() -> None:
    """The largest layer that is one part, so that every hypothesis about it may be held beside it."""
    ran = honest(layer(normal(1, 16, 40, 40), normal(16, 16, 3, 3)))
    assert len(list(Problem(execution=ran, workspace_bytes=WORKSPACE).parts())) == 1
    ran.output[0, 3] += 1
    tracemalloc.start()
    verdict = judge(ran, workspace_bytes=WORKSPACE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (verdict.status, verdict.location) == ("mismatch", "output channel 3")
    assert 0 < peak < WORKSPACE
