"""Models that onnxruntime optimised and saved: the same convolutions, in operators of its own."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convaudit.analyzer import analyze
from convaudit.records import Network
from tests.frontends.onnx.models import only_layer, walk

LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class Net:
    """A chain of random blocks, of the kinds that onnxruntime rewrites."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.values = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[TensorProto] = []
        self.channels = self.random.choice([3, 4, 6, 16])
        shape = [self.random.choice([1, 2, "N"]), self.channels, 12, 12]
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)

    def constant(self, array: np.ndarray) -> str:
        self.stored.append(numpy_helper.from_array(array, f"k{len(self.stored)}"))
        return self.stored[-1].name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant((self.values.standard_normal(shape) * 0.2).astype(np.float32))

    def conv(self, x: str, channels: int, kernel: int = 3, **attributes: object) -> str:
        pads = [kernel // 2] * 4
        return self.node(
            "Conv", x, self.weight(channels, self.channels, kernel, kernel), pads=pads, **attributes
        )

    def quantised(self, x: str) -> str:
        scale, zero = self.constant(np.float32(0.05)), self.constant(np.uint8(128))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, scale, zero), scale, zero)

    def block(self, x: str) -> str:
        kind = self.random.choice(
            ["fused", "residual", "depthwise", "squeeze", "pool", "resize", "quantised"]
        )
        if kind == "fused":
            channels = self.random.choice([5, 8, 16])
            x = self.node("LeakyRelu", self.conv(x, channels, strides=[self.random.choice([1, 2])] * 2))
            self.channels = channels
        elif kind == "residual":
            x = self.node("Relu", self.node("Add", self.conv(x, self.channels), x))
        elif kind == "depthwise":
            x = self.node("Conv", x, self.weight(self.channels, 1, 3, 3), group=self.channels)
        elif kind == "squeeze":
            gate = self.conv(self.node("GlobalAveragePool", x), self.channels, 1)
            x = self.node("Mul", x, self.node("Sigmoid", gate))
        elif kind == "pool":
            x = self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
        elif kind == "resize":
            scales = self.constant(np.array([1, 1, 2, 2], np.float32))
            modes = {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
            x = self.node("Resize", x, "", scales, **modes)
        else:
            weight = self.values.integers(-90, 90, (8, self.channels, 3, 3)).astype(np.int8)
            scale, zero = self.constant(np.float32(0.02)), self.constant(np.int8(0))
            stored = self.node("DequantizeLinear", self.constant(weight), scale, zero)
            x = self.quantised(self.node("Conv", self.quantised(x), stored, pads=[1] * 4))
            x = self.quantised(self.node("AveragePool", x, kernel_shape=[2, 2], pads=[1] * 4))
            self.channels = 8
        return x

    def model(self) -> ModelProto:
        x = "x"
        for _ in range(4):
            x = self.block(x)
        x = self.conv(x, 4, 1)
        output = helper.make_empty_tensor_value_info(x)
        graph = helper.make_graph(self.nodes, "net", [self.input], [output], self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(source: ModelProto, level: str, folder: Path) -> ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(folder / "saved.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(source.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "saved.onnx")


def has_open_sizes(network: Network) -> bool:
    shapes = [shape for layer in network.layers for shape in (layer.input_shape, layer.output_shape)]
    return any(shape is None or None in shape for shape in shapes)


@pytest.mark.parametrize("seed", range(12))
def test_saving_keeps_what_convolutions_cost(seed: int, tmp_path: Path) -> None:
    source = Net(seed).model()
    before = walk(source, allow_run=False)
    assert not has_open_sizes(before)
    for level in LEVELS:
        after = walk(saved(source, level, tmp_path), allow_run=False)
        assert not has_open_sizes(after), level
        assert not any("declared" in layer.shapes_from for layer in after.layers), level
        if not any(layer.layout == "reordered" for layer in after.layers):  # its channels are filled up
            assert analyze(after).totals.macs == analyze(before).totals.macs, level


def zeros(name: str, *shape: int) -> str:
    sizes = ",".join(map(str, shape))
    return f"float[{sizes}] {name} = {{{','.join(['0'] * int(np.prod(shape)))}}}"


BEHIND = [
    pytest.param("ConvTransposeWithDynamicPads<strides=[2,2]>(x, w, q)", (1, 8, 10, 9), id="stored-pads"),
    pytest.param("nchwc.Conv<pads=[1,1,1,1]>(x, v)", (1, 8, 5, 5), id="reordered"),
    pytest.param("nchwc.Upsample<scales=[1,2,2,3]>(x)", (1, 8, 10, 15), id="reordered-upsample"),
    pytest.param("nchwc.ReorderOutput<channels=8>(x)", (1, 8, 5, 5), id="reordered-output"),
    pytest.param("QLinearAveragePool<kernel_shape=[2,2]>(u, s, z, s, z)", (1, 8, 4, 4), id="quantised"),
]


@pytest.mark.parametrize(("node", "shape"), BEHIND)
def test_sizes_behind_onnxruntimes_operators(node: str, shape: tuple[int, ...]) -> None:
    network = walk(
        f"""g (float[1,4,5,5] x, uint8[1,8,5,5] u, float s, uint8 z) => (y)
        <{zeros("w", 4, 8, 3, 3)}, {zeros("v", 8, 4, 3, 3)}, {zeros("e", 2, 8, 1, 1)},
         int64[4] q = {{1, 0, 0, 2}}> {{ t = com.microsoft.{node} [last] y = Conv(t, e) }}""",
        allow_run=False,
    )
    assert [layer.input_shape for layer in network.layers if layer.name == "last"] == [shape]


@pytest.mark.parametrize(
    ("kernel", "shape"),
    [pytest.param("<kernel_shape=[3,3]>", (1, 7, 7, 8), id="told"), pytest.param("", None, id="untold")],
)
def test_sizes_behind_a_weight_of_either_layout(kernel: str, shape: tuple[int, ...] | None) -> None:
    network = walk(
        f"g (float[1,9,9,5] x) => (y) <{zeros('w', 8, 5, 3, 5) if not kernel else zeros('w', 8, 3, 3, 5)},"
        f" {zeros('e', 2, 8, 1, 1)}> {{ t = com.microsoft.NhwcConv{kernel}(x, w)"
        "  [last] y = com.microsoft.NhwcFusedConv(t, e) }",
        allow_run=False,
    )
    assert network.layers[1].input_shape == shape


@pytest.mark.parametrize(
    ("attributes", "x"),
    [pytest.param("", "1,3,5,6", id="first"), pytest.param("<channels_last=1>", "1,5,6,3", id="last")],
)
def test_channels_that_are_filled_up_are_those_of_the_weight(attributes: str, x: str) -> None:
    layer = only_layer(
        f"g (float[{x}] x) => (y) <{zeros('w', 16, 16, 1, 1)}> {{"
        f" t = com.microsoft.nchwc.ReorderInput{attributes}(x) y = com.microsoft.nchwc.Conv(t, w) }}",
        allow_run=False,
    )
    assert (layer.input_shape, layer.output_shape) == ((1, 16, 5, 6), (1, 16, 5, 6))
