"""The table of torch's convolutions: each row is read, counted and verified, or says why it is not."""

from __future__ import annotations

import warnings
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from convaudit.analyzer.costs import macs
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.loader.operators import is_target
from convaudit.frontends.torch.ops import CONV_OPS, ConvCall, conv_call
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.verifier.evidence import judge_call
from convaudit.frontends.torch.walker.bodies import FOLLOWERS
from convaudit.frontends.torch.walker.layers import Layers

CHANNELS, SIZE, KERNEL = 4, 7, 3
SCALE = 0.05


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # eager quantisation is deprecated
        yield


def rank_of(op: str) -> int:
    return next((rank for rank in (1, 3) if f"{rank}d" in op), 1 if op == "aten.conv_tbc" else 2)


def drawn(op: str) -> dict[str, Any]:
    """Operands and attributes by role, as our convolutions take them; every group has two channels."""
    row, rank = CONV_OPS[op], rank_of(op)
    grouped = "groups" in row.roles or row.packed is not None
    groups = CHANNELS if row.depthwise else 2 if grouped else 1
    torch.manual_seed(0)
    kernel = [KERNEL] * rank
    return {
        "x": torch.randn(2, CHANNELS, *[SIZE] * rank),
        "weight": torch.randn(CHANNELS, CHANNELS // groups, *kernel),
        "bias": torch.randn(CHANNELS) if row.packed or "bias" in row.roles else None,
        "stride": [2] * rank if row.packed or "stride" in row.roles else [1] * rank,
        "padding": [1] * rank if row.packed or "padding" in row.roles else [0] * rank,
        "dilation": [1] * rank,
        "output_padding": [0] * rank,
        "groups": groups,
        "transposed": row.transposed,
        "offset": torch.zeros(2, 2 * 9, 4, 4),
        "mask": torch.ones(2, 9, 4, 4),
        "use_mask": True,
    }


def as_given(op: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the operator, by its row."""
    row = CONV_OPS[op]
    given = dict(given)
    if row.axes is not None:
        for role, axes in row.axes.items():
            given[role] = given[role].permute([axes.index(axis) for axis in range(len(axes))])
    arguments = {}
    for role, names in row.roles.items():
        spread = isinstance(names, tuple)
        arguments |= dict(zip(names, given[role], strict=True)) if spread else {names: given[role]}
    if row.packed is not None and row.quantized:
        arguments["qx"] = quantised(given["x"])
        arguments["packed_weight"] = packed(op, given)
    elif row.packed is not None:
        arguments["W_prepack"] = Prepared(op, given)
    return arguments


class Prepared:
    """What XNNPACK's and oneDNN's convolutions keep in an object, which this build of torch may not have."""

    def __init__(self, op: str, given: dict[str, Any]) -> None:
        names = ["weight", "bias", "stride", "padding", "output_padding", "dilation", "groups"]
        self.state = tuple(given[name] for name in names if name != "output_padding" or "transpose" in op)

    def __getstate__(self) -> Any:
        return self.state, "class"


def quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor, SCALE, 64, torch.quint8)


def packed(op: str, given: dict[str, Any]) -> Any:
    rank = rank_of(op)
    weight = torch.quantize_per_tensor(given["weight"], SCALE, 0, torch.qint8)
    sizes = (given["stride"], given["padding"])
    if CONV_OPS[op].transposed:
        pack = getattr(torch.ops.quantized, f"conv_transpose{rank}d_prepack")
        return pack(
            weight, given["bias"], *sizes, given["output_padding"], given["dilation"], given["groups"]
        )
    pack = getattr(torch.ops.quantized, f"conv{rank}d_prepack")
    return pack(weight, given["bias"], *sizes, given["dilation"], given["groups"])


def honest(call: ConvCall, arguments: dict[str, Any]) -> Tensor:
    """What torch computes: by the operator itself where it is quantised, else by the public convolution."""
    if call.row.quantized and call.row.packed is not None and call.row.not_supported is None:
        plain = call.op.removeprefix("_").replace("_add", "").partition(".")[2]
        output: Tensor = getattr(torch.ops.quantized, plain)(
            arguments["qx"], arguments["packed_weight"], 0.5, 64
        )
        return output
    weight = call.weight.dequantize() if call.weight.is_quantized else call.weight
    x = call.x.dequantize() if call.x.is_quantized else call.x
    output = torch.convolution(
        x, weight, call.bias, call.stride, [before for before, _ in call.padding], call.dilation,
        call.transposed, call.output_padding or [0] * call.rank, call.groups,
    )  # fmt: skip
    return output.relu() if call.fused == "relu" else output


@pytest.mark.parametrize("op", CONV_OPS)
def test_each_row_is_counted_and_verified_or_says_why_not(op: str) -> None:
    given = drawn(op)
    arguments = as_given(op, given)
    call = conv_call(op, arguments)
    output = honest(call, arguments)
    layer = Layers(Stored([]), "root").add(call, output)
    assert (layer.groups, layer.stride, layer.transposed) == (
        given["groups"], tuple(given["stride"]), given["transposed"],
    )  # fmt: skip
    assert (layer.padding, layer.bias) == (tuple((n, n) for n in given["padding"]), given["bias"] is not None)
    positions = SIZE ** rank_of(op) if given["transposed"] else prod(output.shape[2:])
    assert macs(layer) == 2 * positions * CHANNELS * CHANNELS // given["groups"] * KERNEL ** rank_of(op)
    verdict = judge_call(layer, call, output)
    fuses = CONV_OPS[op].fused
    if CONV_OPS[op].not_supported is not None:
        assert (verdict.status, verdict.reason) == ("not_supported", CONV_OPS[op].not_supported)
    elif fuses is not None and "add" in fuses:
        assert (verdict.status, verdict.reason) == ("not_supported", f"{op} fuses more behind it: {fuses}")
    else:
        assert verdict.status in ("exact", "within_rounding"), verdict.reason


@pytest.mark.parametrize("op", CONV_OPS)
def test_a_row_names_arguments_that_its_operator_has(op: str) -> None:
    row = CONV_OPS[op]
    named = {name for names in row.roles.values() for name in ([names] if isinstance(names, str) else names)}
    for schema in private.schemas_of(op.replace(".", "::")):  # none of what a build of torch lacks
        declared = {argument.name for argument in schema.arguments}
        assert named <= declared
        assert bool(declared & set(row.fused_by)) == bool(row.fused_by)


def test_operators_that_are_followed_may_be_in_a_file() -> None:
    assert [name for name in FOLLOWERS if not is_target(f"torch.ops.higher_order.{name}")] == []
