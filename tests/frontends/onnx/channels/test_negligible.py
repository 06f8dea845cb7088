"""Negligible kernels are found where bounds prove them, and leaving them out changes rounding only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.negligible import certified
from convaudit.frontends.onnx.channels.within_rounding import Ignored, claims_within_rounding
from convaudit.records.findings import Claim, Region
from tests.frontends.onnx.models import model, values, walked

_IN, _OUT = 4, 3


def network(body: str, *, weight: np.ndarray, bias: np.ndarray | None = None) -> ModelProto:
    """Layer ``second`` with this weight behind ``body``, which makes ``s`` of the first layer's ``c``."""
    given = "s, w, b" if bias is not None else "s, w"
    proto = model(
        f"g (float[1,2,6,6] x) => (float[N,C,H,W] y) <{values('first', 4, 2, 1, 1)}, float six = {{6}}, "
        f"float one = {{1}}, float[1,4,1,1] steep = {{1000,0,0,0}}> "
        f"{{ [first] c = Conv(x, first)\n{body}\n[second] y = Conv({given}) }}"
    )
    proto.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), "w"))
    if bias is not None:
        proto.graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), "b"))
    return proto


def tiny(*kernels: tuple[int, int], size: float = 1e-12, taps: tuple[int, int] = (1, 1)) -> np.ndarray:
    """A weight of which these kernels are tiny."""
    weight = np.ones((_OUT, _IN, *taps))
    for kernel in kernels:
        weight[kernel] = size
    return weight


def found(proto: ModelProto) -> dict[str, list[tuple[int, int]]]:
    """Negligible kernels as (filter, channel)."""
    seen = walked(proto)
    masks = certified(seen, analyse(seen)).kernels
    return {name: [(int(k), int(c)) for _, k, c in np.argwhere(mask)] for name, mask in masks.items()}


_ONES = np.ones(_OUT)
_SIGMOID = "s = Sigmoid(c)"


@pytest.mark.parametrize(
    ("body", "weight", "bias", "expected"),
    [
        pytest.param(_SIGMOID, tiny((0, 1), (2, 3)), _ONES, [(0, 1), (2, 3)], id="sigmoid"),
        pytest.param(_SIGMOID, tiny((0, 1)), _ONES * [0, 1, 1], [], id="no-bias-there"),
        pytest.param(_SIGMOID, tiny((0, 1)), None, [], id="no-bias-at-all"),
        pytest.param(_SIGMOID, np.ones((0, _IN, 1, 1)), None, [], id="no-filters"),
        pytest.param("s = Add(t, one)\n", tiny((0, 1)), None, [(0, 1)], id="others-are-not-small"),
        pytest.param("s = Relu(c)", tiny((0, 1)), _ONES, [], id="relu-is-unbounded"),
        pytest.param("r = Sigmoid(c)\nt = Add(r, steep)\ns = Exp(t)", tiny(), None, [], id="overflow"),
        pytest.param("s = Clip(c, , six)", tiny((0, 1)), _ONES, [], id="bounded-above-only"),
        pytest.param("r = Relu(c)\ns = Clip(r, , six)", tiny((0, 1)), _ONES, [(0, 1)], id="relu6"),
        pytest.param(_SIGMOID, tiny((0, 1), size=1e-7), _ONES, [], id="too-large"),
        pytest.param(_SIGMOID, tiny((0, 1), size=5.5e-8), _ONES, [(0, 1)], id="just-small-enough"),
        pytest.param(_SIGMOID, tiny((0, 1), (0, 2), size=5.5e-8), _ONES, [(0, 1)], id="not-both-together"),
        pytest.param(_SIGMOID, tiny((0, 1), size=5e-8, taps=(1, 2)), _ONES, [], id="taps-together"),
        pytest.param(
            _SIGMOID, tiny((0, 0), (0, 1), (0, 2), (0, 3)), _ONES, list(np.ndindex(1, 4)), id="whole-filter"
        ),
        pytest.param(_SIGMOID, tiny((0, 1), size=0.0), _ONES, [], id="zero-is-not-negligible-but-exact"),
    ],
)  # fmt: skip
def test_only_what_bounds_prove_is_negligible(
    body: str, weight: np.ndarray, bias: np.ndarray | None, expected: list[tuple[int, int]]
) -> None:
    body = f"t = Sigmoid(c)\n{body}" if "(t," in body else body
    assert found(network(body, weight=weight, bias=bias)) == ({"second": expected} if expected else {})


