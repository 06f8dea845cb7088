"""What convaudit and its peers count of the same small modules, side by side; nothing is timed.

    python -m tests.benchmarks.peers

Needs ``pip install torchinfo fvcore ptflops``. Prints the table of docs/comparison.md: multiply-accumulates
of one forward, each as the tool prints them, and what they are by hand. A peer that cannot count a module
says so.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import convaudit


class Functional(nn.Module):
    """A grouped convolution that is a call, not a module."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, self.weight, groups=2, padding=1)


CASES: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "Conv2d(8, 8, 3, groups=2) on 16x16": (
        nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False),
        (1, 8, 16, 16),
        16 * 16 * 8 * 4 * 9,
    ),
    "the same with bias": (
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        (1, 8, 16, 16),
        16 * 16 * 8 * 4 * 9,
    ),
    "the same as F.conv2d": (Functional(), (1, 8, 16, 16), 16 * 16 * 8 * 4 * 9),
    "ConvTranspose2d(8, 8, 4, 2, groups=2)": (
        nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=2, bias=False),
        (1, 8, 16, 16),
        16 * 16 * 8 * 4 * 16,
    ),
    "LSTM(16, 32), 10 steps": (nn.LSTM(16, 32, batch_first=True), (1, 10, 16), 10 * 4 * 32 * (16 + 32)),
    "TransformerEncoderLayer(32, 4, 64), 10 tokens": (
        nn.TransformerEncoderLayer(32, 4, 64, batch_first=True),
        (1, 10, 32),
        10 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 10 * 10 * 32,
    ),
}


def of_convaudit(module: nn.Module, size: tuple[int, ...]) -> object:
    return convaudit.audit(module, input_shape=size).totals.model_macs


def of_torchinfo(module: nn.Module, size: tuple[int, ...]) -> object:
    from torchinfo import summary

    return summary(module, input_size=size, verbose=0).total_mult_adds


def of_fvcore(module: nn.Module, size: tuple[int, ...]) -> object:
    from fvcore.nn import FlopCountAnalysis

    return FlopCountAnalysis(module, torch.randn(size)).total()


def of_ptflops(module: nn.Module, size: tuple[int, ...]) -> object:
    from ptflops import get_model_complexity_info

    return get_model_complexity_info(module, size[1:], as_strings=False, print_per_layer_stat=False)[0]


def of_torch(module: nn.Module, size: tuple[int, ...]) -> object:
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(size))
    return counter.get_total_flops() // 2


TOOLS: dict[str, Callable[[nn.Module, tuple[int, ...]], object]] = {
    "convaudit": of_convaudit,
    "FlopCounterMode / 2": of_torch,
    "fvcore": of_fvcore,
    "ptflops": of_ptflops,
    "torchinfo": of_torchinfo,
}


def counted(
    tool: Callable[[nn.Module, tuple[int, ...]], Any], module: nn.Module, size: tuple[int, ...]
) -> str:
    try:
        return f"{tool(module, size):,}"
    except Exception as error:  # a peer's own limits are part of the comparison
        return type(error).__name__


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    rows = [
        [name, f"{by_hand:,}", *(counted(tool, module.eval(), size) for tool in TOOLS.values())]
        for name, (module, size, by_hand) in CASES.items()
    ]
    print(tabulate(rows, ["one forward, MACs", "by hand", *TOOLS], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
