"""A network in the making that knows which of its channels are waste.

Whoever makes a convolution says which of its channels are to be idle; whatever reads these has zero weights
for them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Channels = frozenset[int]


@dataclass(frozen=True)
class Tensor:
    """An activation (N, C, H, W)."""

    name: str
    channels: int
    size: tuple[int, int]
    idle: Channels = frozenset()  # channels that nobody may read


@dataclass
class Layer:
    """One convolution, and what was planted in it."""

    name: str
    weight: str
    bias: str | None
    axis: int = 0  # of the weight: where its filters are, if it has no groups
    groups: int = 1
    transposed: bool = False
    quantised: bool = False
    output: str | None = None  # None: inside a body
    zero: Channels = frozenset()  # filters that are all zero
    idle: Channels = frozenset()  # filters that nobody reads
    twins: Channels = frozenset()  # filters that are the same
    border: bool = False  # its kernel's border is zero
    latent: int = 1  # groups that are hidden in it
    denormal: Channels = frozenset()


@dataclass
class Planted:
    """A network and the truth about it."""

    model: ModelProto
    opened: ModelProto  # the same; every layer has weights of its own, which are inputs too
    layers: list[Layer]
    batch: int
    channels: int
    size: int
    blocks: list[str] = field(default_factory=list)
    flags: bool = False  # whether it has the input "flag"

    def feeds(self, seed: int = 0) -> dict[str, Any]:
        """Random input."""
        values = np.random.default_rng(seed)
        x = values.standard_normal((self.batch, self.channels, self.size, self.size)) * (1, 4, 0.5)[seed % 3]
        found: dict[str, Any] = {"x": x.astype(np.float32)}
        if self.flags:
            found["flag"] = np.array(seed % 2 == 0)
        return found


class Maker:
    """Adds nodes to a network."""

    def __init__(self, seed: int, waste: float = 1.0) -> None:
        self.rng = random.Random(seed)
        self.values = np.random.default_rng(seed)
        self.waste = waste
        self.nodes: list[NodeProto] = []
        self.stored: dict[str, NDArray[Any]] = {}
        self.layers: list[Layer] = []
        self.shared: dict[str, str] = {}  # stored under the second name too
        self.blocks: list[str] = []
        self.inside = False
        self.flags = False
        self._count = 0

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def name(self, text: str) -> str:
        self._count += 1
        return f"{text.lower()}_{self._count}"

    def store(self, text: str, array: Any, dtype: Any = np.float32) -> str:
        name = self.name(text)
        self.stored[name] = np.asarray(array, dtype)
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        name = self.name(op)
        names = [name] if outputs == 1 else [f"{name}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, f"n_{name}", **attributes))
        return name if outputs == 1 else names

    def numbers(self, *shape: int) -> NDArray[np.float64]:
        """Of either sign, none near zero."""
        return self.values.uniform(0.3, 1, shape) * self.values.choice([-1.0, 1.0], shape)

    def pick(self, count: int, share: float) -> Channels:
        """Some of the channels, never all."""
        found = [index for index in range(count) if self.chance(share * self.waste)]
        return frozenset(found[: count - 1])

    # convolutions

    def conv(
        self,
        x: Tensor,
        out: int,
        kernel: int = 1,
        *,
        groups: int = 1,
        pad: int = 0,
        stride: int = 1,
        transposed: bool = False,
        bias: Any = None,
        zero: Channels | None = None,
        idle: Channels | None = None,
        form: str = "float",
        ignored: Channels | None = None,
    ) -> Tensor:
        """A convolution with planted waste; depthwise ones pass on what is idle."""
        layer = Layer(name="", weight="", bias=None, groups=groups, transposed=transposed)
        ignored = x.idle if ignored is None else ignored
        weight = self.numbers(out, x.channels // groups, kernel, kernel)
        layer.zero = self.pick(out, 0.15) if zero is None else zero
        layer.idle = self.pick(out, 0.15) if idle is None else idle
        if groups == x.channels and groups > 1:
            layer.idle |= {o for o in range(out) if o // (out // groups) in ignored}
        else:
            ignore(weight, ignored, groups)
        if bias is None and self.chance(0.7):
            bias = self.numbers(out) * self.values.choice([0, 0.4, 0.4], out)
        if kernel == 5 and self.chance(0.7 * self.waste):
            weight[:, :, [0, -1]] = weight[..., [0, -1]] = 0
            layer.border = True
        self._plant_alike(layer, weight, bias)
        weight[sorted(layer.zero)] = 0
        size = tuple(
            (s - 1) * stride + kernel - 2 * pad if transposed else (s + 2 * pad - kernel) // stride + 1
            for s in x.size
        )
        name = getattr(self, f"_{form}_conv")(layer, x, weight, bias, pad, stride)
        return Tensor(name, out, size, layer.idle)

    def _plant_alike(self, layer: Layer, weight: NDArray[Any], bias: Any) -> None:
        """Filters that are the same, latent groups, denormal filters; not where something else is planted."""
        out, inputs = weight.shape[:2]
        free = [index for index in range(out) if index not in layer.zero | layer.idle]
        if layer.groups > 1 or len(free) < 3 or not self.chance(0.3 * self.waste):
            return
        kind = self.rng.choice(["twins", "latent", "denormal"])
        if kind == "twins" and inputs > 1:
            first, second = self.rng.sample(free, 2)
            weight[second] = weight[first]
            if bias is not None:
                bias[second] = bias[first]
            layer.twins = frozenset({first, second})
        elif kind == "denormal":
            layer.denormal = frozenset(free[:1])
            weight[free[0]] *= 1e-40
        elif not layer.zero | layer.idle and out % 2 == inputs % 2 == 0 and inputs > 2 and weight.all():
            rows, columns = (self.values.permutation(count) for count in (out, inputs))
            weight[np.ix_(rows[: out // 2], columns[inputs // 2 :])] = 0
            weight[np.ix_(rows[out // 2 :], columns[: inputs // 2])] = 0
            layer.latent = 2

    def _add(self, layer: Layer, node: str) -> str:
        layer.name, layer.output = f"n_{node}", None if self.inside else node
        self.layers.append(layer)
        return node

    def _float_conv(self, layer: Layer, x: Tensor, weight: Any, bias: Any, pad: int, stride: int) -> str:
        if layer.transposed:  # (in, out / groups, ...)
            parts = weight.reshape(layer.groups, -1, *weight.shape[1:])
            weight = np.swapaxes(parts, 1, 2).reshape(x.channels, -1, *weight.shape[2:])
            layer.axis = 1
        layer.weight = self.store("weight", weight)
        layer.bias = None if bias is None else self.store("bias", bias)
        operands = [x.name, layer.weight, *([] if layer.bias is None else [layer.bias])]
        op = "ConvTranspose" if layer.transposed else "Conv"
        geometry = {"pads": [pad] * 4, "strides": [stride] * 2, "group": layer.groups}
        return self._add(layer, self.node(op, *operands, **geometry))

    def _quantised(self, layer: Layer, weight: Any, bias: Any) -> tuple[float, Any, float, str, str]:
        """Scales of x, weight and y, and the names of the weight and the bias."""
        layer.quantised = True
        scale = (
            np.full(len(weight), 0.01) if self.chance(0.5) else self.values.uniform(0.008, 0.02, len(weight))
        )
        layer.denormal = frozenset()  # they are zeros now
        if np.ptp(scale):
            layer.twins = frozenset()  # steps of different size
        layer.weight = self.store("weight", np.clip(np.rint(weight / 0.01), -127, 127), np.int8)
        biases = np.zeros(len(weight)) if bias is None else bias
        layer.bias = self.store("bias", np.rint(biases / (0.05 * scale)), np.int32)
        return 0.05, scale, 0.1, layer.weight, layer.bias

    def _qdq_conv(self, layer: Layer, x: Tensor, weight: Any, bias: Any, pad: int, stride: int) -> str:
        x_scale, w_scale, y_scale, stored, bias_name = self._quantised(layer, weight, bias)
        zero, x_step = self.store("zero", 3, np.int8), self.store("step", x_scale)
        steps = self.store("step", w_scale)
        zeros = self.store("zero", np.zeros(len(weight)), np.int8)
        a = self.node("DequantizeLinear", self.node("QuantizeLinear", x.name, x_step, zero), x_step, zero)
        b = self.node("DequantizeLinear", stored, steps, zeros, axis=0)
        c = self.node("DequantizeLinear", bias_name, self.store("step", x_scale * w_scale), axis=0)
        geometry = {"pads": [pad] * 4, "strides": [stride] * 2, "group": layer.groups}
        y = self._add(layer, self.node("Conv", a, b, c, **geometry))
        step = self.store("step", y_scale)
        return self.node("DequantizeLinear", self.node("QuantizeLinear", y, step, zero), step, zero)

    def _qlinear_conv(self, layer: Layer, x: Tensor, weight: Any, bias: Any, pad: int, stride: int) -> str:
        x_scale, w_scale, y_scale, stored, bias_name = self._quantised(layer, weight, bias)
        zero, x_step = self.store("zero", 120, np.uint8), self.store("step", x_scale)
        step, w_zero = self.store("step", y_scale), self.store("zero", np.zeros(len(weight)), np.int8)
        a = self.node("QuantizeLinear", x.name, x_step, zero)
        geometry = {"pads": [pad] * 4, "strides": [stride] * 2, "group": layer.groups}
        operands = (a, x_step, zero, stored, self.store("step", w_scale), w_zero, step, zero, bias_name)
        y = self._add(layer, self.node("QLinearConv", *operands, **geometry))
        return self.node("DequantizeLinear", y, step, zero)

    # the whole

    def made(self, outputs: Mapping[str, int], batch: int, channels: int, size: int, opset: int) -> Planted:
        """The network, with these outputs of so many axes."""
        shape = ["n" if self.chance(0.5) else batch, channels, size, size]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        if self.flags:
            inputs.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
        gives = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
            for name, rank in outputs.items()
        ]
        stored = [numpy_helper.from_array(array, name) for name, array in self.stored.items()]
        graph = helper.make_graph(self.nodes, "planted", inputs, gives, stored)
        opsets = [helper.make_opsetid("", opset)]
        opened = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        model = ModelProto()
        model.CopyFrom(opened)
        _merge(model, self.shared)
        onnx.checker.check_model(model)
        weights = {name for layer in self.layers for name in (layer.weight, layer.bias)}
        opened.graph.input.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in opened.graph.initializer
            if tensor.name in weights
        )
        return Planted(model, opened, self.layers, batch, channels, size, self.blocks, self.flags)


def ignore(weight: NDArray[Any], ignored: Channels, groups: int = 1) -> None:
    """Make a weight (out, in / groups, ...) ignore input channels."""
    inputs, outputs = weight.shape[1], len(weight) // groups
    for channel in ignored:
        group, column = divmod(channel, inputs)
        weight[group * outputs : (group + 1) * outputs, column] = 0


def _merge(model: ModelProto, shared: dict[str, str]) -> None:
    """Let nodes that have equal weights share them."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = shared.get(name, name)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in shared]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
