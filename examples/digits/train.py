"""Train the example model: a small ResNeXt- and MobileNet-style network that reads handwritten digits.

    python train.py [--epochs 40] [--output digits.onnx]

It needs the test extra (torch, scikit-learn, onnxscript). The data are the 1,797 8x8 digits that
scikit-learn ships, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict

import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


def block(in_channels: int, out_channels: int, kernel_size: int, **options: int) -> nn.Sequential:
    """A convolution that keeps the spatial size at stride 1, with BatchNorm and ReLU."""
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False, **options
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def build() -> nn.Sequential:
    """Every kind of grouping once: dense, pointwise, grouped and depthwise."""
    layers = {
        "stem": block(1, 32, 3),
        "expand": block(32, 64, 1),
        "grouped": block(64, 64, 3, groups=8, stride=2),
        "mix": block(64, 64, 1),
        "depthwise": block(64, 64, 3, groups=64),
        "head": block(64, 96, 1),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(96, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def train(model: nn.Module, epochs: int) -> float:
    """Fit ``model`` and return its accuracy on digits it has not seen."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    seen, unseen = train_test_split(range(len(labels)), test_size=0.25, random_state=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(seen)).split(64):
            index = torch.tensor(seen)[batch]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[index]), labels[index]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        return (model(images[unseen]).argmax(1) == labels[unseen]).float().mean().item()


def export(model: nn.Module) -> onnx.ModelProto:
    """The model as ONNX, its convolutions named as the modules are."""
    program = torch.onnx.export(model, (torch.zeros(1, 1, 8, 8),), input_names=["image"], verbose=False)
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:
        if node.op_type == "Conv":
            node.name = node.input[1].split(".")[0]  # "grouped.0.weight" belongs to the module "grouped"
        del node.metadata_props[:]  # stack traces of the machine that exported it
    return proto


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", default="digits.onnx")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model = build()
    print(f"accuracy on unseen digits: {train(model, arguments.epochs):.1%}")
    onnx.save(export(model), arguments.output)  # one file, with the weights inside


if __name__ == "__main__":
    main()
