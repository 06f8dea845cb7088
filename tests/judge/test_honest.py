"""No honest kernel is accused, however odd the data; and how much of the bounds honest kernels use.

Random layers are run by torch and by onnxruntime, plain and optimised.
"""

from __future__ import annotations

import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from convaudit.judge import channels, comparison, rounding
from convaudit.judge.execution import Activation, Deformation
from convaudit.judge.problem import Problem
from convaudit.judge.verdict import judge
from tests.judge.kernels import (
    Array,
    Layer,
    attributes_of,
    by_onnxruntime,
    by_onnxruntime_conv,
    by_torch,
    layer,
)

KINDS = ("dense", "pointwise", "grouped", "depthwise")


INPUTS = {"dense": (1, 3, 16, 64, 256), "pointwise": (1, 2, 16, 512, 2048)}
DATA = {
    "normal": lambda x, _: x,
    "relu": lambda x, _: np.maximum(x, 0),
    "image": lambda x, random: random.random(x.shape),
    "pixels": lambda x, random: random.integers(0, 256, x.shape),
    "constant": lambda x, _: np.broadcast_to(x[:1, :, :1, :1], x.shape),
    "few values": lambda x, _: np.floor(x) / 3,
    "heavy tails": lambda x, _: x**5,
    "sparse": lambda x, random: np.where(random.random(x.shape) < 0.05, x, 0),
    "wide range": lambda x, random: x * 10.0 ** random.uniform(-4, 4, (1, x.shape[1], 1, 1)),
}


