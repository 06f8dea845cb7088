"""The nine real networks that the onnx package ships: published numbers, to the last digit."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from convaudit.analyzer import analyze
from convaudit.records import Network
from tests.frontends.onnx.models import walk

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# name, convolutions, parameters of the whole model, MACs of the convolutions, set of groups.
# AlexNet, VGG-19, ResNet-50 and SqueezeNet have the parameters that their papers and torchvision publish.
NETWORKS = [
    ("bvlc_alexnet", 5, 60_965_224, 595_938_432, {1, 2}),
    ("densenet121", 121, 8_062_504, 2_834_161_664, {1}),
    ("inception_v1", 57, 6_998_552, 1_430_532_352, {1}),
    ("inception_v2", 69, 11_214_888, 2_017_827_840, {1}),
    ("resnet50", 53, 25_557_032, 4_087_136_256, {1}),
    ("shufflenet", 49, 1_393_320, 124_120_528, {1, 4, 112, 136, 272, 544}),
    ("squeezenet", 26, 1_235_496, 349_151_936, {1}),
    ("vgg19", 16, 143_667_240, 19_508_428_800, {1}),
    ("zfnet512", 5, 87_250_536, 1_401_011_232, {1}),
]


def light(name: str) -> Network:
    return walk(FOLDER / f"light_{name}.onnx")


@pytest.mark.parametrize(
    ("name", "layers", "model_params", "macs", "groups"), NETWORKS, ids=[row[0] for row in NETWORKS]
)
def test_published_numbers(name: str, layers: int, model_params: int, macs: int, groups: set[int]) -> None:
    network = light(name)
    assert len(network.layers) == layers
    assert network.model_params == model_params
    assert analyze(network).totals.macs == macs
    assert {layer.groups for layer in network.layers} == groups
    assert network.warnings == ()
