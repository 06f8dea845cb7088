"""Sizes with names: formulas that hold at every size that they are said to hold for, or an honest no."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import convaudit
from convaudit.analyzer.examples import example_of
from convaudit.errors import ExecutionError, UsageError
from convaudit.formulas import Count, Formula
from convaudit.frontends.torch.sizes import count_of, read

OPEN = ("batch", 3, "H", "W")


class Net(nn.Module):
    """A convolution behind what a function does to the input."""

    def __init__(self, before: Callable[[Tensor], Tensor], channels: int = 3) -> None:
        super().__init__()
        self.before = before
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.conv(self.before(x))


def at(count: Count | None, **sizes: int) -> Count | None:
    return count.substitute(sizes) if isinstance(count, Formula) else count


def totals(report: convaudit.Report, **sizes: int) -> list[Count | None]:
    named = ("params", "macs", "dense_macs", "model_macs")
    return [at(getattr(report.totals, name), **sizes) for name in named]


def assert_holds(module: nn.Module, *sizes: tuple[int, int, int], open_shape: Any = OPEN) -> None:
    formulas = convaudit.audit(module, input_shape=open_shape)
    for batch, height, width in sizes:
        numbers = convaudit.audit(module, input_shape=(batch, 3, height, width))
        assert totals(formulas, batch=batch, H=height, W=width) == totals(numbers)


def demands(report: convaudit.Report) -> list[str]:
    return [line for line in report.warnings if " hold where " in line or " here, because " in line]


def pad_to_seven(x: Tensor) -> Tensor:
    return functional.pad(x, (0, -x.shape[3] % 7, 0, -x.shape[2] % 7))


FORWARDS = [
    pytest.param(lambda x: x, id="as-it-is"),
    pytest.param(lambda x: functional.max_pool2d(x, 3, 2, 1), id="pool"),
    pytest.param(lambda x: functional.interpolate(x, scale_factor=2.0), id="upsample"),
    pytest.param(lambda x: functional.interpolate(x, scale_factor=0.5), id="downsample"),
    pytest.param(lambda x: x[:, :, 1:, :-2], id="slice"),
    pytest.param(lambda x: x * x.mean((2, 3), keepdim=True), id="broadcast"),
    pytest.param(lambda x: torch.cat([x, x.flip(2)], 3), id="cat"),
    pytest.param(lambda x: x.permute(0, 1, 3, 2), id="transposed-axes"),
    pytest.param(lambda x: x.reshape(-1, 3, *x.shape[2:]), id="reshape"),
    pytest.param(lambda x: x.flatten(2).unflatten(2, x.shape[2:]), id="flatten"),
    pytest.param(lambda x: functional.adaptive_avg_pool2d(x, 5), id="adaptive"),
    pytest.param(
        lambda x: functional.conv_transpose2d(x, torch.ones(3, 3, 4, 4), stride=2, padding=1), id="transposed"
    ),
]


@pytest.mark.parametrize("before", FORWARDS)
def test_formulas_hold_at_all_sizes(before: Callable[[Tensor], Tensor]) -> None:
    report = convaudit.audit(Net(before), input_shape=OPEN)
    assert not demands(report)
    assert report.symbols == ("H", "W", "batch")
    assert_holds(Net(before), (1, 7, 9), (1, 32, 32), (3, 21, 40), (2, 64, 33), (5, 100, 101))


def test_random_stacks_hold_at_random_sizes() -> None:
    draw = random.Random(5)
    for _ in range(3):
        layers: list[nn.Module] = []
        channels = 3
        for _ in range(draw.randint(1, 4)):
            out = draw.choice([4, 8, 12])
            kernel, groups = draw.randint(1, 4), draw.choice([1, 1, channels])
            layers.append(
                nn.Conv2d(
                    channels, out * groups, kernel, draw.randint(1, 3), draw.randint(0, kernel), groups=groups
                )
            )
            layers.append(draw.choice([nn.ReLU(), nn.BatchNorm2d(out * groups), nn.MaxPool2d(2, 1)]))
            channels = out * groups
        sizes = [(draw.randint(1, 4), draw.randint(100, 300), draw.randint(100, 300)) for _ in range(4)]
        assert_holds(nn.Sequential(*layers), *sizes)


def branch(x: Tensor) -> Tensor:
    return torch.cat([x, x], 2) if x.shape[2] > 100 else x


CONDITIONS = [
    pytest.param(
        lambda x: x.contiguous(memory_format=torch.channels_last), "where H.W != 1", (1, 7, 9), id="layout"
    ),
    pytest.param(branch, r"hold where H >= 101", (1, 101, 8), id="a branch"),
    pytest.param(
        lambda x: x if x.shape[0] == 1 else x[:, :, ::2], "hold where batch >= 2", (2, 9, 9), id="batch"
    ),
    pytest.param(
        lambda x: x.view(x.shape[0], 3, x.shape[2] // 4, 4, x.shape[3]).sum(3),
        r"hold where .*H divisible by 4",
        (1, 12, 5),
        id="divisible",
    ),
    pytest.param(lambda x: x[:, :, : int(x.shape[2])], "H is 448 here, because", (3, 448, 7), id="int"),
    pytest.param(lambda x: x + x.transpose(2, 3), "is .* here, because", (3, 224, 224), id="square"),
    pytest.param(lambda x: x + torch.zeros(224, 1), "H is 224 here, because", (3, 224, 7), id="fixed"),
]


EXAMPLES = [
    pytest.param(lambda x: torch.cat([x, x], 2) if x.shape[2] > 300 else x, (1, 301, 224), id="larger"),
    pytest.param(lambda x: torch.cat([x, x], 2) if x.shape[2] % 9 == 7 else x, (2, 448, 448), id="twice"),
    pytest.param(lambda x: x if x.shape[0] == 1 else x[:, :, ::2], (2, 224, 224), id="batch"),
    pytest.param(branch, (1, 224, 224), id="usual"),
]


@pytest.mark.parametrize(("before", "sizes"), EXAMPLES)
def test_counts_are_shown_at_sizes_for_which_the_formulas_hold(
    before: Any, sizes: tuple[int, int, int]
) -> None:
    module = Net(before)
    report = convaudit.audit(module, input_shape=OPEN)
    example = example_of(report)
    numbers = convaudit.audit(module, input_shape=(sizes[0], 3, *sizes[1:]))
    assert tuple(example.sizes[name] for name in ("batch", "H", "W")) == sizes
    assert example.value(report.totals.macs) == numbers.totals.macs


@pytest.mark.parametrize(("before", "told", "sizes"), CONDITIONS)
def test_what_formulas_hold_for_is_told(before: Any, told: str, sizes: tuple[int, int, int]) -> None:
    report = convaudit.audit(Net(before), input_shape=OPEN)
    assert re.search(told, report.warnings[0])
    assert_holds(Net(before), sizes)


def test_the_line_that_fixes_a_size_is_named() -> None:
    report = convaudit.audit(Net(lambda x: x[:, :, : int(x.shape[2])]), input_shape=OPEN)
    assert re.search(r"at test_open_sizes\.py:\d+;", report.warnings[0])
    assert report.symbols == ("W", "batch")


def test_a_multiple_of_a_name_is_divisible() -> None:
    net = Net(lambda x: x.view(x.shape[0], 3, x.shape[2] // 4, 4, x.shape[3]).sum(3))
    report = convaudit.audit(net, input_shape=("N", 3, "4*h", "W"))
    assert not report.warnings
    assert str(report.totals.macs) == "108*N*W*h"
    assert str(report.inputs[0].shape[2]) == "4*h"  # type: ignore[index]


def test_what_is_no_exact_formula_is_unknown() -> None:
    report = convaudit.audit(Net(lambda x: x[:, :, : torch.sym_int(x.shape[2] * 0.3)]), input_shape=OPEN)
    (layer,) = report.layers
    assert layer.macs is None
    assert report.totals.macs is None
    assert any("no exact formula" in note for note in layer.notes)


def test_what_depends_on_values_is_unknown() -> None:
    report = convaudit.audit(Net(lambda x: x[x.sum((1, 2, 3)) > 0]), input_shape=OPEN)
    assert report.totals.macs is None
    assert "no exact formula: [u0]" in report.layers[0].notes[0]


REFUSED = [
    pytest.param(
        Net(lambda x: x + sum(x.shape[2] % k == 0 for k in range(2, 90))),
        "asks more than 60 questions.*give numbers for batch, H, W",
        id="questions",
    ),
]


@pytest.mark.parametrize(("module", "words"), REFUSED)
def test_a_forward_that_cannot_says_so(module: nn.Module, words: str) -> None:
    with pytest.raises(ExecutionError, match=words):
        convaudit.audit(module, input_shape=OPEN)


def test_a_formula_that_another_size_refutes_is_refused() -> None:
    def secretly(x: Tensor) -> Tensor:
        return x if x.shape[0].__class__ is int else x[:, :, ::2]

    with pytest.raises(ExecutionError, match="counts otherwise than its formulas"):
        convaudit.audit(Net(secretly), input_shape=OPEN)


def test_dims_fix_names() -> None:
    net = Net(lambda x: x)
    report = convaudit.audit(net, input_shape=OPEN, dims={"H": 224, "W": 224})
    assert str(report.totals.macs) == "5419008*batch"
    assert convaudit.audit(net, input_shape=OPEN, dims={"H": 8, "W": 8, "batch": 2}).totals.macs == 13824
    verified = convaudit.audit(net, input_shape=OPEN, dims={"H": 8, "W": 8, "batch": 2}, verify=True)
    assert verified.layers[0].verification is not None
    with pytest.raises(UsageError, match=r"no size of its inputs is called 'h'.*batch, H, W"):
        convaudit.audit(net, input_shape=OPEN, dims={"h": 224})


def test_a_run_needs_numbers() -> None:
    for how in ({"verify": True}, {"time": True}, {"fake": False}, {"lint": True}):
        with pytest.raises(UsageError, match=r"batch, H, W have no numbers; give them: --dim batch=1"):
            convaudit.audit(Net(lambda x: x), input_shape=OPEN, **how)  # type: ignore[arg-type]


def test_inputs_share_names() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 1)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.conv(torch.cat([a, b], 1))  # type: ignore[no-any-return]

    report = convaudit.audit(Two(), input_shape={"a": ("N", 1, "H", 8), "b": ("N", 1, "H", 8)})
    assert str(report.totals.macs) == "64*H*N"
    assert not report.warnings
    apart = convaudit.audit(Two(), input_shape=[("N", 1, 8, 8), ("M", 1, 8, 8)])
    assert "M is N here" in apart.warnings[0] or "N is M here" in apart.warnings[0]


def test_names_that_torch_uses_itself() -> None:
    report = convaudit.audit(Net(lambda x: x), input_shape=("s1", 3, "u0", "s26"))
    assert str(report.totals.macs) == "108*s1*s26*u0"


def expressions() -> list[Any]:
    """Sizes of torch's, and what they are at H = 1 .. 20."""
    from convaudit.frontends.torch import _private as private

    environment = private.size_environment(lambda: "")
    own, size = private.symbolic_size(environment, "H", 40)

    def rows() -> list[tuple[Any, Callable[[int], int]]]:
        return [
            (size % 8, lambda h: h % 8),
            (-(-size // 3), lambda h: -(-h // 3)),
            ((size - 5) // 2 // 3, lambda h: (h - 5) // 2 // 3),
            (torch.sym_max(size - 3, 7), lambda h: max(h - 3, 7)),
            (torch.sym_min(size * size, 50), lambda h: min(h * h, 50)),
            (-size % 7, lambda h: -h % 7),
            ((size % 6) // 2, lambda h: h % 6 // 2),
            (torch.sym_int(size * 0.5), lambda h: int(h * 0.5)),
            (torch.sym_int(size / 3), lambda h: int(h / 3)),
            (torch.sym_int(size * 1.5 * 2.0), lambda h: int(h * 3.0)),
        ]

    return [(own, *row) for row in rows()]


def test_sizes_of_torch_are_read_exactly() -> None:
    for own, size, expected in expressions():
        formula = count_of(size)
        assert isinstance(formula, Formula)
        assert formula.symbols == {own}, str(size)
        assert [formula.substitute({own: h}) for h in range(1, 21)] == [expected(h) for h in range(1, 21)]


def test_what_floats_round_is_not_read() -> None:
    import sympy

    size = sympy.Symbol("H", positive=True, integer=True)
    assert read(sympy.Function("RoundToInt")(size)) == convaudit.formulas.symbol("RoundToInt(H)")
