"""Whether a measurement holds: layers against themselves, and orderings that no machine turns around.

No absolute time is asserted. On a machine on which other programs run, an interval may be wide: a test asks
for what holds then too, and still fails if samples of one kernel had an advantage over those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from onnx import ModelProto

from convaudit.feeds import open_sizes
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer import contenders, trials
from convaudit.frontends.onnx.timer.alone import time_alone
from convaudit.frontends.onnx.timer.contenders import Sample
from convaudit.frontends.onnx.timer.sweep import sweep_layer
from convaudit.records.timing import LayerSamples
from convaudit.timing import Estimate, median_of, paired_ratio
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.verifier.cases import plain, stored

pytestmark = pytest.mark.usefixtures("small_roofs")

SETTINGS = Settings(threads=1)
SIDES = range(12, 22)  # of ten layers' images
TOLERANCE = 0.05  # beside the interval, which holds the median in 19 of 20 cases only


def ten_layers() -> ModelProto:
    """Ten distinct grouped layers, on images of different sizes."""
    inputs = ", ".join(f"float[1,16,{side},{side}] x{side}" for side in SIDES)
    weights = ", ".join(f"float[16,4,3,3] w{side}" for side in SIDES)
    outputs = ", ".join(f"float[n,c,h,l] y{side}" for side in SIDES)
    nodes = " ".join(f"y{side} = Conv <group=4, pads=[1,1,1,1]> (x{side}, w{side})" for side in SIDES)
    return stored(f"g ({inputs}, {weights}) => ({outputs}) {{ {nodes} }}", *(f"w{side}" for side in SIDES))


def timed(source: ModelProto, **how: Any) -> Sequence[LayerSamples]:
    found = walked(source)
    return time_alone(found, SETTINGS, TimeRequest(**how), sizes=open_sizes(found.network), seconds=60.0)[0]


def against_itself(layers: Sequence[LayerSamples]) -> list[Estimate]:
    ratios = [paired_ratio(layer.itself, layer.alone) for layer in layers]
    return [ratio for ratio in ratios if ratio is not None and ratio.sure]


def holds_one(ratio: Estimate) -> bool:
    return ratio.low <= 1 + TOLERANCE and ratio.high >= 1 - TOLERANCE


@pytest.fixture
def least_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MOST_ROUNDS", trials.LEAST_ROUNDS)


@pytest.mark.usefixtures("least_rounds")
def test_layers_against_themselves_are_1_within_their_spread():
    ratios = against_itself(timed(ten_layers()))
    assert len(ratios) == len(SIDES)
    assert [ratio for ratio in ratios if not holds_one(ratio)] == []


@pytest.mark.usefixtures("least_rounds")
def test_an_advantage_of_one_copy_would_be_seen(monkeypatch):
    take = contenders.take_round

    def biased(*arguments: Any) -> dict[str, Sample]:
        """The second copy is always 20 % slower."""
        samples = take(*arguments)
        if "alone" in samples:
            samples["itself"] = Sample(samples["alone"].seconds * 1.2, samples["alone"].kernel)
        return samples

    monkeypatch.setattr(trials, "take_round", biased)
    source = plain("<group=2>", x="1,16,20,20", w="16,8,3,3")
    assert [holds_one(ratio) for ratio in against_itself(timed(source))] == [False]


def seconds_of(source: ModelProto) -> Estimate:
    (layer,) = timed(source)
    found = median_of(layer.alone)
    assert found is not None
    return found


@pytest.mark.usefixtures("few_rounds")
def test_a_large_layer_takes_longer_without_groups():
    """Four times the multiply-adds."""
    source = plain("<group=4, pads=[1,1,1,1]>", x="1,64,40,40", w="64,16,3,3")
    found = walked(source)
    swept = sweep_layer(found, found.network.layers[0].name, [1, 4], SETTINGS, TimeRequest())
    realised = paired_ratio(swept.seconds[1], swept.seconds[4])
    assert realised is not None
    assert realised.value > 1
    (layer,) = timed(source)
    realised = paired_ratio(layer.dense, layer.alone)
    assert realised is not None
    assert realised.value > 1


@pytest.mark.usefixtures("few_rounds")
def test_a_large_kernel_takes_longer_than_a_small_one():
    """7x7 against 3x3: 5.4 times the multiply-adds."""
    small = plain("<pads=[1,1,1,1]>", x="1,32,32,32", w="32,32,3,3")
    large = plain("<pads=[3,3,3,3]>", x="1,32,32,32", w="32,32,7,7")
    assert seconds_of(large).value > seconds_of(small).value
