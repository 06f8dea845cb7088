"""One layer at several numbers of groups."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from convaudit.errors import UsageError
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer.sweep import sweep_layer
from convaudit.records.timing import Swept
from tests.frontends.onnx.models import model, walked
from tests.frontends.onnx.verifier.cases import plain, stored

pytestmark = pytest.mark.usefixtures("few_rounds")

SETTINGS = Settings(threads=1)


def swept(source: ModelProto, groups: list[int], name: str = "", **how: object) -> Swept:
    found = walked(source)
    name = name or found.network.layers[0].name
    return sweep_layer(found, name, groups, SETTINGS, TimeRequest(**how))  # type: ignore[arg-type]


DEQUANTIZED = (
    "g (float[1,4,9,9] x, int8[8,2,3,3] q) => (float[n,c,h,l] y) <float[{n}] s = {{{s}}}>"
    " {{ w = DequantizeLinear <axis={axis}> (q, s) y = Conv <group=2> (x, w) }}"
)
FORMS = [
    pytest.param(plain("<group=2, pads=[1,1,1,1]>", w="8,2,3,3"), id="grouped"),
    pytest.param(plain("<group=2>", w="4,4,3,3", op="ConvTranspose"), id="transposed"),
    pytest.param(
        stored(
            "g (uint8[1,4,9,9] x, int8[8,2,3,3] w) => (int32[n,c,h,l] y) <uint8 z = {7}>"
            " { y = ConvInteger <group=2> (x, w, z) }",
            "w",
        ),
        id="integer",
    ),
    pytest.param(
        stored(DEQUANTIZED.format(n=8, axis=0, s="1.,1.,1.,1.,1.,1.,1.,1."), "q"),
        id="dequantised-by-output-channel",
    ),
    pytest.param(stored(DEQUANTIZED.format(n=2, axis=1, s="1.,1."), "q"), id="dequantised-by-input-channel"),
]


@pytest.mark.parametrize("source", FORMS)
def test_every_number_of_groups_is_timed_in_the_same_rounds(source):
    found = swept(source, [1, 2, 4])
    assert found.reasons == {}
    (rounds,) = {len(samples) for samples in (*found.seconds.values(), found.itself)}
    assert rounds == 2
    assert list(found.seconds) == [1, 2, 4]
    assert all(found.kernels.values())
    assert found.runtime is not None
    assert found.runtime.threads == 1


def test_too_large_a_weight_is_refused_and_says_so():
    found = swept(plain("<group=2>", x="1,64,3,3", w="64,32,3,3"), [1, 2, 64], memory_bytes=30_000)
    assert [len(samples) > 0 for samples in found.seconds.values()] == [False, False, True]
    assert "with groups=1 it needs" in found.reasons[1]
    assert "more than the 30.0 kB of --memory" in found.reasons[1]


def test_what_cannot_be_regrouped_says_why():
    source = model(
        "g (float[1,4,9,9] x, float[8,2,3,3] w) => (float[n,c,h,l] y) { y = Conv <group=2> (x, w) }"
    )
    found = swept(source, [1, 2])
    assert found.seconds == {1: (), 2: ()}
    assert "its weight is computed at run time" in found.reasons[1]


def test_a_budget_that_is_too_short_says_so():
    found = swept(plain("<group=2>", w="8,2,3,3"), [1, 2], budget_seconds=1e-6)
    assert found.seconds == {1: (), 2: ()}
    assert "time budget" in found.reasons[1]


def test_an_unknown_layer_is_refused():
    with pytest.raises(UsageError, match="there is no convolution 'nowhere'"):
        swept(plain(), [1], name="nowhere")
