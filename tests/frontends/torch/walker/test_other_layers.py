"""A row for each multiplying operator of a torch model that is not a convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import OtherLayer
from tests.rows import rows_sum_up


def rows(model: Any, **options: Any) -> list[OtherLayer]:
    network = walk_torch(model, **options)
    rows_sum_up(network)
    return list(network.other_layers)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        return nn.functional.scaled_dot_product_attention(q, k, v)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.attn = Attention()

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(self.norm(x))


class ByHand(nn.Module):
    """Two products of its own, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(4, 4))
        self.register_buffer("bank", torch.zeros(9, 3))
        self.kernel = nn.Parameter(torch.zeros(4, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv2d(x, self.kernel).flatten(2)
        return torch.matmul(x @ x.mT, self.scale) @ x @ self.bank


class Again(nn.Module):
    """One layer, used twice alike and once on another shape."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(self.layer(x))
        return self.layer(x[:1])


CASES = [
    pytest.param(
        nn.Sequential(Block()),
        (2, 5, 16),
        [
            ("0.attn.qkv", "addmm", 16 * 48 + 48, 10 * 16 * 48, 1),
            ("0.attn", "_scaled_dot_product_flash_attention_for_cpu", 0, 2 * 4 * 5 * 5 * 8, 1),
        ],
        id="attention",
    ),
    pytest.param(
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        (2, 5, 16),
        [
            ("self_attn (mm)", "mm", 16 * 48, 10 * 16 * 48, 1),
            (
                "self_attn (attention)",
                "_scaled_dot_product_flash_attention_for_cpu",
                0,
                2 * 4 * 5 * 5 * 8,
                1,
            ),
            ("self_attn.out_proj", "addmm", 17 * 16, 10 * 16 * 16, 1),
            ("linear1", "addmm", 17 * 32, 10 * 16 * 32, 1),
            ("linear2", "addmm", 33 * 16, 10 * 16 * 32, 1),
        ],
        id="transformer",
    ),
    pytest.param(
        ByHand(),
        (1, 4, 3, 3),
        [
            ("ByHand (bmm #1)", "bmm", 0, 4 * 4 * 9, 1),
            ("ByHand (mm #1)", "mm", 16, 4 * 4 * 4, 1),
            ("ByHand (bmm #2)", "bmm", 0, 4 * 4 * 9, 1),
            ("ByHand (mm #2)", "mm", 0, 4 * 9 * 3, 1),
        ],
        id="by-hand",
    ),
    pytest.param(
        Again(),
        (2, 4),
        [("layer", "addmm", 20, 32, 2), ("layer (at 1x4)", "addmm", 20, 16, 1)],
        id="again",
    ),
    pytest.param(
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))),
        (2, 4),
        [("0", "addmm", 12 + 3 + 3, 24, 1)],
        id="weight-norm",
    ),
    pytest.param(
        nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU()),
        (2, 4),
        [("0", "mm", 12, 24, 1)],
        id="no-bias",
    ),
]


@pytest.mark.parametrize(("module", "shape", "expected"), CASES)
def test_rows(module: nn.Module, shape: tuple[int, ...], expected: list[tuple[Any, ...]]) -> None:
    found = rows(module, input_shape=shape)
    assert [(row.name, row.op, row.params, row.macs, row.calls) for row in found] == expected


@pytest.mark.parametrize(("module", "shape", "expected"), CASES)
def test_the_same_of_an_exported_program(
    module: nn.Module, shape: tuple[int, ...], expected: list[tuple[Any, ...]]
) -> None:
    found = rows(torch.export.export(module.eval(), (torch.zeros(shape),)))
    assert sum(row.macs * row.calls for row in found) == sum(macs * calls for *_, macs, calls in expected)
    assert {tensor.name for row in found for tensor in row.stored} == {
        tensor.name for row in rows(module, input_shape=shape) for tensor in row.stored
    }


def test_symbolic_sizes_of_a_program() -> None:
    program = torch.export.export(
        nn.Sequential(Block()).eval(),
        (torch.zeros(2, 5, 16),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    assert {row.name: str(row.macs) for row in rows(program)}["0.attn.qkv"] == "3840*batch"
    assert {row.name: row.macs for row in rows(program, dims={"batch": 3})}["0.attn.qkv"] == 3840 * 3


def test_torchscript_names_what_has_a_weight() -> None:
    """Its submodules run unseen: the weight tells which one; attention has none."""
    script = torch.jit.trace(nn.Sequential(Block()).eval(), torch.zeros(2, 5, 16))
    assert [row.name for row in rows(script, input_shape=(2, 5, 16))] == ["0.attn.qkv", "Sequential"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_quantised_layer_has_its_packed_parameters() -> None:
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), {nn.Linear})
    (row,) = rows(model, input_shape=(2, 4))
    assert (row.name, row.op, row.params, row.weight_name) == (
        "0",
        "quantized.linear_dynamic",
        15,
        "0.weight",
    )


def test_an_operator_without_a_rule_says_so() -> None:
    (row,) = rows(nn.Bilinear(3, 4, 5), input_shape=[(2, 3), (2, 4)])
    assert (row.params, row.macs, row.notes) == (60, None, ("no rule for this operator",))


def test_a_buffer_is_not_a_parameter() -> None:
    last = rows(ByHand(), input_shape=(1, 4, 3, 3))[-1]
    assert (last.params, last.weight_name, last.notes) == (
        0,
        "bank",
        ("bank: a buffer or constant, not a parameter",),
    )


def test_rows_are_plain_records_that_another_process_may_hand_over() -> None:
    assert {type(row) for row in rows(ByHand(), input_shape=(1, 4, 3, 3))} == {OtherLayer}
