"""Judging at its edges: shapes, counts, signals that prove nothing, and what every verdict says."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from convaudit.errors import ShapeError
from convaudit.judge.execution import Accounted, Activation, Execution
from convaudit.judge.verdict import judge
from tests.judge.kernels import Array, by_onnxruntime, by_torch, layer, to_tf32

LAYER = layer(8, 4, 3, 6)
OUTPUT = by_torch(LAYER)
MACS = 4 * 6 * 6 * 8 * 9


def test_a_verdict_says_how_much_it_proved() -> None:
    verdict = judge(LAYER.ran(OUTPUT), accounted=Accounted(macs=MACS))
    assert verdict.status == "within_rounding"
    assert verdict.executed_macs == MACS
    assert verdict.max_abs_error is not None
    assert verdict.bound is not None
    assert verdict.worst_index is not None
    assert verdict.bits == pytest.approx(23.5, abs=1)
    exact = LAYER.but(x=LAYER.x.astype(float), weight=LAYER.weight.astype(float), bias=None)
    assert LAYER.bias is not None
    ideal = by_torch(exact) + LAYER.bias.astype(float).reshape(-1, 1, 1)
    error = np.abs(OUTPUT - ideal)
    assert verdict.max_abs_error == pytest.approx(error.max(), rel=1e-3)
    assert error[verdict.worst_index] <= verdict.bound
    signal = np.sqrt(np.square(ideal).mean())
    assert verdict.bits == pytest.approx(-math.log2(np.sqrt(np.square(error).mean()) / signal), abs=1e-3)


def test_the_correctly_rounded_result_is_exact() -> None:
    ones = LAYER.but(x=np.ones_like(LAYER.x), weight=np.ones_like(LAYER.weight), bias=None)
    verdict = judge(ones.ran(by_torch(ones)))
    assert (verdict.status, verdict.max_abs_error, verdict.bits) == ("exact", 0.0, math.inf)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        pytest.param(OUTPUT[:, :, :5], r"returned the shape 1x4x5x6, the engine 1x4x6x6", id="smaller"),
        pytest.param(OUTPUT[0], r"returned the shape 4x6x6, the engine 1x4x6x6", id="no-batch"),
        pytest.param(OUTPUT[:0], r"returned the shape 0x4x6x6, the engine 1x4x6x6", id="empty"),
    ],
)
def test_another_shape_is_a_mismatch(output: Array, reason: str) -> None:
    verdict = judge(LAYER.ran(output))
    assert verdict.status == "mismatch"
    assert reason in verdict.reason


CONTRADICTED = [
    pytest.param({"macs": MACS * 2}, "claims 20,736 MACs, but 10,368 MACs ran", id="macs"),
    pytest.param(
        {"input_shape": (2, 8, 6, 6), "macs": MACS},
        "claims input 2x8x6x6, but input 1x8x6x6 ran",
        id="input",
    ),
    pytest.param({"input_shape": (None, 8, 6, 7)}, "claims input ?x8x6x7, but input 1x8x6x6 ran", id="open"),
    pytest.param({"input_shape": (8, 6, 6)}, "claims input 8x6x6, but input 1x8x6x6 ran", id="rank"),
    pytest.param(
        {"weight_shape": (4, 8, 1, 9), "output_shape": (1, 4, 9, 4)},
        "claims weight 4x8x1x9, output 1x4x9x4, but weight 4x8x3x3, output 1x4x6x6 ran",
        id="weight-and-output",
    ),
]
VALUES = [
    pytest.param(LAYER.ran(OUTPUT), "are right (within rounding: ", id="right"),
    pytest.param(LAYER.ran(OUTPUT + 1), "are wrong (mismatch: ", id="wrong"),
    pytest.param(replace(LAYER.ran(OUTPUT), x=LAYER.x * 0), "are not proven (vacuous: ", id="vacuous"),
]


@pytest.mark.parametrize(("claim", "reason"), CONTRADICTED)
@pytest.mark.parametrize(("execution", "values"), VALUES)
def test_sizes_that_did_not_run_are_the_accountings_fault(
    execution: Execution, values: str, claim: dict[str, Any], reason: str
) -> None:
    verdict = judge(execution, accounted=Accounted(**claim))
    assert verdict.status == "miscounted"
    assert verdict.reason.startswith(f"the accounting {reason}; the values of that size {values}")
    assert verdict.executed_macs == MACS


@pytest.mark.parametrize("claim", [(None, None, 6, 6), (1, 8, 6, 6), None], ids=["open", "all", "none"])
def test_sizes_that_the_accounting_leaves_open_are_not_contradicted(claim: Any) -> None:
    assert judge(LAYER.ran(OUTPUT), accounted=Accounted(input_shape=claim)).status == "within_rounding"


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        pytest.param(
            {}, "what ran does not fit the accounted attributes: conv: weight must be", id="attributes"
        ),
        pytest.param(
            {"weight_shape": (4, 8, 3, 3)},
            "the accounting claims weight 4x8x3x3, but weight 4x5x3x3 ran; "
            "the values of that size are not proven (miscounted: what ran does not fit",
            id="sizes",
        ),
    ],
)
def test_operands_that_do_not_fit_the_accounting_are_its_fault(claim: dict[str, Any], reason: str) -> None:
    execution = LAYER.but(weight=LAYER.weight[:, :5]).ran(OUTPUT)
    verdict = judge(execution, accounted=Accounted(**claim))
    assert verdict.status == "miscounted"
    assert verdict.reason.startswith(reason)


def test_an_output_that_the_engine_does_not_have_is_the_accountings_fault_where_it_claims_another() -> None:
    claim = Accounted(input_shape=(1, 8, 6, 6), output_shape=(1, 4, 6, 6))
    verdict = judge(LAYER.ran(OUTPUT[:, :, :5]), accounted=claim)
    assert verdict.status == "miscounted"
    assert "claims output 1x4x6x6, but output 1x4x5x6 ran" in verdict.reason


def test_operands_that_make_no_convolution_are_refused() -> None:
    with pytest.raises(ShapeError, match="weight must be"):
        judge(LAYER.but(weight=LAYER.weight[:, :5]).ran(OUTPUT))


def test_an_unknown_activation_is_not_supported() -> None:
    verdict = judge(replace(LAYER.ran(OUTPUT), activation=Activation(name="Mish")))
    assert (verdict.status, "Mish" in verdict.reason) == ("not_supported", True)


def with_x(values: float, dtype: Any = np.float32) -> Execution:
    tested = LAYER.but(x=np.full_like(LAYER.x, values, dtype=dtype))
    return tested.ran(by_torch(tested))


SPOILT = LAYER.x.copy()
SPOILT[0, 3, 2, 2] = np.nan
VACUOUS = [
    pytest.param(with_x(0), "the input is all zero", id="zero-input"),
    pytest.param(
        replace(LAYER.ran(OUTPUT), weight=np.zeros_like(LAYER.weight)),
        "the weight is all zero",
        id="zero-weight",
    ),
    pytest.param(with_x(np.nan), "NaN or infinity", id="nan"),
    pytest.param(LAYER.but(x=SPOILT).ran(OUTPUT), "NaN or infinity", id="one-nan"),
    pytest.param(with_x(np.inf), "NaN or infinity", id="infinity"),
    pytest.param(with_x(1e-40), "denormal", id="denormal"),
    pytest.param(LAYER.but(x=LAYER.x[:0]).ran(OUTPUT[:0]), "output is empty", id="zero-batch"),
    pytest.param(
        LAYER.but(x=LAYER.x[:, :0], weight=LAYER.weight[:, :0]).ran(np.zeros_like(OUTPUT)),
        "input is empty",
        id="no-channels",
    ),
    pytest.param(LAYER.but(x=LAYER.x[:, :, :0]).ran(OUTPUT), "input is empty", id="no-rows"),
    pytest.param(
        replace(
            LAYER.ran(np.full_like(OUTPUT, 6)),
            activation=Activation(name="Clip", params=(0.0, 6.0)),
            bias=np.full(4, 1e6, np.float32),
        ),
        "saturated everywhere",
        id="saturated",
    ),
    pytest.param(
        replace(LAYER.ran(np.full_like(OUTPUT, 1e9)), bias=np.full(4, 1e9, np.float32)),
        "below the rounding",
        id="drowned-by-the-bias",
    ),
    pytest.param(
        replace(LAYER.ran(np.full_like(OUTPUT, 1e9)), bias=None, residual=np.full_like(OUTPUT, 1e9)),
        "below the rounding",
        id="drowned-by-the-residual",
    ),
    pytest.param(
        replace(
            LAYER.ran(np.ones_like(OUTPUT)),
            activation=Activation(name="Sigmoid"),
            bias=np.full(4, 25, np.float32),
        ),
        "below the rounding",
        id="drowned-by-the-activation",
    ),
    pytest.param(with_x(3e38), "beyond float32", id="sums-overflow"),
    pytest.param(
        LAYER.but(
            x=np.full_like(LAYER.x, 6e4, np.float16), weight=np.ones_like(LAYER.weight, np.float16)
        ).ran(np.full_like(OUTPUT, np.inf, np.float16)),
        "overflows its format everywhere",
        id="overflows-everywhere",
    ),
]


@pytest.mark.parametrize(("execution", "reason"), VACUOUS)
def test_a_signal_that_proves_nothing_is_vacuous(execution: Execution, reason: str) -> None:
    verdict = judge(execution)
    assert verdict.status == "vacuous"
    assert reason in verdict.reason


def test_a_fault_beside_sums_that_overflow_is_not_passed() -> None:
    x = LAYER.x.copy()
    x[0, 3, 2, 2] = 3e38
    spoilt = LAYER.but(x=x)
    output = by_torch(spoilt)
    output[0, 1] = 0
    assert judge(spoilt.ran(output)).status == "vacuous"


@pytest.mark.parametrize("bias", [1e9, 1e4], ids=["hides-all", "hides-little"])
def test_wrong_values_are_found_beside_a_large_bias(bias: float) -> None:
    large = LAYER.but(bias=np.full(4, bias, np.float32))
    output = by_torch(large)
    output[0, 2] += np.float32(bias / 100)
    assert judge(large.ran(output)).status == "mismatch"


def test_one_channel_that_a_bias_hides_does_not_stop_the_others() -> None:
    large = LAYER.but(bias=np.array([0, 0, 1e9, 0], np.float32))
    assert judge(large.ran(by_torch(large))).status == "within_rounding"


def test_an_output_of_nothing_but_infinity_is_wrong_where_it_should_be_finite() -> None:
    assert judge(LAYER.ran(np.full_like(OUTPUT, np.inf))).status == "mismatch"


def test_weights_that_meet_only_zeros_are_vacuous() -> None:
    x, weight = LAYER.x.copy(), LAYER.weight.copy()
    x[:, 1:] = 0
    weight[:, 0] = 0
    verdict = judge(LAYER.but(x=x, weight=weight).ran(OUTPUT))
    assert verdict.status == "vacuous"
    assert "meets only zeros" in verdict.reason


def test_wrong_values_are_found_although_most_of_the_input_is_zero() -> None:
    x = np.zeros_like(LAYER.x)
    x[:, 0] = LAYER.x[:, 0]
    sparse = LAYER.but(x=x)
    assert judge(sparse.ran(by_torch(sparse))).status == "within_rounding"
    assert judge(sparse.ran(OUTPUT)).status == "mismatch"


def test_a_pruned_channel_is_no_obstacle() -> None:
    weight = LAYER.weight.copy()
    weight[2] = 0
    pruned = LAYER.but(weight=weight)
    assert judge(pruned.ran(by_torch(pruned))).status == "within_rounding"


def test_noise_in_a_pruned_channel_is_found_there() -> None:
    weight, bias = LAYER.weight.copy(), np.zeros(4, np.float32)
    weight[2] = 0
    pruned = LAYER.but(weight=weight, bias=bias)
    output = by_torch(pruned)
    output[0, 2] = 1e-9
    verdict = judge(pruned.ran(output))
    assert (verdict.status, verdict.location) == ("mismatch", "output channel 2")


def test_overflow_to_infinity_is_right_where_the_format_ends() -> None:
    large = LAYER.but(
        x=(np.abs(LAYER.x) * 6_000).astype(np.float16),
        weight=np.abs(LAYER.weight * 2).astype(np.float16),
        bias=None,
    )
    output = by_torch(large)
    assert np.isinf(output).any()
    assert np.isfinite(output).any()
    assert judge(large.ran(output)).status in {"exact", "within_rounding"}
    wrong = np.where(np.isinf(output), np.float16(-np.inf), output)
    assert judge(large.ran(wrong)).status == "mismatch"


def test_results_below_the_format_are_right_if_flushed_to_zero() -> None:
    small = LAYER.but(x=LAYER.x * np.float32(1e-37), bias=None)
    output = by_torch(small)
    flushed = np.where(np.abs(output) < np.finfo(np.float32).tiny, np.float32(0), output)
    assert (flushed != output).any()
    assert judge(small.ran(flushed)).status in {"exact", "within_rounding"}


def test_results_among_the_subnormals_of_float16_are_right_to_half_their_spacing() -> None:
    small = LAYER.but(
        x=(LAYER.x * 1e-4).astype(np.float16), weight=(LAYER.weight / 10).astype(np.float16), bias=None
    )
    output = by_torch(small)
    assert (np.abs(output) < np.finfo(np.float16).smallest_normal).any()
    assert judge(small.ran(output)).status in {"exact", "within_rounding"}
    assert judge(small.ran(output + np.float16(1e-6))).status == "mismatch"


RANKS = [
    pytest.param("Conv", (2, 4, 9), (6, 2, 3), 2, id="1d"),
    pytest.param("Conv", (1, 4, 5, 6, 7), (6, 4, 3, 2, 1), 1, id="3d"),
    pytest.param("ConvTranspose", (2, 4, 9), (4, 3, 3), 2, id="1d-transposed"),
    pytest.param("ConvTranspose", (1, 4, 5, 6), (4, 3, 3, 2), 1, id="2d-transposed"),
    pytest.param("ConvTranspose", (1, 4, 3, 4, 5), (4, 3, 3, 2, 2), 1, id="3d-transposed"),
]


@pytest.mark.parametrize(("op", "x_shape", "weight_shape", "groups"), RANKS)
def test_every_rank_and_the_transposed_form(
    op: str, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], groups: int
) -> None:
    random, rank = np.random.default_rng(0), len(x_shape) - 2
    x, weight = (random.standard_normal(shape).astype(np.float32) for shape in (x_shape, weight_shape))

    def run(weight: Array) -> Array:
        return by_onnxruntime(
            op,
            {"x": x, "w": weight},
            group=groups,
            strides=[2] * rank,
            pads=[1, *[0] * (rank - 1), *[1] * rank],
        )

    execution = Execution(
        x=x,
        weight=weight,
        output=run(weight),
        stride=(2,) * rank,
        padding=((1, 1), *[(0, 1)] * (rank - 1)),
        dilation=(1,) * rank,
        groups=groups,
        transposed=op == "ConvTranspose",
    )
    assert judge(execution).status in {"exact", "within_rounding"}
    wrong = weight.copy()
    wrong[0, 1] *= 2
    channel = 1 if execution.transposed else 0
    verdict = judge(replace(execution, output=run(wrong)))
    assert verdict.status == "mismatch"
    assert verdict.location is not None
    assert verdict.location.startswith(f"output channel {channel}")


def test_a_causal_convolution_with_its_state() -> None:
    random = np.random.default_rng(0)
    x, state = random.standard_normal((2, 5, 9)).astype("f"), random.standard_normal((2, 5, 3)).astype("f")
    weight = random.standard_normal((5, 1, 4)).astype("f")
    joined = np.concatenate([state, x], axis=2)
    output = by_onnxruntime("Conv", {"x": joined, "w": weight}, group=5)
    execution = Execution(
        x=x,
        weight=weight,
        output=output / (1 + np.exp(-output)),
        stride=(1,),
        padding=((0, 0),),
        dilation=(1,),
        groups=5,
        past_state=state,
        activation=Activation(name="Silu"),
    )
    assert judge(execution).status == "within_rounding"
    assert judge(replace(execution, past_state=np.zeros_like(state))).status == "mismatch"


def test_mixed_precision_is_judged_by_the_output() -> None:
    """bfloat16 operands and a float32 result, as a runtime may return that keeps its accumulator."""
    operands = LAYER.x.astype(ml_dtypes.bfloat16), LAYER.weight.astype(ml_dtypes.bfloat16)
    wide = LAYER.but(x=operands[0].astype("f"), weight=operands[1].astype("f"))
    execution = replace(wide.ran(by_torch(wide)), x=operands[0], weight=operands[1])
    assert judge(execution).status == "within_rounding"
    assert judge(replace(execution, output=execution.output * np.float32(1.0001))).status == "mismatch"


def test_a_single_output_element_is_enough() -> None:
    single = layer(64, 1, 3, 3, bias=False).but(padding=0)
    output = by_torch(single)
    assert output.size == 1
    assert judge(single.ran(output)).status in {"exact", "within_rounding"}
    assert judge(single.ran(output * np.float32(1.001))).status == "mismatch"
    tf32 = single.but(x=to_tf32(single.x), weight=to_tf32(single.weight))
    assert judge(single.ran(by_torch(tf32))).format == "TF32"


def test_the_judge_knows_no_runtime() -> None:
    source = (
        "import sys, convaudit.judge.verdict; "
        "print([name for name in ('torch', 'onnx', 'onnxruntime') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_operands_are_not_modified() -> None:
    execution = LAYER.ran(OUTPUT.copy())
    assert execution.bias is not None
    before = [array.copy() for array in (execution.x, execution.weight, execution.bias, execution.output)]
    judge(execution)
    after = execution.x, execution.weight, execution.bias, execution.output
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
