"""Layers outside of their model: beside themselves, and beside their groups=1 twin."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto

from convaudit.feeds import open_sizes
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer.alone import AloneSamples, time_alone
from convaudit.frontends.onnx.timer.schedule import LEAST_ROUNDS
from convaudit.records.timing import Roofs
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.verifier.cases import chain, plain, stored


def timed(
    source: ModelProto, seconds: float = 30.0, **how: Any
) -> tuple[tuple[AloneSamples, ...], Roofs | None]:
    found = walked(source)
    sizes = open_sizes(found.network)
    return time_alone(found, Settings(threads=1), TimeRequest(**how), sizes=sizes, seconds=seconds)


def test_a_grouped_layer_is_timed_beside_its_twin():
    ((layer,), roofs) = timed(plain("<group=2, pads=[1,1,1,1]>", w="6,2,3,3"))
    assert len(layer.alone) == len(layer.dense) == len(layer.itself) >= LEAST_ROUNDS
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
    ((layer,), _) = timed(plain("<group=2>", w="6,2,3,3"), memory_bytes=1000)
    assert layer.alone
    assert layer.dense == ()
    assert layer.reason is not None
    assert "its groups=1 twin: with groups=1 it needs" in layer.reason
    assert "more than the 1.00 kB of --memory" in layer.reason


def test_layers_of_equal_shapes_are_timed_once():
    told: list[int] = []
    layers, _ = timed(chain(3), progress=told.append)
    assert len(layers) == 3
    assert len({layer.alone for layer in layers}) == 1
    assert told == [3]


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
