"""Layers outside of their model: beside themselves, and beside their groups=1 twin."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto

from convaudit.feeds import open_sizes
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer.alone import time_alone
from convaudit.records.timing import LayerSamples, Roofs
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.verifier.cases import chain, plain, stored

pytestmark = pytest.mark.usefixtures("few_rounds")


def timed(
    source: ModelProto, seconds: float = 30.0, **how: Any
) -> tuple[tuple[LayerSamples, ...], Roofs | None]:
    found = walked(source)
    sizes = open_sizes(found.network)
    return time_alone(found, Settings(threads=1), TimeRequest(**how), sizes=sizes, seconds=seconds)


def test_a_grouped_layer_is_timed_beside_its_twin():
    ((layer,), roofs) = timed(plain("<group=2, pads=[1,1,1,1]>", w="6,2,3,3"))
    assert len(layer.alone) == len(layer.dense) == len(layer.itself) == 2
    assert min(*layer.alone, *layer.dense, *layer.itself) > 0
    assert layer.kernel is not None
    assert layer.dense_kernel is not None
    assert layer.kernel.startswith("Conv")
    assert layer.dense_kernel.startswith("Conv")
    assert layer.reason is None
    assert roofs is not None
    assert roofs.bytes_per_second > 0
    assert list(roofs.macs_per_second) == ["float32"]


def test_a_dense_layer_has_no_twin():
    ((layer,), _) = timed(plain())
    assert layer.alone
    assert (layer.dense, layer.dense_kernel, layer.reason) == ((), None, None)


def test_too_large_a_twin_is_refused():
    ((layer,), _) = timed(plain("<group=2>", w="6,2,3,3"), memory_bytes=6000)
    assert layer.alone
    assert layer.dense == ()
    assert layer.reason is not None
    assert "its groups=1 twin: with groups=1 it needs" in layer.reason
    assert "more than the 6.00 kB of --memory" in layer.reason


def test_too_large_a_layer_is_refused_before_anything_is_made():
    ((layer,), _) = timed(plain(x="1,4,1000000,1000000"))
    assert layer.alone == ()
    assert layer.reason is not None
    assert layer.reason.endswith("more than the 1.07 GB of --memory")


def test_layers_of_equal_shapes_are_timed_once():
    told: list[int] = []
    layers, _ = timed(chain(3), progress=told.append)
    assert len(layers) == 3
    assert len({layer.alone for layer in layers}) == 1
    assert told == [3]


def test_only_so_many_layers_run_beside_themselves_unless_they_have_groups(monkeypatch):
    monkeypatch.setattr("convaudit.frontends.onnx.timer.alone._MOST_BESIDE_THEMSELVES", 2)
    source = stored(
        "g (float[1,4,8,8] x, float[4,2,1,1] v, float[6,4,1,1] w, float[2,6,1,1] u, float[4,1,1,1] t)"
        " => (float[n,c,h,k] y)"
        " { a = Conv <group=2> (x, v)\n b = Conv (a, w)\n d = Conv (b, u)\n y = Conv <group=2> (d, t) }",
        "v", "w", "u", "t",
    )  # fmt: skip
    layers, _ = timed(source)
    assert all(layer.alone for layer in layers)
    assert [bool(layer.itself) for layer in layers] == [True, False, False, True]


def test_what_has_no_twin_is_timed_and_says_why():
    source = stored(
        "g (float[2,4,9] x, float[4,1,3] w) => (float[n,c,l] y, float[n,c,k] s)"
        " { y, s = com.microsoft.CausalConvWithState (x, w) }",
        "w",
    )
    ((layer,), _) = timed(source)
    assert layer.alone
    assert layer.reason is not None
    assert "it has no form with groups=1" in layer.reason


def test_without_time_every_layer_says_so():
    layers, roofs = timed(chain(2), seconds=0.0)
    assert [layer.alone for layer in layers] == [(), ()]
    assert all(layer.reason and "time budget" in layer.reason for layer in layers)
    assert roofs is None


QDQ = (
    "g (uint8[1,16,9,9] q, int8[16,4,3,3] w, int32[16] b) => (uint8[n,c,h,l] y)"
    " <float s = {0.02}, uint8 z = {128}, float ws = {0.01}, int8 wz = {0}, float bs = {0.0002},"
    " int32 bz = {0}, float ys = {1.0}, uint8 yz = {120}> {"
    " x = DequantizeLinear(q, s, z) v = DequantizeLinear(w, ws, wz) c = DequantizeLinear(b, bs, bz)"
    " a = Conv <group=4, pads=[1,1,1,1]> (x, v, c) BETWEEN y = QuantizeLinear(LAST, ys, yz) }"
)


@pytest.mark.parametrize(
    ("between", "last"),
    [pytest.param("", "a", id="bare"), pytest.param("r = Relu(a)", "r", id="with-relu")],
)
def test_what_quantises_around_a_layer_is_computed_with_it(between, last):
    text = QDQ.replace("BETWEEN", between).replace("LAST", last).replace("yz = {120}", "yz = {0}")
    ((layer,), _) = timed(stored(text, "w", "b"))
    assert (layer.kernel, layer.dense_kernel, layer.reason) == ("QLinearConv", "QLinearConv", None)


@pytest.mark.parametrize(
    ("between", "last"),
    [
        pytest.param("t = Sigmoid(a)", "t", id="another-op-between"),
        pytest.param("t = Neg(a)", "a", id="read-by-another-op"),
    ],
)
def test_what_is_not_computed_with_it_stays_out(between, last):
    ((layer,), _) = timed(stored(QDQ.replace("BETWEEN", between).replace("LAST", last), "w", "b"))
    assert layer.kernel is not None
    assert layer.kernel.startswith("Conv")
