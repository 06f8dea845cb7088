"""Faults planted into a runtime's result: each must be found, classed and located, whatever the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from convaudit.judge.verdict import judge
from tests.judge.kernels import (
    Array,
    Layer,
    accumulated_in_bfloat16,
    by_torch,
    by_winograd,
    layer,
    to_bfloat16,
    to_tf32,
)

LAYERS = {
    "dense-n9": layer(1, 8, 3, 14),
    "dense-n27-relu": layer(3, 16, 3, 28, relu=True),
    "dense-n576": layer(64, 32, 3, 14),
    "dense-n4608-relu": layer(512, 64, 3, 7, relu=True),
    "strided-n144": layer(16, 16, 3, 15, stride=2, images=2),
    "dilated-n144": layer(16, 16, 3, 14, dilation=2),
    "pointwise-n64": layer(64, 64, 1, 14),
    "pointwise-n1024-relu": layer(1024, 128, 1, 7, relu=True),
    "grouped-n36": layer(32, 32, 3, 14, groups=8),
    "grouped-n144-relu": layer(64, 32, 3, 14, groups=4, relu=True),
    "depthwise-n9": layer(32, 32, 3, 14, groups=32),
    "depthwise-n49-relu": layer(16, 32, 7, 14, groups=16, relu=True),
}


def cases(keep: Callable[[Layer], bool] = lambda _: True) -> pytest.MarkDecorator:
    kept = [pytest.param(each, id=name) for name, each in LAYERS.items() if keep(each)]
    return pytest.mark.parametrize("honest", kept)


def has_kernel(honest: Layer) -> bool:
    return bool(honest.weight.shape[2] > 1)


def is_grouped(honest: Layer) -> bool:
    return honest.groups > 1


def padded(honest: Layer, before: int, after: int, mode: str = "constant") -> Layer:
    """The layer with its input padded beforehand."""
    x = np.pad(honest.x, ((0, 0), (0, 0), (before, after), (before, after)), mode=mode)  # type: ignore[call-overload]
    return honest.but(x=x, padding=0)


@cases()
def test_the_honest_kernel_is_not_accused(honest: Layer) -> None:
    verdict = judge(honest.ran(by_torch(honest)))
    assert verdict.status == "within_rounding"
    assert verdict.bits is not None
    assert 21 < verdict.bits < 26


@cases()
def test_one_weight_changed_by_a_thousandth_is_found_in_its_channel(honest: Layer) -> None:
    channel = len(honest.weight) // 2
    weight = honest.weight.copy()
    filter_ = weight[channel].reshape(-1)
    typical = np.abs(np.abs(filter_) - np.sqrt(np.square(filter_).mean())).argmin()
    filter_[typical] *= np.float32(1.001)
    verdict = judge(honest.ran(by_torch(honest.but(weight=weight))))
    assert (verdict.status, verdict.location) == ("mismatch", f"output channel {channel}")


@cases()
def test_a_missing_bias_is_recognised(honest: Layer) -> None:
    verdict = judge(honest.ran(by_torch(honest.but(bias=None))))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")
    assert "without the bias" in verdict.reason


@cases()
def test_one_missing_bias_is_found_in_its_channel(honest: Layer) -> None:
    assert honest.bias is not None
    bias = honest.bias.copy()
    bias[3] = 0
    verdict = judge(honest.ran(by_torch(honest.but(bias=bias))))
    assert (verdict.status, verdict.location) == ("mismatch", "output channel 3")


@cases(is_grouped)
def test_filters_in_the_wrong_group_order(honest: Layer) -> None:
    by_group = honest.weight.reshape(honest.groups, -1, *honest.weight.shape[1:])
    reversed_ = honest.but(weight=by_group[::-1].reshape(honest.weight.shape))
    verdict = judge(honest.ran(by_torch(reversed_)))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")


@cases(is_grouped)
def test_two_groups_swapped_are_found_in_these(honest: Layer) -> None:
    by_group = honest.weight.reshape(honest.groups, -1, *honest.weight.shape[1:]).copy()
    by_group[[1, 2]] = by_group[[2, 1]]
    verdict = judge(honest.ran(by_torch(honest.but(weight=by_group.reshape(honest.weight.shape)))))
    per_group = len(honest.weight) // honest.groups
    where = "groups 1, 2" if per_group > 1 else "output channels 1, 2"
    assert (verdict.status, verdict.location) == ("mismatch", where)


@cases(lambda honest: 1 < honest.groups < honest.x.shape[1])
def test_groups_ignored_as_interleaved_channels_are_recognised(honest: Layer) -> None:
    by_group = honest.x.reshape(len(honest.x), honest.groups, -1, *honest.x.shape[2:])
    verdict = judge(honest.ran(by_torch(honest.but(x=by_group.swapaxes(1, 2).reshape(honest.x.shape)))))
    assert verdict.status == "mismatch"
    assert "assigned to the groups in turn" in verdict.reason


@cases(is_grouped)
def test_groups_ignored_as_a_dense_sum_over_all_channels(honest: Layer) -> None:
    # What a kernel computes that repeats each filter over all groups' channels.
    repeated = honest.but(weight=honest.weight.repeat(honest.groups, axis=1), groups=1)
    verdict = judge(honest.ran(by_torch(repeated)))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")


@cases(has_kernel)
def test_padding_on_the_wrong_side(honest: Layer) -> None:
    verdict = judge(honest.ran(by_torch(padded(honest, 2 * honest.padding, 0))))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")


@cases(has_kernel)
def test_padding_by_reflection_is_found_at_the_borders(honest: Layer) -> None:
    verdict = judge(honest.ran(by_torch(padded(honest, honest.padding, honest.padding, "reflect"))))
    assert (verdict.status, verdict.location) == ("mismatch", "borders")


@cases(has_kernel)
def test_a_dropped_dilation_is_recognised(honest: Layer) -> None:
    kernel = honest.weight.shape[2]
    dilated = honest.but(dilation=honest.dilation + 1, padding=(honest.dilation + 1) * (kernel // 2))
    verdict = judge(dilated.ran(by_torch(dilated.but(dilation=1, padding=kernel // 2))))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")
    assert "without the dilation" in verdict.reason


@cases(has_kernel)
def test_a_stride_phase_off_by_one_is_recognised(honest: Layer) -> None:
    strided = honest.but(stride=2)
    late = padded(strided, honest.padding - 1, honest.padding + 1)
    verdict = judge(strided.ran(by_torch(late)))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")
    assert "one position later" in verdict.reason


@cases(has_kernel)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda weight: weight.swapaxes(2, 3), "transposed kernel", id="transposed"),
        pytest.param(lambda weight: weight[:, :, ::-1, ::-1], "flipped kernel", id="flipped"),
    ],
)
def test_a_turned_kernel_is_recognised(honest: Layer, change: Callable[[Array], Array], words: str) -> None:
    verdict = judge(honest.ran(by_torch(honest.but(weight=change(honest.weight).copy()))))
    assert (verdict.status, verdict.location) == ("mismatch", "everywhere")
    assert words in verdict.reason


@cases()
@pytest.mark.parametrize(
    ("rounded", "name", "bits"),
    [pytest.param(to_tf32, "TF32", 11, id="tf32"), pytest.param(to_bfloat16, "bfloat16", 8, id="bf16")],
)
def test_rounded_operands_are_named(
    honest: Layer, rounded: Callable[[Array], Array], name: str, bits: int
) -> None:
    inexact = honest.but(x=rounded(honest.x), weight=rounded(honest.weight))
    verdict = judge(honest.ran(by_torch(inexact)))
    assert (verdict.status, verdict.format, verdict.location) == ("low_accuracy", name, None)
    assert verdict.bits == pytest.approx(bits + 0.7, abs=0.7)


@cases()
def test_a_rounded_weight_alone_is_named(honest: Layer) -> None:
    verdict = judge(honest.ran(by_torch(honest.but(weight=to_tf32(honest.weight)))))
    assert (verdict.status, verdict.format) == ("low_accuracy", "TF32")
    assert "the weight alone" in verdict.reason


@cases()
def test_an_output_rounded_to_bfloat16_is_named(honest: Layer) -> None:
    verdict = judge(honest.ran(to_bfloat16(by_torch(honest))))
    assert (verdict.status, verdict.format) == ("low_accuracy", "bfloat16 output")


@cases()
def test_accumulation_in_bfloat16_is_named(honest: Layer) -> None:
    verdict = judge(honest.ran(accumulated_in_bfloat16(honest)))
    assert (verdict.status, verdict.format) == ("low_accuracy", "bfloat16 accumulation")


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize(("inputs", "kernel"), [(1, 1), (2, 1), (1, 3)], ids=["n1", "n2", "n9"])
def test_an_input_that_was_rounded_to_be_looked_at_is_no_fault(inputs: int, kernel: int, half: type) -> None:
    kept = layer(inputs, 1, kernel, 24, bias=False)
    kept = kept.but(weight=kept.weight.astype(half).astype(np.float32))
    seen = kept.but(x=kept.x.astype(half), weight=kept.weight.astype(half))
    verdict = judge(seen.ran(by_torch(kept).astype(half)))
    assert verdict.verified
    assert verdict.format in (None, "float32 input")
    wrong = kept.but(weight=kept.weight * np.float32(1.1))
    assert judge(seen.ran(by_torch(wrong).astype(half))).status == "mismatch"


def test_an_input_in_float32_explains_nothing_of_float32() -> None:
    kept = layer(1, 1, 1, 24, bias=False)
    seen = kept.but(x=kept.x.astype(np.float16).astype(np.float32))
    assert judge(seen.ran(by_torch(kept))).format != "float32 input"


def test_a_wrong_weight_is_found_under_rounded_operands() -> None:
    honest = LAYERS["dense-n27-relu"]
    weight = honest.weight.copy()
    weight[5, 1, 1, 1] *= 2
    inexact = honest.but(x=to_tf32(honest.x), weight=to_tf32(weight))
    verdict = judge(honest.ran(by_torch(inexact)))
    assert (verdict.status, verdict.location) == ("mismatch", "output channel 5")
    assert "even TF32" in verdict.reason


@pytest.mark.parametrize("inputs", [1, 3], ids=["n9", "n27"])
def test_winograd_is_named_where_it_costs_accuracy(inputs: int) -> None:
    honest = layer(inputs, 16, 3, 28, seed=1)
    verdict = judge(honest.ran(by_winograd(honest)))
    assert (verdict.status, verdict.format) == ("low_accuracy", "Winograd")


def test_winograd_over_many_channels_is_within_rounding() -> None:
    """Its sums run over channels only: beside a plain sum over channels and taps it loses nothing."""
    honest = layer(128, 16, 3, 14, seed=1)
    assert judge(honest.ran(by_winograd(honest))).status == "within_rounding"


def test_one_wrong_image_of_a_batch_is_located() -> None:
    honest = layer(16, 8, 3, 9, images=4)
    output = by_torch(honest)
    output[2] *= 1.5
    verdict = judge(honest.ran(output))
    assert (verdict.status, verdict.location) == ("mismatch", "batch item 2")


def test_a_wrong_block_is_located() -> None:
    honest = layer(16, 8, 3, 20)
    output = by_torch(honest)
    output[:, 2:4, 8:12, 5:9] += 0.5
    verdict = judge(honest.ran(output))
    assert verdict.location == "output channels 2, 3; positions 8-11 x 5-8"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30], ids=["nan", "inf", "huge"])
def test_one_wild_element_is_found(value: float) -> None:
    honest = layer(16, 8, 3, 20)
    output = by_torch(honest)
    output[0, 6, 3, 4] = value
    verdict = judge(honest.ran(output))
    assert (verdict.status, verdict.location) == ("mismatch", "output channel 6; positions 3 x 4")
    assert verdict.worst_index == (0, 6, 3, 4)


def test_channels_last_is_located_in_its_own_layout() -> None:
    honest = layer(16, 8, 3, 20)
    output = by_torch(honest)
    output[0, 6, 3, 4] += 1
    execution = honest.ran(output)
    turned = replace(
        execution,
        x=execution.x.transpose(0, 2, 3, 1).copy(),
        output=output.transpose(0, 2, 3, 1).copy(),
        layout="channels_last",
    )
    verdict = judge(turned)
    assert verdict.worst_index == (0, 3, 4, 6)
    assert verdict.location == "output channel 6; positions 3 x 4"


def test_an_unfavourable_order_of_summation_is_low_accuracy_and_no_mismatch() -> None:
    """All negative products first: the partial sums climb far above the result, rounding all the way."""
    plain = layer(16384, 8, 1, 4, bias=False)  # at 8192 the order is only just unfavourable enough
    random = np.random.default_rng(0)
    weight = np.sort(plain.weight.reshape(8, -1), axis=1).reshape(plain.weight.shape)
    honest = plain.but(x=random.random(plain.x.shape, np.float32), weight=weight)
    products = honest.weight.reshape(8, -1, 1) * honest.x.reshape(1, 16384, 16)
    output = np.cumsum(products, axis=1, dtype=np.float32)[:, -1].reshape(1, 8, 4, 4)
    verdict = judge(honest.ran(output))
    assert (verdict.status, verdict.format) == ("low_accuracy", None)
    assert "order of summation" in verdict.reason
