"""What the runtime makes of a convolution is found again, whatever it fuses, renames and leaves out."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from onnx import ModelProto

from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer import time_model
from convaudit.records import Optimization
from convaudit.records.timing import Timed
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.verifier import cases

QUICK = TimeRequest(budget_seconds=0.01, alone=False)
QUANTISED = "<float s = {0.1}, uint8 z = {128}, int8 zw = {0}>"


def timed(model: ModelProto, level: Optimization = "all") -> Timed:
    return time_model(walked(model), {}, Settings(threads=1, optimization=level), QUICK)


def graph(
    weights: str, nodes: str, *, x: str = "float[1, 32, 8, 8]", y: str = "float", extra: str = ""
) -> Any:
    """A model of x and stored weights, one of them a line: "float[4, 4, 3, 3] w"."""
    inputs = ", ".join([f"{x} x", *weights.split("; ")])
    names = [weight.split()[-1] for weight in weights.split("; ")]
    return cases.stored(f"m ({inputs}) => ({y}[N, C, H, W] y) {extra} {{ {nodes} }}", *names)


W, V, U = "float[32, 32, 3, 3] w", "float[32, 32, 1, 1] v", "float[32, 32, 1, 1] u"
EVERY_ONE_RUNS = [
    pytest.param(graph(W, "a = Conv(x, w) y = Relu(a)"), id="relu"),
    pytest.param(graph(W, "a = Conv(x, w) y = Clip(a)"), id="clip"),
    pytest.param(graph(f"{W}; {V}", "a = Conv(x, w) b = Conv(a, v) y = HardSwish(b)"), id="nameless-nodes"),
    pytest.param(
        graph(f"{W}; {V}", "a = Conv(x, w) p = Conv(x, w) b = Conv(a, v) y = Sub(b, p)"), id="equals"
    ),
    pytest.param(graph(f"{V}; {U}", "a = Conv(x, v) b = Conv(x, u) c = Add(a, b) y = Relu(c)"), id="sum"),
    pytest.param(
        graph(
            f"{V}; {U}",
            "a = Conv(x, v) b = Conv(x, v) d = Conv(x, u) c = Add(a, b) e = Add(c, d) y = Relu(e)",
        ),
        id="sum-of-three",
    ),
    pytest.param(
        graph(
            f"{W}; float[32] s; float[32] t",
            "p = Abs(t) a = Conv(x, w) b = BatchNormalization(a, s, s, s, p) y = Relu(b)",
        ),
        id="batch-norm",
    ),
    pytest.param(graph(f"{W}; float[32, 1, 1] s", "a = Conv(x, w) b = Mul(a, s) y = Add(b, s)"), id="folded"),
    pytest.param(
        graph(W, "a = Pad(x, p) y = Conv(a, w)", extra="<int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}>"), id="pad"
    ),
    pytest.param(graph(W, "a = ConvTranspose(x, w) y = Relu(a)"), id="transposed"),
    pytest.param(
        graph("float[32, 32, 3, 3] w; float[1, 18, 6, 6] o", "a = DeformConv(x, w, o) y = Relu(a)"),
        id="deformable",
    ),
    pytest.param(graph(W, 'y = com.microsoft.FusedConv <activation = "Relu"> (x, w)'), id="fused"),
    pytest.param(
        graph(
            "float16[32, 32, 3, 3] w",
            "a = Conv(x, w) y = Relu(a)",
            x="float16[1, 32, 8, 8]",
            y="float16",
        ),
        id="float16",
    ),
    pytest.param(
        graph(
            "uint8[32, 32, 3, 3] w",
            "a = ConvInteger(x, w, z) y = Cast <to = 1> (a)",
            x="uint8[1, 32, 8, 8]",
            extra=QUANTISED,
        ),
        id="integers",
    ),
    pytest.param(
        graph(
            "int8[32, 32, 3, 3] w; int8[32, 4, 3, 3] v; int8[32, 32, 1, 1] u",
            "a = QLinearConv(x, s, z, w, s, zw, s, z) b = QLinearConv <group = 8> (a, s, z, v, s, zw, s, z)"
            " y = QLinearConv(b, s, z, u, s, zw, s, z)",
            x="uint8[1, 32, 8, 8]",
            y="uint8",
            extra=QUANTISED,
        ),
        id="quantised",
    ),
    pytest.param(
        graph(
            "int8[32, 32, 3, 3] w; int8[32, 32, 1, 1] v",
            "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) dw = DequantizeLinear(w, s, zw)"
            " a = Conv(d, dw) q2 = QuantizeLinear(a, s, z) d2 = DequantizeLinear(q2, s, z)"
            " dv = DequantizeLinear(v, s, zw) b = Conv(d2, dv) q3 = QuantizeLinear(b, s, z)"
            " y = DequantizeLinear(q3, s, z)",
            extra=QUANTISED,
        ),
        id="between-quantisers",
    ),
    pytest.param(
        graph(
            f"{W}; {V}",
            "k = If (c) <then_branch = t () => (float[n, m, h, l] a) { o = Conv(x, w) a = Conv(o, v) },"
            " else_branch = e () => (float[n, m, h, l] b) { b = Relu(x) }> y = Relu(k)",
            extra="<bool c = {1}>",
        ),
        id="constant-condition",
    ),
    pytest.param(cases.loop_model(), id="loop"),
    pytest.param(cases.scan_model(), id="scan"),
]
LEVELS = get_args(Optimization)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("model", EVERY_ONE_RUNS)
def test_every_kernel_belongs_to_a_convolution_or_another_op(model: ModelProto, level: Optimization) -> None:
    found = timed(model, level)
    for position, layer in enumerate(found.layers):
        same = layer.reason is not None and "computes it once, as" in layer.reason
        assert same or layer.kernel is not None, (position, layer.reason)
    assert [part for part in found.parts if part.kind == "unattributed"] == []
    assert not any("Conv" in part.name for part in found.parts)


def test_functions_called_twice_have_layers_of_their_own() -> None:
    found = timed(cases.function_model())
    assert all(layer.kernel is not None and layer.in_model for layer in found.layers)


ABSENT = [
    pytest.param(cases.if_model(), 1, r"^the body If_0/else_branch did not run on this input$", id="branch"),
    pytest.param(
        graph(f"{W}; float[1, 32, 8, 8] k", "a = Conv(k, w) c = Conv(x, w) y = Add(c, a)"),
        0,
        r"^it depends on no input: the runtime computed it as it loaded the model$",
        id="constant",
    ),
]


@pytest.mark.parametrize(("model", "position", "reason"), ABSENT)
def test_a_convolution_without_a_kernel_says_why(model: ModelProto, position: int, reason: str) -> None:
    layer = timed(model).layers[position]
    assert not layer.in_model
    assert re.search(reason, layer.reason or "")


def test_of_two_that_are_equal_one_names_the_other() -> None:
    model = graph(W, "a = Conv(x, w) b = Conv(x, w) c = Relu(b) y = Add(a, c)")
    for level in LEVELS[:3]:
        reasons = [layer.reason for layer in timed(model, level).layers]
        other = "the runtime computes it once, as Conv_{}, which is the same"
        assert reasons in ([None, other.format(0)], [other.format(1), None])


def test_a_factor_for_each_channel_that_becomes_a_convolution_is_another_op() -> None:
    model = graph(
        f"{W}; float[32] s; float[32] t",
        "v = Abs(t) b = BatchNormalization(x, s, s, s, v) r = Relu(b) y = Conv(r, w)",
    )
    parts = {part.name for part in timed(model).parts if part.kind == "other_op"}
    assert parts >= {"BatchNormalization"}


def test_a_convolution_of_a_loop_has_the_time_of_all_iterations() -> None:
    few, many = (timed(cases.loop_model(trips)).layers[0] for trips in (1, 400))
    assert sum(many.in_model) / len(many.in_model) > sum(few.in_model) / len(few.in_model)


def test_nodes_of_one_name_are_told_apart() -> None:
    model = graph(f"{W}; {V}", "[same] a = Conv(x, w) [same] b = Conv(a, v) [same] y = Relu(b)")
    found = timed(model, "disabled")
    assert [layer.kernel for layer in found.layers] == ["Conv", "Conv"]
    assert [(part.name, part.count) for part in found.parts if part.kind == "other_op"] == [("Relu", 1)]
