"""Operators that run other code: what runs inside is counted, or the convolutions' totals are unknown."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.map import map as torch_map
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim

from convaudit.analyzer import analyze
from convaudit.checks import Budgets, check_budgets
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.walker.forward import real_forward
from convaudit.frontends.torch.walker.walk import walk_torch

SHAPE = (5, 4, 8, 8)
MACS = 8 * 8 * 4 * 4 * 9  # of one image


class Body(nn.Module):
    """Convolves, somewhere inside of something."""

    def __init__(self, run: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.run = run

    def forward(self, x: Tensor) -> Any:
        return self.run(self.conv, x)


def mapped(conv: nn.Module, x: Tensor) -> Tensor:
    return torch_map(conv, x.unsqueeze(1))


def scanned(conv: nn.Module, x: Tensor) -> Any:
    def step(total: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        y = conv(image)
        return total + y, y.clone()

    return scan(step, torch.zeros_like(x[:1]), x.unsqueeze(1))


def looped(conv: nn.Module, x: Tensor) -> Any:
    return while_loop(
        lambda i, _: i < 3, lambda i, x: (i + 1, conv(x)), (torch.zeros((), dtype=torch.int64), x)
    )


def looped_in_a_map(conv: nn.Module, x: Tensor) -> Any:
    return torch_map(lambda image: looped(conv, image)[1], x.unsqueeze(1))


def mapped_twice(conv: nn.Module, x: Tensor) -> Tensor:
    return torch_map(lambda row: torch_map(conv, row), x.unsqueeze(0).unsqueeze(2))


@torch.library.custom_op("convaudit_tests::convolve", mutates_args=())
def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.conv2d(x, weight, bias, padding=1)


@convolve.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0], *x.shape[2:])


@torch.library.custom_op("convaudit_tests::convolve_in_numpy", mutates_args=())
def convolve_in_numpy(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.conv2d(torch.from_numpy(x.numpy()), weight, bias, padding=1)


convolve_in_numpy.register_fake(lambda x, weight, bias: torch.empty_like(x))
LIBRARY = torch.library.Library("convaudit_tests", "FRAGMENT")
LIBRARY.define("opaque(Tensor x, Tensor weight, Tensor bias) -> Tensor")
LIBRARY.impl("opaque", lambda x, weight, bias: nn.functional.conv2d(x, weight, bias, padding=1), "CPU")
LIBRARY.impl("opaque", lambda x, weight, bias: torch.empty_like(x), "Meta")


def custom(name: str) -> Callable[[nn.Module, Tensor], Tensor]:
    return lambda conv, x: getattr(torch.ops.convaudit_tests, name)(x, conv.weight, conv.bias)


# what runs the convolution, then its calls and the MACs of all, without values and with
COUNTED = [
    pytest.param(mapped, (5, 5 * MACS), (5, 5 * MACS), id="map"),
    pytest.param(scanned, (5, 5 * MACS), (5, 5 * MACS), id="scan"),
    pytest.param(looped, (None, None), (3, 3 * 5 * MACS), id="while-loop"),
    pytest.param(looped_in_a_map, (None, None), (15, 15 * MACS), id="while-loop-in-a-map"),
    pytest.param(mapped_twice, (5, 5 * MACS), (5, 5 * MACS), id="map-in-a-map"),
    pytest.param(custom("convolve"), (1, 5 * MACS), (1, 5 * MACS), id="custom-op-in-python"),
]


@pytest.mark.parametrize(("run", "fake", "real"), COUNTED)
def test_bodies_are_counted(run: Callable[..., Any], fake: tuple[Any, Any], real: tuple[Any, Any]) -> None:
    module = Body(run)
    report = analyze(walk_torch(module, input_shape=SHAPE))
    assert [(layer.name, layer.calls) for layer in report.layers] == [("conv", fake[0])]
    assert report.totals.macs == fake[1]
    assert not any("never used" in warning for warning in report.warnings)
    recorder = real_forward(module, make_inputs(module, SHAPE), Values())
    (layer,) = recorder.layers.named()
    assert (layer.name, layer.calls) == ("conv", real[0])


def test_a_real_run_of_a_body_computes_what_torch_computes() -> None:
    for run in (mapped, scanned, looped, looped_in_a_map):
        # a queue, since a list would be put back to what it held before the run
        module, results = Body(run).eval(), SimpleQueue[Tensor]()
        x = torch.randn(SHAPE)
        with torch.no_grad():
            expected = module(x)
        module.register_forward_hook(lambda _module, _args, output, results=results: results.put(output))
        real_forward(module, make_inputs(module, inputs=x), Values())
        torch.testing.assert_close(results.get_nowait(), expected)


@pytest.mark.parametrize(("run", "fake", "real"), COUNTED[:3])
def test_programs_are_counted_alike(
    run: Callable[..., Any], fake: tuple[Any, Any], real: tuple[Any, Any]
) -> None:
    program = torch.export.export(Body(run).eval(), (torch.zeros(SHAPE),))
    report = analyze(walk_torch(program))
    assert [(layer.name, layer.calls) for layer in report.layers] == [("conv", fake[0])]
    assert report.totals.macs == fake[1]


@pytest.mark.parametrize("run", [mapped, scanned], ids=["map", "scan"])
def test_what_holds_the_results_of_a_programs_bodies_is_not_an_operator_of_it(
    run: Callable[..., Any],
) -> None:
    program = torch.export.export(Body(run), (torch.rand(SHAPE),))
    assert not [op for op, _ in walk_torch(program).uncounted_ops if "empty" in op]


def test_an_open_number_of_iterations_is_a_formula() -> None:
    program = torch.export.export(
        Body(mapped).eval(), (torch.zeros(SHAPE),), dynamic_shapes=({0: Dim("batch")},)
    )
    report = analyze(walk_torch(program))
    (batch,) = report.symbols
    assert str(report.layers[0].calls) == batch
    assert analyze(walk_torch(program, dims={batch: 7})).totals.macs == 7 * MACS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "convolve_in_numpy",
            "a convolution by its name; it has no row, and the convolutions' totals are unknown",
        ),
        ("opaque", "convolutions may run in it unseen, so their totals are unknown"),
    ],
)
def test_a_custom_operator_that_nobody_sees_into_leaves_nothing_known(name: str, said: str) -> None:
    report = analyze(walk_torch(Body(custom(name)), input_shape=SHAPE))
    totals = report.totals
    assert (totals.macs, totals.params, totals.model_macs, totals.model_params) == (None, None, None, 148)
    assert report.warnings == (f"1 convaudit_tests.{name}: {said} (a custom operator, in Body)",)
    outcomes = check_budgets(report, Budgets(max_layer_macs=10, forbid=("dense",), max_macs=10**12))
    assert [outcome.status for outcome in outcomes] == ["failed"] * 3
