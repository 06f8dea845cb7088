"""Integer convolutions: exact sums, and requantisation that may round ties either way but nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convaudit.judge.execution import Activation, Execution, Quantization
from convaudit.judge.verdict import judge
from tests.judge.kernels import Array, by_onnxruntime


def operands(groups: int, kernel: int, seed: int = 0) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (2, 16, 9, 9), np.uint8)
    weight = random.integers(-127, 128, (8, 16 // groups, kernel, kernel), np.int8)
    return x, weight, random.integers(-5000, 5000, 8, np.int32)


LAYERS = pytest.mark.parametrize(
    ("groups", "kernel"),
    [(1, 3), (1, 1), (4, 3), (8, 1)],
    ids=["dense", "pointwise", "grouped", "grouped-1x1"],
)
PER_CHANNEL = pytest.mark.parametrize("per_channel", [False, True], ids=["per-tensor", "per-channel"])


def qlinear(groups: int, kernel: int, *, per_channel: bool, output_scale: float = 0.6) -> Execution:
    """onnxruntime's QLinearConv."""
    x, weight, bias = operands(groups, kernel)
    random = np.random.default_rng(1)
    w_scale = random.uniform(0.001, 0.02, 8 if per_channel else ()).astype(np.float32)
    quantization = Quantization(
        x_zero_point=np.array(120, np.uint8),
        w_zero_point=np.zeros(w_scale.shape, np.int8),
        y_zero_point=np.array(130, np.uint8),
        x_scale=np.array(0.02, np.float32),
        w_scale=w_scale,
        y_scale=np.array(output_scale, np.float32),
    )
    side = kernel // 2
    output = by_onnxruntime(
        "QLinearConv",
        {
            "x": x,
            "xs": np.asarray(quantization.x_scale),
            "xz": np.asarray(quantization.x_zero_point),
            "w": weight,
            "ws": w_scale,
            "wz": np.asarray(quantization.w_zero_point),
            "ys": np.asarray(quantization.y_scale),
            "yz": np.asarray(quantization.y_zero_point),
            "b": bias,
        },
        group=groups,
        pads=[side] * 4,
    )
    return execution(x, weight, output, side, groups, bias=bias, quantization=quantization)


def execution(x: Array, weight: Array, output: Array, side: int, groups: int, **others: Any) -> Execution:
    return Execution(
        x=x,
        weight=weight,
        output=output,
        stride=(1, 1),
        padding=((side, side),) * 2,
        dilation=(1, 1),
        groups=groups,
        **others,
    )


@pytest.mark.parametrize(
    ("output_scale", "bias"),
    [(1e-9, 0), (1e9, 0), (0.6, 10**8), (0.6, -(10**8))],
    ids=["saturated-both-ways", "below-a-step", "bias-saturates", "bias-saturates-below"],
)
def test_integers_that_would_be_the_same_without_the_sums_prove_nothing(
    output_scale: float, bias: int
) -> None:
    ran = qlinear(1, 3, per_channel=False, output_scale=output_scale)
    if bias:
        saturated = np.full_like(ran.output, 255 if bias > 0 else 0)
        ran = replace(ran, bias=np.full(8, bias, np.int32), output=saturated)
    verdict = judge(ran)
    assert verdict.status == "vacuous"
    assert "the sums do not show in the output" in verdict.reason
    assert judge(replace(ran, output=np.full_like(ran.output, 7))).status == "mismatch"


@LAYERS
@PER_CHANNEL
def test_onnxruntime_is_honest(groups: int, kernel: int, per_channel: bool) -> None:
    verdict = judge(qlinear(groups, kernel, per_channel=per_channel))
    assert verdict.status in {"exact", "within_rounding"}
    assert verdict.bits is not None
    assert verdict.bits > 7


@LAYERS
@PER_CHANNEL
def test_one_weight_off_by_one_step_is_found_in_its_channel(
    groups: int, kernel: int, per_channel: bool
) -> None:
    honest = qlinear(groups, kernel, per_channel=per_channel)
    weight = honest.weight.copy()
    weight[5, 1, 0, 0] += 1
    verdict = judge(replace(honest, weight=weight))
    assert verdict.status == "mismatch"
    assert verdict.location is not None
    assert verdict.location.startswith("output channel 5")


