"""A module and its ONNX export are the same network, layer by layer."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import convaudit
from convaudit.frontends.torch.loader.source import load_torch_source
from convaudit.records import LayerCost
from convaudit.report import Report

NETWORKS = ["mobilenet_v2", "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0", "convnext_tiny"]
IMAGE = (1, 3, 224, 224)


def trained(module: nn.Module) -> nn.Module:
    """As after training: no constant tensors, which an exporter drops if zero and shares if equal."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and (tensor == tensor.flatten()[0]).all():
            nn.init.uniform_(tensor, 0.5, 2)
    return module.eval()


def convolution(layer: LayerCost) -> tuple[object, ...]:
    """What a folded BatchNorm leaves alone."""
    return (
        layer.kind, layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
        layer.dilation, layer.groups, layer.input_shape, layer.output_shape, layer.weight_shape, layer.dtype,
        layer.calls, layer.macs, layer.dense_macs, layer.macs_saved,
    )  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_layer_by_layer(name: str, tmp_path: Path) -> None:
    module = trained(load_torch_source(f"torchvision:{name}"))
    with warnings.catch_warnings():  # the older exporter is deprecated, and three times as fast
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(IMAGE),), tmp_path / "model.onnx", dynamo=False)
    ours, exported = convaudit.audit(module, input_shape=IMAGE), convaudit.audit(tmp_path / "model.onnx")
    assert [convolution(layer) for layer in exported.layers] == [convolution(layer) for layer in ours.layers]
    assert exported.totals.macs == ours.totals.macs
    assert exported.totals.model_macs == ours.totals.model_macs
    assert_folding_explains_the_parameters(module, ours, exported)


def assert_folding_explains_the_parameters(module: nn.Module, ours: Report, exported: Report) -> None:
    """A folded BatchNorm of C channels gives up its 2*C parameters, and its convolution gains a bias of C."""
    gained = 0
    for before, after in zip(ours.layers, exported.layers, strict=True):
        folded = after.bias and not before.bias
        assert after.params - before.params == (after.out_channels if folded else 0)
        gained += after.out_channels if folded else 0
    norms = [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert gained == sum(norm.num_features for norm in norms)
    assert exported.totals.params == ours.totals.params + gained
    assert exported.totals.model_params == ours.totals.model_params - gained


def test_the_default_exporter_agrees_too_and_keeps_the_names(tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4, padding=1),
        nn.ConvTranspose2d(8, 4, 3, 2, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    torch.onnx.export(trained(module), (torch.zeros(2, 3, 16, 16),), tmp_path / "model.onnx", verbose=False)
    ours = convaudit.audit(module, input_shape=(2, 3, 16, 16))
    exported = convaudit.audit(tmp_path / "model.onnx")
    assert [convolution(layer) for layer in exported.layers] == [convolution(layer) for layer in ours.layers]
    assert [layer.weight_name for layer in exported.layers] == [layer.weight_name for layer in ours.layers]
    assert exported.totals.model_macs == ours.totals.model_macs


# --- silero-vad, shipped as TorchScript and as ONNX -----------------------------------------------------


def silero(name: str) -> Path:
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None, "the extra 'test' installs silero-vad"
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / name


@pytest.mark.parametrize(
    ("rate", "samples", "context", "arm"),
    [(16_000, 512, 64, "then_branch"), (8_000, 256, 32, "else_branch")],
    ids=["16k", "8k"],
)
def test_silero_vad(rate: int, samples: int, context: int, arm: str) -> None:
    """TorchScript runs the model for the rate it is given; ONNX has one in each arm of an If.

    The TorchScript model puts the context in front of the samples itself.
    """
    script = convaudit.audit(silero("silero_vad.jit"), inputs=(torch.zeros(1, samples), torch.tensor(rate)))
    shapes = {"input": (1, samples + context), "state": (2, 1, 128)}
    onnx = convaudit.audit(silero("silero_vad.onnx"), input_shape=shapes)
    twin = [layer for layer in onnx.layers if layer.branches[0].arm == arm]
    assert [(layer.kernel_size, layer.stride, layer.weight_shape) for layer in script.layers] == [
        (layer.kernel_size, layer.stride, layer.weight_shape) for layer in twin
    ]
    assert len(script.layers) == 6
    # of the last one, onnx's shape inference knows the sizes for one of the rates only
    assert [(layer.input_shape, layer.macs) for layer in script.layers[:5]] == [
        (layer.input_shape, layer.macs) for layer in twin[:5]
    ]
    assert [layer.params for layer in script.layers] == [layer.params for layer in twin]
    for ours, theirs in zip(script.layers, twin, strict=True):
        name = (ours.weight_name or "").split(".", 1)[1]  # without _model or _model_8k
        assert (theirs.weight_name or "").endswith(name)
