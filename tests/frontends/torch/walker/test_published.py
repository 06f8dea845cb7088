"""Published numbers: torchvision's own metadata, and the tables of the papers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import convaudit

IMAGE, VIDEO = (1, 3, 224, 224), (1, 3, 16, 112, 112)
# torchvision counts the convolutions' and linear layers' multiply-adds, as billions to three digits.
PUBLISHED = [
    ("alexnet", IMAGE),
    ("mobilenet_v2", IMAGE),
    ("resnet50", IMAGE),
    ("resnext50_32x4d", IMAGE),
    ("shufflenet_v2_x1_0", IMAGE),
    ("efficientnet_b0", IMAGE),
    ("regnet_y_400mf", IMAGE),
    ("convnext_tiny", IMAGE),
    ("vit_b_16", IMAGE),
    ("swin_t", IMAGE),
    ("r3d_18", VIDEO),
]


@pytest.mark.parametrize(("name", "shape"), PUBLISHED, ids=[name for name, _ in PUBLISHED])
def test_torchvision_publishes_the_same_numbers(name: str, shape: tuple[int, ...]) -> None:
    import torchvision

    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    totals = convaudit.audit(f"torchvision:{name}", input_shape=shape).totals
    assert totals.model_params == published["num_params"]
    assert isinstance(totals.model_macs, int)
    assert round(totals.model_macs / 1e9, 3) == published["_ops"]


# Xie et al. 2017, "Aggregated Residual Transformations", section 3.2 and table 2: weights of a block.
@pytest.mark.parametrize(
    ("groups", "width", "weights"),
    [(1, 64, 69_632), (4, 24, 69_888), (32, 4, 70_144)],
    ids=["1x64d", "4x24d", "32x4d"],
)
def test_resnext_blocks(groups: int, width: int, weights: int) -> None:
    inner = groups * width
    block = nn.Sequential(
        nn.Conv2d(256, inner, 1, bias=False),
        nn.Conv2d(inner, inner, 3, padding=1, groups=groups, bias=False),
        nn.Conv2d(inner, 256, 1, bias=False),
    )
    totals = convaudit.audit(block, input_shape=(1, 256, 56, 56)).totals
    assert totals.params == weights
    assert totals.macs == weights * 56 * 56


def mobilenet_v1(depthwise: bool) -> nn.Module:
    """Howard et al. 2017, "MobileNets", table 1; or the same with full convolutions."""

    def conv(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [layer, nn.BatchNorm2d(after), nn.ReLU()]

    widths = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    widths += [(512, 512, 1)] * 5 + [(512, 1024, 2), (1024, 1024, 1)]
    layers = conv(3, 32, 3, 2)
    for before, after, stride in widths:
        if depthwise:
            layers += [*conv(before, before, 3, stride, groups=before), *conv(before, after, 1)]
        else:
            layers += conv(before, after, 3, stride)
    return nn.Sequential(*layers, nn.AvgPool2d(7), nn.Flatten(), nn.Linear(1024, 1000))


def test_mobilenet_v1() -> None:
    """Table 4: 569 and 4866 million multiply-adds, 4.2 and 29.3 million parameters."""
    totals: list[Any] = []
    for depthwise in (True, False):
        with torch.device("meta"):
            module = mobilenet_v1(depthwise)
        totals.append(convaudit.audit(module, input_shape=IMAGE).totals)
    light, full = totals
    assert round(light.model_macs / 1e6) == 569
    assert round(full.macs / 1e6) == 4866  # its convolutions alone
    assert [round(total.model_params / 1e6, 1) for total in totals] == [4.2, 29.3]


def test_groups_explain_what_mobilenet_saves() -> None:
    """The groups=1 counterpart of its 13 depthwise layers is what the accounting says groups save."""
    with torch.device("meta"):
        module = mobilenet_v1(depthwise=True)
    report = convaudit.audit(module, input_shape=IMAGE)
    depthwise = [layer for layer in report.layers if layer.kind == "depthwise"]
    assert len(depthwise) == 13
    assert report.totals.macs_saved == sum(layer.macs * (layer.groups - 1) for layer in depthwise)


def test_alexnet_of_two_groups() -> None:
    """Krizhevsky et al. 2012: two GPUs, so groups=2; 60,965,224 parameters are the published count."""
    features = [
        nn.Conv2d(3, 96, 11, 4),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
    ]
    pools = [nn.MaxPool2d(3, 2) if place in {0, 1, 4} else nn.ReLU() for place in range(5)]
    net = nn.Sequential(
        *[layer for pair in zip(features, pools, strict=True) for layer in pair],
        nn.Flatten(), nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000),
    )  # fmt: skip
    assert convaudit.audit(net, input_shape=(1, 3, 227, 227)).totals.model_params == 60_965_224
