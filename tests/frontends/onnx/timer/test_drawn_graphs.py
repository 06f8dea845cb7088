"""Drawn graphs, in which the shapes of kernel and weight tell a convolution as well: names must agree."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer import in_model, profile
from convaudit.frontends.onnx.timer.original import Original
from convaudit.records import Optimization
from tests.frontends.onnx.models import walked

KERNELS = [(height, width) for height in (1, 3, 5) for width in (1, 3, 5, 7)]
QUICK = TimeRequest(budget_seconds=0.01, alone=False)


class Drawn:
    """A graph of convolutions, of which no two have a weight of the same shape, and other ops."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._stored: list[TensorProto] = []
        self._channels = {"x": 16}
        self._weights: set[tuple[int, ...]] = set()
        while len(self._weights) < 7:
            getattr(
                self, "_" + str(self._draw.choice(["conv", "conv", "conv", "unary", "norm", "pool", "two"]))
            )()
        unread = set(self._channels) - {name for node in self._nodes for name in node.input}
        outputs = [helper.make_tensor_value_info(name, 1, None) for name in sorted(unread) or ["x"]]
        inputs = [helper.make_tensor_value_info("x", 1, [1, 16, 9, 9])]
        graph = helper.make_graph(self._nodes, "drawn", inputs, outputs, self._stored)
        opsets = [helper.make_opsetid("", 17)]
        self.model: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _tensor(self) -> str:
        names = list(self._channels)
        return str(names[-1] if self._draw.random() < 0.6 else self._draw.choice(names))

    def _add(self, op: str, inputs: list[str], channels: int, **attributes: Any) -> None:
        output = f"t{len(self._nodes)}"
        name = "" if self._draw.random() < 0.3 else f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        self._channels[output] = channels

    def _store(self, *shape: int) -> str:
        name = f"w{len(self._stored)}"
        values = self._draw.random(shape, dtype=np.float32) + np.float32(0.1)
        self._stored.append(numpy_helper.from_array(values, name))
        return name

    def _conv(self) -> None:
        x = self._tensor()
        channels = self._channels[x]
        out = int(self._draw.choice([16, 32, channels]))
        groups = int(self._draw.choice([g for g in (1, 2, 4, 8, channels) if channels % g == 0 == out % g]))
        height, width = KERNELS[int(self._draw.integers(len(KERNELS)))]
        shape = (out, channels // groups, height, width)
        if shape not in self._weights:
            self._weights.add(shape)
            pads = [height // 2, width // 2] * 2
            operands = [x, self._store(*shape)] + [self._store(out)] * bool(self._draw.random() < 0.5)
            self._add("Conv", operands, out, group=groups, pads=pads)

    def _unary(self) -> None:
        x = self._tensor()
        op = str(self._draw.choice(["Relu", "Sigmoid", "Clip", "Tanh", "LeakyRelu", "HardSwish", "Neg"]))
        self._add(op, [x], self._channels[x])

    def _norm(self) -> None:
        x = self._tensor()
        channels = self._channels[x]
        self._add("BatchNormalization", [x, *(self._store(channels) for _ in range(4))], channels)

    def _pool(self) -> None:
        x = self._tensor()
        op = str(self._draw.choice(["MaxPool", "AveragePool"]))
        self._add(op, [x], self._channels[x], kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def _two(self) -> None:
        x, other = self._tensor(), self._tensor()
        if self._channels[x] == self._channels[other]:
            self._add(str(self._draw.choice(["Add", "Mul"])), [x, other], self._channels[x])
        else:
            self._add("Concat", [x, other], self._channels[x] + self._channels[other], axis=1)


def check(seed: int, level: Optimization, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel of a convolution computes the one with its weight's shape, and nothing is left over."""
    seen: dict[str, Any] = {}
    by_graph, read = in_model.kernels_of, profile.written_events

    def watch(original: Original, optimized: Any) -> Any:
        seen.update(original=original, kernels=by_graph(original, optimized))
        return seen["kernels"]

    def keep(path: Any) -> Any:
        seen["events"] = list(read(path))
        return seen["events"]

    monkeypatch.setattr(in_model, "kernels_of", watch)
    monkeypatch.setattr(in_model, "written_events", keep)
    model = Drawn(seed).model
    found = in_model.time_model(walked(model), {}, Settings(threads=1, optimization=level), QUICK)
    assert [part for part in found.parts if part.kind == "unattributed"] == []
    assert [layer.reason for layer in found.layers if not layer.in_model] == []
    layers = seen["original"].layers
    for event in seen["events"]:
        kernel = seen["kernels"].get(event["name"].removesuffix("_kernel_time"))
        if event["cat"] == "Node" and kernel is not None and kernel.layers:
            (shape,) = event["args"]["input_type_shape"][1].values()
            assert [layers[layer].weight_shape for layer in kernel.layers] == [tuple(shape)], event["name"]


@pytest.mark.parametrize("level", get_args(Optimization))
@pytest.mark.parametrize("seed", range(8))
def test_drawn_graphs(seed: int, level: Optimization, monkeypatch: pytest.MonkeyPatch) -> None:
    check(seed, level, monkeypatch)
