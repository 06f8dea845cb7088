"""Real architectures as ONNX models, built without torch."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

# Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2:
# expansion factor, output channels, number of blocks, stride of the first
_MOBILENET_V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
_MOBILENET_V2 += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
MOBILENET_V2_CONVOLUTIONS = 52
MOBILENET_V2_PARAMS = (
    3_504_872 - 17_056
)  # torchvision's, less one of each BatchNorm's two parameters a channel
MOBILENET_V2_MACS = 300_774_272  # torchvision's 0.301 GMACs, to the last digit


class _Graph:
    """A chain of nodes with their weights, all zeros."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.value = "image"

    def add(self, op: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, [self.value, *inputs], [f"{name}:0"], name, **attributes))
        self.value = f"{name}:0"
        return self.value

    def weight(self, name: str, *shape: int) -> str:
        size = 4
        for dimension in shape:
            size *= dimension
        self.weights.append(helper.make_tensor(name, TensorProto.FLOAT, shape, bytes(size), raw=True))
        return name

    def conv(
        self, name: str, channels: tuple[int, int], kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        """A convolution with its BatchNorm folded into weight and bias."""
        in_channels, out_channels = channels
        weight = self.weight(f"{name}.weight", out_channels, in_channels // groups, kernel, kernel)
        bias = self.weight(f"{name}.bias", out_channels)
        pads = [kernel // 2] * 4
        self.add("Conv", name, weight, bias, group=groups, strides=[stride] * 2, pads=pads)

    def relu6(self, name: str) -> None:
        self.add("Clip", name, "zero", "six")


def mobilenet_v2(path: Path, *, dense: str = "", batch: int | str = 1, prefix: str = "") -> Path:
    """Write MobileNetV2 (width 1, 1000 classes, 224x224); the depthwise convolution ``dense`` gets groups=1.

    Layers are called ``features.7.expand``, ``.depthwise`` and ``.project``, after ``prefix``.
    """
    graph = _Graph()
    graph.weights += [
        helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("zero", 0.0), ("six", 6.0))
    ]
    graph.conv(f"{prefix}features.0", (3, 32), 3, stride=2)
    graph.relu6(f"{prefix}features.0.relu")
    channels, block = 32, 0
    for expansion, out_channels, blocks, first_stride in _MOBILENET_V2:
        for index in range(blocks):
            block += 1
            name, entry, hidden = f"{prefix}features.{block}", graph.value, channels * expansion
            stride = first_stride if index == 0 else 1
            if expansion != 1:
                graph.conv(f"{name}.expand", (channels, hidden), 1)
                graph.relu6(f"{name}.expand.relu")
            groups = 1 if f"features.{block}.depthwise" == dense else hidden
            graph.conv(f"{name}.depthwise", (hidden, hidden), 3, stride, groups)
            graph.relu6(f"{name}.depthwise.relu")
            graph.conv(f"{name}.project", (hidden, out_channels), 1)
            if stride == 1 and channels == out_channels:
                graph.add("Add", f"{name}.add", entry)
            channels = out_channels
    graph.conv(f"{prefix}features.18", (channels, 1280), 1)
    graph.relu6(f"{prefix}features.18.relu")
    graph.add("GlobalAveragePool", "pool")
    graph.add("Flatten", "flatten")
    graph.add(
        "Gemm",
        "classifier",
        graph.weight("classifier.weight", 1280, 1000),
        graph.weight("classifier.bias", 1000),
    )
    _save(graph, path, batch)
    return path


def _save(graph: _Graph, path: Path, batch: int | str) -> None:
    onnx_graph = helper.make_graph(
        graph.nodes,
        "mobilenet_v2",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 224, 224])],
        [helper.make_tensor_value_info(graph.value, TensorProto.FLOAT, [batch, 1000])],
        graph.weights,
    )
    onnx.save(helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