@LAYERS
def test_a_dropped_zero_point_is_recognised(groups: int, kernel: int) -> None:
    honest = qlinear(groups, kernel, per_channel=False)
    assert honest.quantization is not None
    shifted = replace(honest.quantization, x_zero_point=np.array(0, np.uint8))
    dropped = judge(replace(honest, quantization=shifted))
    assert dropped.status == "mismatch"
    x, weight, _ = operands(groups, kernel)
    side = kernel // 2
    sums = by_onnxruntime("ConvInteger", {"x": x, "w": weight}, group=groups, pads=[side] * 4)
    needed = Quantization(x_zero_point=np.uint8(120))
    if kernel == 1:  # elsewhere the padding tells the two apart
        verdict = judge(execution(x, weight, sums, side, groups, quantization=needed))
        assert "without the input's zero point" in verdict.reason


@LAYERS
@pytest.mark.parametrize("zero_point", [0, 7, 255])
def test_plain_sums_are_exact_or_wrong(groups: int, kernel: int, zero_point: int) -> None:
    x, weight, _ = operands(groups, kernel)
    zero, side = np.array(zero_point, np.uint8), kernel // 2
    sums = by_onnxruntime("ConvInteger", {"x": x, "w": weight, "xz": zero}, group=groups, pads=[side] * 4)
    quantization = Quantization(x_zero_point=zero)
    honest = execution(x, weight, sums, side, groups, quantization=quantization)
    verdict = judge(honest)
    assert (verdict.status, verdict.max_abs_error) == ("exact", 0.0)
    wrong = sums.copy()
    wrong[1, 3, 2, 2] += 1
    verdict = judge(replace(honest, output=wrong))
    assert (verdict.status, verdict.worst_index) == ("mismatch", (1, 3, 2, 2))
    assert verdict.location == "output channel 3; batch item 1; positions 2 x 2"


def one_sum(real: float, output: int, *, y_scale: float = 1.0, **others: Any) -> Execution:
    """A 1x1 layer whose single sum is 10, scaled to ``real``."""
    return Execution(
        x=np.full((1, 1, 1), 5, np.uint8),
        weight=np.full((1, 1, 1), 2, np.int8),
        output=np.full((1, 1, 1), output, np.uint8),
        stride=(1,),
        padding=((0, 0),),
        dilation=(1,),
        quantization=Quantization(
            x_scale=real / 10, w_scale=1.0, y_scale=y_scale, y_zero_point=np.uint8(100)
        ),
        **others,
    )


@pytest.mark.parametrize(
    ("real", "output", "status"),
    [
        pytest.param(3.2, 103, "exact", id="nearest"),
        pytest.param(3.2, 104, "mismatch", id="next"),
        pytest.param(3.7, 103, "mismatch", id="truncated"),
        pytest.param(2.5, 102, "exact", id="tie-to-even"),
        pytest.param(2.5, 103, "within_rounding", id="tie-away"),
        pytest.param(2.5 - 1e-7, 103, "within_rounding", id="within-scaling-error-of-a-tie"),
        pytest.param(2.5 - 1e-5, 103, "mismatch", id="beyond-scaling-error-of-a-tie"),
        pytest.param(1000.0, 255, "vacuous", id="saturated-above"),
        pytest.param(-1000.0, 0, "vacuous", id="saturated-below"),
        pytest.param(1000.0, 254, "mismatch", id="saturated-too-early"),
    ],
)
def test_only_ties_may_round_either_way(real: float, output: int, status: str) -> None:
    assert judge(one_sum(real, output)).status == status


def test_an_activation_applies_to_the_real_value() -> None:
    assert judge(one_sum(30.0, 130, activation=Activation(name="Relu"))).status == "exact"
    assert judge(one_sum(-30.0, 100, activation=Activation(name="Relu"))).status == "vacuous"
    assert judge(one_sum(-30.0, 70, activation=Activation(name="Relu"))).status == "mismatch"


def test_sums_beyond_the_accumulator_wrap_around() -> None:
    x = np.full((1, 40_000, 1), 255, np.uint8)
    weight = np.full((1, 40_000, 1), 255, np.uint8)
    total = 40_000 * 255 * 255 - 2**32
    wrapped = Execution(
        x=x,
        weight=weight,
        output=np.full((1, 1, 1), total, np.int32),
        stride=(1,),
        padding=((0, 0),),
        dilation=(1,),
        quantization=Quantization(),
    )
    assert judge(wrapped).status == "exact"
    assert judge(replace(wrapped, output=wrapped.output + 1)).status == "mismatch"


def test_an_input_at_its_zero_point_is_vacuous() -> None:
    honest = one_sum(3.2, 100)
    assert honest.quantization is not None
    silent = replace(honest, quantization=replace(honest.quantization, x_zero_point=np.uint8(5)))
    assert judge(silent).status == "vacuous"
