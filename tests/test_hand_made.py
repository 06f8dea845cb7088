"""Groups made by hand: recognised in both front ends, and nothing else is."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import convaudit
from convaudit.report import Report

PARTS = 4


class ByHand(nn.Module):
    """Parts of a tensor, a convolution of each, and what joins them."""

    def __init__(
        self,
        cut: Callable[[Tensor], Any],
        join: Callable[[list[Tensor]], Tensor],
        convs: list[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.cut, self.join = cut, join
        self.convs = nn.ModuleList(convs or [nn.Conv2d(2, 3, 3, padding=1) for _ in range(PARTS)])

    def forward(self, x: Tensor) -> Tensor:
        parts = self.cut(x)
        return self.join([conv(part) for conv, part in zip(self.convs, parts, strict=True)])


def chunk(x: Tensor) -> Any:
    return x.split(2, 1)  # of which ONNX has Split; of chunk its older exporter makes computed slices


def cat(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, 1)


def slices(x: Tensor) -> Any:
    return [x[:, 2 * i : 2 * i + 2] for i in range(PARTS)]


SAME = [
    pytest.param(ByHand(chunk, cat), id="split"),
    pytest.param(ByHand(lambda x: x.split([2, 2, 2, 2], 1), cat), id="sizes"),
    pytest.param(ByHand(lambda x: [x.narrow(1, 2 * i, 2) for i in range(4)], cat), id="narrow"),
    pytest.param(ByHand(lambda x: [p.relu() for p in chunk(x)], cat), id="relu-before"),
    pytest.param(ByHand(chunk, lambda parts: cat([p.sigmoid() for p in parts])), id="sigmoid-behind"),
    pytest.param(ByHand(lambda x: chunk(x.relu()), lambda parts: cat(parts).relu()), id="ops-around"),
    pytest.param(ByHand(chunk, lambda parts: cat([*parts, parts[0].sigmoid() * 0])), id="more-joined"),
    pytest.param(
        ByHand(chunk, cat, [nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)) for _ in range(PARTS)]),
        id="batch-norm",
    ),
]
OTHER = [
    pytest.param(ByHand(chunk, lambda parts: cat(parts[::-1])), id="other-order"),
    pytest.param(ByHand(chunk, lambda parts: sum(parts[1:], parts[0])), id="sum"),
    pytest.param(ByHand(chunk, lambda parts: torch.cat(parts, 2)), id="other-axis"),
    pytest.param(
        ByHand(lambda x: [x[:, :, :2], x[:, :, 2:4]], cat, [nn.Conv2d(8, 3, 1) for _ in range(2)]), id="rows"
    ),
    pytest.param(ByHand(lambda x: [x[:, :2]] * 4, cat), id="one-part"),
    pytest.param(ByHand(lambda x: [x[:, 2 * i : 2 * i + 2] for i in (0, 2, 1, 3)], cat), id="shuffled"),
    pytest.param(ByHand(chunk, cat, [nn.Conv2d(2, 3, 1, dilation=1 + i) for i in range(4)]), id="dilations"),
    pytest.param(ByHand(lambda x: [p.cumsum(2) for p in chunk(x)], cat), id="an-op-between"),
    pytest.param(ByHand(chunk, lambda p: cat([p[0], *[q.add_(p[0]) for q in p[1:]]])), id="written-into"),
    pytest.param(ByHand(lambda x: [p.clone().mul_(x[:, :2]) for p in chunk(x)], cat), id="parts-meet"),
    pytest.param(ByHand(chunk, lambda p: cat([p[0], p[1] + p[0], p[2] + p[1], p[3] + p[2]])), id="res2net"),
]
"""What looks alike, and is not one convolution with groups."""


def one_weight() -> nn.Module:
    conv = nn.Conv2d(2, 3, 1)
    return ByHand(chunk, cat, [conv] * PARTS)


def exported(module: nn.Module) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(module, (torch.zeros(1, 8, 6, 6),), buffer, dynamo=False, opset_version=17)
    return onnx.load_from_string(buffer.getvalue())


def audits(module: nn.Module) -> list[Report]:
    module = module.eval()
    program = torch.export.export(module, (torch.zeros(1, 8, 6, 6),))
    return [
        convaudit.audit(module, input_shape=(1, 8, 6, 6)),
        convaudit.audit(module, input_shape=("N", 8, "H", "W")),
        convaudit.audit(program),
        convaudit.audit(exported(module)),
    ]


@pytest.mark.parametrize("module", SAME)
def test_groups_made_by_hand_are_recognised(module: nn.Module) -> None:
    for report in audits(module):
        (found,) = report.hand_made_groups
        assert (len(found.layers), found.groups) == (PARTS, PARTS), report.format
        assert list(found.layers) == [layer.name for layer in report.layers]
        note = "one of 4 convolutions that are one with groups=4, made by hand"
        assert all(note in layer.notes for layer in report.layers)
        assert report.to_dict()["hand_made_groups"] == [{"layers": list(found.layers), "groups": 4}]


@pytest.mark.parametrize("module", [*OTHER, pytest.param(one_weight(), id="one-weight")])
def test_what_is_none_is_not_taken_for_one(module: nn.Module) -> None:
    for report in audits(module):
        assert report.hand_made_groups == (), report.format


def test_it_costs_what_the_one_layer_costs() -> None:
    by_hand = ByHand(chunk, cat)
    one = nn.Conv2d(8, 12, 3, padding=1, groups=PARTS)
    report = convaudit.audit(by_hand, input_shape=(1, 8, 6, 6))
    (layer,) = convaudit.audit(one, input_shape=(1, 8, 6, 6)).layers
    assert (report.totals.params, report.totals.macs) == (layer.params, layer.macs)
    assert report.totals.macs == 12 * 36 * 2 * 9
    text = " ".join(str(report).split())
    assert "convs.0 ... convs.3: 4 convolutions of the parts of one tensor, joined again" in text
    assert "groups=4, made by hand; against groups=1 it saves 23.3 k of 31.1 k MACs (75.0%)" in text
    assert layer.macs_saved == 3 * report.totals.macs


TORCH = [
    pytest.param(lambda x: x.chunk(PARTS, 1), id="chunk"),
    pytest.param(lambda x: x.tensor_split(PARTS, 1), id="tensor-split"),
    pytest.param(slices, id="slices"),
]


@pytest.mark.parametrize("cut", TORCH)
def test_other_ways_to_cut(cut: Callable[[Tensor], Any]) -> None:
    for shape in ((1, 8, 6, 6), ("N", 8, "H", "W")):
        (found,) = convaudit.audit(ByHand(cut, cat), input_shape=shape).hand_made_groups
        assert found.groups == PARTS


def test_groups_of_grouped_convolutions_multiply() -> None:
    module = ByHand(lambda x: x.split(4, 1), cat, [nn.Conv2d(4, 4, 1, groups=2) for _ in range(2)])
    assert [report.hand_made_groups[0].groups for report in audits(module)] == [4] * 4


def wide(parts: int) -> onnx.ModelProto:
    """A network of so many parts, all joined."""
    shape = [1, parts, 4, 4]
    names = [f"p{i}" for i in range(parts)]
    nodes = [helper.make_node("Split", ["x"], names, axis=1, num_outputs=parts)]
    nodes += [helper.make_node("Conv", [name, f"w{name}"], [f"c{name}"], name=f"n{name}") for name in names]
    nodes.append(helper.make_node("Concat", [f"c{name}" for name in names], ["y"], axis=1))
    weight = np.ones((1, 1, 1, 1), np.float32)
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, f"w{name}") for name in names],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_a_thousand_parts() -> None:
    (found,) = convaudit.audit(wide(1000)).hand_made_groups
    assert found.groups == 1000