def test_a_bias_that_a_caller_may_change_certifies_nothing() -> None:
    proto = network(_SIGMOID, weight=tiny((0, 1)), bias=_ONES)
    assert found(proto)
    proto.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [_OUT]))
    assert not found(proto)


def test_padding_is_zero_beside_other_channels() -> None:
    proto = network("t = Sigmoid(c)\ns = Add(t, one)", weight=tiny((0, 1)))
    assert found(proto)
    proto.graph.node[-1].attribute.add(name="pads", ints=[1, 1, 1, 1], type=7)
    assert not found(proto)


def _run(proto: ModelProto, x: np.ndarray, level: GraphOptimizationLevel) -> np.ndarray:
    options = SessionOptions()
    options.graph_optimization_level = level
    session = InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0], np.float64)


@pytest.mark.parametrize("seed", range(8))
def test_leaving_them_out_changes_rounding_only(seed: int) -> None:
    generator = np.random.default_rng(seed)
    weight = generator.normal(0, 1, (_OUT, _IN, 3, 3)) * 10.0 ** generator.uniform(-12, 0, (_OUT, _IN, 1, 1))
    bias = generator.normal(0, 1, _OUT)
    proto = network(_SIGMOID, weight=weight, bias=bias)
    ignored = found(proto).get("second", [])
    assert ignored
    kept = weight.copy()
    for kernel in ignored:
        kept[kernel] = 0
    x = generator.normal(0, 10, (1, 2, 6, 6)).astype(np.float32)
    before, after = (
        _run(network(_SIGMOID, weight=one, bias=bias), x, GraphOptimizationLevel.ORT_DISABLE_ALL)
        for one in (weight, kept)
    )
    terms = _IN * 9 + 1
    sums = np.abs(bias).reshape(-1, 1, 1) + np.abs(weight).sum(axis=(1, 2, 3)).reshape(-1, 1, 1)
    assert (np.abs(before - after) <= terms * 2.0**-24 * sums).all()


def _claim(rule: str, *channels: int, layer: str = "a") -> Claim:
    region = Region(layer=layer, outputs=channels)
    return Claim(rule=rule, layer=layer, channels=channels, message="m", regions=(region,), fixable=True)


_STUCK = replace(_claim("CA101", 1), fixable=False, reason="it is padded")


@pytest.mark.parametrize(
    ("exact", "rounded", "expected"),
    [
        pytest.param([], [_claim("CA101", 1, 2)], [("a", (1, 2))], id="constant"),
        pytest.param([_claim("CA101", 1)], [_claim("CA101", 1, 2)], [("a", (2,))], id="some-are-exact"),
        pytest.param([_claim("CA101", 1)], [_claim("CA102", 1)], [], id="exact-by-another-rule"),
        pytest.param([_claim("CA101", 1, layer="b")], [_claim("CA102", 1)], [("a", (1,))], id="elsewhere"),
        pytest.param([_STUCK], [_claim("CA102", 1)], [("a", (1,))], id="only-so-fixable"),
        pytest.param([], [_claim("CA204", 1), _claim("CA104", 1)], [], id="other-rules"),
    ],
)  # fmt: skip
def test_what_is_exact_is_not_claimed_again_within_rounding(
    exact: list[Claim], rounded: list[Claim], expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    step = Ignored(kernels={}, shares={"a": 1e-20}, basis="here")
    claims = claims_within_rounding(exact, [step], lambda ignored: rounded)
    assert [(one.layer, one.channels) for one in claims] == expected
    assert all("at most 1.0e-20 of" in one.message for one in claims)
    assert all(one.rule == "CA103" and one.certainty == "within_rounding" and one.fixable for one in claims)
