"""Exported programs: the same layers as the module's, symbolic where the export was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from convaudit.analyzer import analyze
from convaudit.errors import UsageError
from convaudit.frontends.torch.walker.walk import run_torch, walk_torch
from convaudit.records import Branch, ConvLayer
from tests.frontends.torch import modules


class Sample(nn.Module):
    """An even kernel with ``padding="same"``, a fixed kernel, a stride, and a region without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(4, 8, 4, padding="same", groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.register_buffer("kernel", torch.ones(8, 1, 2, 2))
        self.strided = nn.Conv2d(8, 8, 3, stride=2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.same(x))
        x = nn.functional.conv2d(x, self.kernel, groups=8)
        with torch.no_grad():
            x = self.strided(x)
        return self.fc(x.mean((2, 3)))


def exported(*, dynamic: bool) -> ExportedProgram:
    shapes = ({0: Dim("batch"), 2: Dim("height", min=16)},) if dynamic else None
    return torch.export.export(Sample().eval(), (torch.zeros(2, 4, 18, 18),), dynamic_shapes=shapes)


@pytest.fixture(scope="module")
def dynamic() -> ExportedProgram:
    return exported(dynamic=True)


@pytest.mark.parametrize("build", [Sample, modules.Nested, modules.TwoShapes])
def test_a_program_has_the_layers_of_its_module(build: type[nn.Module]) -> None:
    module = build().eval()
    x = torch.zeros(1, 4, 18, 18)
    program = torch.export.export(module, (x,))
    from_module = walk_torch(module, inputs=x)
    for form in (program, program.run_decompositions({})):
        network = walk_torch(form)
        assert [facts(layer) for layer in network.layers] == [facts(layer) for layer in from_module.layers]
        assert network.model_params == from_module.model_params
        assert network.format == "torch.export"
        assert network.source == build.__name__


def facts(layer: ConvLayer) -> tuple[Any, ...]:
    return (
        layer.name, layer.input_shape, layer.output_shape, layer.weight_shape, layer.groups, layer.padding,
        layer.calls, layer.weight_name, layer.bias_name,
    )  # fmt: skip


def test_symbolic_dimensions_become_formulas_and_are_fixed_by_name(dynamic: ExportedProgram) -> None:
    symbolic = analyze(walk_torch(dynamic))
    batch, height = (str(size) for size in (symbolic.inputs[0].shape or ())[::2])
    assert (batch, height) == ("batch", "height") == symbolic.symbols
    assert str(symbolic.layers[0].macs) == f"{8 * 2 * 16 * 18}*batch*height"
    total: Any = symbolic.totals.macs
    static = analyze(walk_torch(Sample(), input_shape=(5, 4, 21, 18))).totals.macs
    assert total.substitute({batch: 5, height: 21}) == static
    for given in ({"dims": {batch: 5, height: 21}}, {"input_shape": (5, 4, 21, 18)}):
        assert analyze(walk_torch(dynamic, **given)).totals.macs == static
    assert analyze(walk_torch(dynamic)).totals.macs == total  # the program itself was not pinned


def test_a_saved_program_is_walked_alike(dynamic: ExportedProgram, tmp_path: Path) -> None:
    torch.export.save(dynamic, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2")
    sizes = {"input_shape": (3, 4, 20, 18)}
    assert walk_torch(loaded, **sizes).layers == walk_torch(dynamic, **sizes).layers
    own = analyze(walk_torch(loaded)).symbols  # torch.export.save keeps no names
    assert walk_torch(dynamic, dims=dict(zip(own, (3, 20), strict=True))).layers


def test_a_size_that_is_a_multiple_goes_by_the_name_of_its_part() -> None:
    program = torch.export.export(
        nn.Conv2d(4, 4, 3), (torch.zeros(4, 4, 8, 8),), dynamic_shapes=({0: 2 * Dim("pairs")},)
    )
    assert str(analyze(walk_torch(program)).totals.macs) == f"{2 * 4 * 36 * 36}*pairs"
    assert analyze(walk_torch(program, dims={"pairs": 3})).totals.macs == 6 * 4 * 36 * 36


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"dims": {"batches": 1}}, r"is called 'batches'.*are: batch, height$", id="dim"),
        pytest.param({"input_shape": {"image": (1,)}}, r"no input is called 'image'.*are: x", id="name"),
        pytest.param(
            {"input_shape": (1, 4, 18)}, r"x: 1x4x18 has 3 axes, not batchx4xheightx18's", id="rank"
        ),
        pytest.param({"input_shape": (1, 3, 18, 18)}, r"1x3x18x18 does not fit .*x4x", id="static-size"),
        pytest.param({"input_shape": [(1,), (2,)]}, r"2 shapes are given", id="too-many"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    dynamic: ExportedProgram, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        walk_torch(dynamic, **given)


def test_a_module_has_no_symbolic_dimensions() -> None:
    with pytest.raises(UsageError, match="no size of its inputs is called"):
        walk_torch(Sample(), input_shape=(1, 4, 18, 18), dims={"batch": 1})


class Choice(nn.Module):
    """One of two convolutions and products, by the input's sign."""

    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Conv2d(4, 4, 3)
        self.large = nn.Conv2d(4, 8, 3, padding=1)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        def small(x: Tensor) -> Tensor:
            return self.small(x).sum()

        def large(x: Tensor) -> Tensor:
            return self.fc(self.large(x).mean((2, 3))).sum()

        return torch.cond(x.sum() > 0, small, large, (x,))


@pytest.mark.parametrize("exported", [False, True], ids=["module", "program"])
def test_arms_of_a_cond_are_exclusive(exported: bool) -> None:
    model: Any = Choice()
    given: dict[str, Any] = {"input_shape": (1, 4, 8, 8)}
    if exported:
        model, given = torch.export.export(model, (torch.zeros(1, 4, 8, 8),)), {}
    network = walk_torch(model, **given)
    then, other = (Branch(choice="Choice (cond #1)", arm=arm) for arm in ("then_branch", "else_branch"))
    assert [(layer.name, layer.branches) for layer in network.layers] == [
        ("small", (then,)),
        ("large", (other,)),
    ]
    (linear,) = network.other_ops
    assert (linear.op, linear.macs, linear.branches) == ("addmm", 16, (other,))
    assert analyze(network).totals.macs == 8 * 64 * 4 * 9


class Times(nn.Module):
    """Takes a number beside its tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor, factor: int) -> Tensor:
        return self.conv(x) * factor


def test_numbers_among_the_inputs_are_part_of_the_program() -> None:
    program = torch.export.export(Times(), (torch.zeros(1, 4, 8, 8), 3))
    network = walk_torch(program)
    assert [tensor.name for tensor in network.inputs] == ["x"]
    seen: list[str] = []
    run_torch(program, network, lambda row, _call, _output: seen.append(row.op))
    assert seen == ["aten.convolution"]