def random_layer(kind: str, random: np.random.Generator) -> Layer:
    """A layer of ordinary size with extraordinary data."""
    choice = random.choice
    inputs = int(choice(INPUTS.get(kind, (16, 64))))
    outputs = int(choice((1, 3, 16, 64))) if kind in INPUTS else inputs
    groups = {"grouped": inputs // 4, "depthwise": inputs}.get(kind, 1)
    kernel, dilation = (1, 1) if kind == "pointwise" else (int(choice((3, 5))), int(choice((1, 2))))
    size = int(choice((1, 2, 7, 14, 28)))
    x = random.standard_normal((int(choice((1, 3))), inputs, size, size))
    x = DATA[str(choice(list(DATA)))](x, random)
    weight = random.standard_normal((outputs, inputs // groups, kernel, kernel))
    weight *= 10.0 ** random.uniform(-3, 3, (outputs, 1, 1, 1))
    if random.random() < 0.2:
        weight = np.abs(weight)
    if random.random() < 0.2:
        weight *= random.random(weight.shape) < 0.1
    bias = random.standard_normal(outputs) * 10.0 ** random.uniform(-3, 3)
    return Layer(
        x=x.astype(np.float32),
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32) if random.random() < 0.6 else None,
        stride=int(choice((1, 2))),
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", KINDS)
def test_no_honest_kernel_is_accused(kind: str, seed: int) -> None:
    tested = random_layer(kind, np.random.default_rng([KINDS.index(kind), seed]))
    outputs = by_torch(tested), by_onnxruntime_conv(tested), by_onnxruntime_conv(tested, optimized=False)
    for output in outputs:
        verdict = judge(tested.ran(output))
        assert verdict.status in {"exact", "within_rounding", "vacuous"}, verdict
        if verdict.status == "vacuous":
            assert np.ptp(output, axis=(0, 2, 3)).max() == 0, "only the bias arrived"


ORDINARY = [
    pytest.param(kind, relu, id=f"{kind}-relu" if relu else kind) for kind in KINDS for relu in (False, True)
]


def ordinary_layers(kind: str, relu: bool) -> list[Layer]:
    shapes = {
        "dense": [(3, 32, 7, 28, 1), (16, 16, 3, 14, 1), (64, 32, 3, 14, 1), (512, 64, 3, 7, 1)],
        "pointwise": [(16, 96, 1, 28, 1), (96, 24, 1, 14, 1), (512, 128, 1, 7, 1), (2048, 64, 1, 7, 1)],
        "grouped": [(32, 32, 3, 14, 8), (128, 128, 3, 14, 4), (256, 256, 3, 7, 32)],
        "depthwise": [(32, 32, 3, 28, 32), (64, 64, 5, 14, 64), (96, 96, 7, 14, 96)],
    }[kind]
    return [
        layer(inputs, outputs, kernel, size, groups=groups, relu=relu, seed=index)
        for index, (inputs, outputs, kernel, size, groups) in enumerate(shapes)
    ]


@pytest.mark.parametrize(("kind", "relu"), ORDINARY)
def test_ordinary_layers_use_half_of_the_headroom(
    kind: str, relu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "HEADROOM", channels.HEADROOM / 2)
    for tested in ordinary_layers(kind, relu):
        for output in (by_torch(tested), by_onnxruntime_conv(tested)):
            assert judge(tested.ran(output)).status == "within_rounding"


@pytest.mark.parametrize(("kind", "relu"), ORDINARY)
def test_lambda_is_confirmed(kind: str, relu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real errors, of which the model assumes independence, stay a factor of 4 below lambda*sqrt(n)*u*S."""
    monkeypatch.setattr(comparison, "ENOUGH_TERMS", 10**9)  # all of S
    for tested in ordinary_layers(kind, relu):
        problem = Problem(execution=tested.ran(by_torch(tested)))
        held = comparison.compare(problem)
        unit, terms = held.precision.accumulator, problem.terms
        probable = rounding.deviations(terms, math.prod(problem.shape)) * np.sqrt(terms) * unit
        assert held.deviation.worst_ratio * held.error_bound.tolerance.growth < probable / 4


HALVES = [
    pytest.param(np.float16, id="float16"),
    pytest.param(ml_dtypes.bfloat16, id="bfloat16"),
    pytest.param(np.float64, id="float64"),
]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("kind", KINDS)
def test_other_precisions_are_judged_by_their_own_unit(kind: str, dtype: type) -> None:
    for tested in ordinary_layers(kind, relu=False):
        assert tested.bias is not None
        narrow = tested.but(
            x=tested.x.astype(dtype), weight=tested.weight.astype(dtype), bias=tested.bias.astype(dtype)
        )
        output = by_torch(narrow)
        assert judge(narrow.ran(output)).status in {"exact", "within_rounding"}
        weight = narrow.weight.copy()
        weight[5] = weight[5] * 2
        wrong = judge(narrow.ran(by_torch(narrow.but(weight=weight))))
        assert (wrong.status, wrong.location) == ("mismatch", "output channel 5")


def test_onnxruntime_float16_is_honest() -> None:
    tested = layer(32, 16, 3, 14)
    assert tested.bias is not None
    narrow = tested.but(
        x=tested.x.astype(np.float16),
        weight=tested.weight.astype(np.float16),
        bias=tested.bias.astype(np.float16),
    )
    assert judge(narrow.ran(by_onnxruntime_conv(narrow))).status in {"exact", "within_rounding"}


ACTIVATIONS = [
    pytest.param(Activation(name="Relu"), id="relu"),
    pytest.param(Activation(name="LeakyRelu", params=(0.1,)), id="leaky-relu"),
    pytest.param(Activation(name="Sigmoid"), id="sigmoid"),
    pytest.param(Activation(name="Tanh"), id="tanh"),
    pytest.param(Activation(name="Clip", params=(0.0, 6.0)), id="clip"),
    pytest.param(Activation(name="HardSigmoid", params=(0.2, 0.5)), id="hard-sigmoid"),
]


@pytest.mark.parametrize("with_residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_convolutions_are_judged_behind_their_activation(
    activation: Activation, with_residual: bool
) -> None:
    for tested in ordinary_layers("dense", relu=True):
        residual = np.ones_like(by_torch(tested)) / 3 if with_residual else None
        execution = replace(
            tested.ran(fused(tested, activation, residual)), activation=activation, residual=residual
        )
        assert judge(execution).status == "within_rounding"
        weight = tested.weight.copy()
        weight[7] = weight[7] * np.float32(1.01)
        wrong = fused(tested.but(weight=weight), activation, residual)
        verdict = judge(replace(execution, output=wrong))
        assert (verdict.status, verdict.location) == ("mismatch", "output channel 7")


def fused(tested: Layer, activation: Activation, residual: Array | None) -> Array:
    """onnxruntime's FusedConv."""
    assert tested.bias is not None
    operands = {"x": tested.x, "w": tested.weight, "b": tested.bias}
    if residual is not None:
        operands["z"] = residual
    parameters = {"activation_params": list(activation.params)} if activation.params else {}
    return by_onnxruntime(
        "FusedConv",
        operands,
        domain="com.microsoft",
        activation=activation.name,
        **parameters,
        **attributes_of(tested),
    )


@pytest.mark.parametrize("size", [7, 20])
def test_deformable_convolution_is_judged_with_its_coordinates_rounding(size: int) -> None:
    tested, random = layer(32, 16, 3, size, groups=2), np.random.default_rng(0)
    assert tested.bias is not None
    offset = random.standard_normal((1, 2 * 2 * 9, size, size)).astype(np.float32) * 2
    mask = random.standard_normal((1, 2 * 9, size, size)).astype(np.float32)

    def run(weight: Array) -> Array:
        assert tested.bias is not None
        operands = {"x": tested.x, "w": weight, "o": offset, "b": tested.bias, "m": mask}
        return by_onnxruntime("DeformConv", operands, offset_group=2, pads=[1] * 4, group=2)

    deformation = Deformation(offset=offset, mask=mask, offset_groups=2)
    execution = replace(tested.ran(run(tested.weight)), deformation=deformation)
    assert judge(execution).status == "within_rounding"
    weight = tested.weight.copy()
    weight[9] = weight[9] * np.float32(1.001)
    verdict = judge(replace(execution, output=run(weight)))
    assert (verdict.status, verdict.location) == ("mismatch", "output channel 9")
