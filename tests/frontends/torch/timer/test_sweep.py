"""One layer at several numbers of groups."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
import torch
from torch import nn

from convaudit.errors import UsageError
from convaudit.frontends import Request, TimeRequest, open_model
from convaudit.frontends.torch.timer import rounds
from convaudit.records.timing import Swept


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch):
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 6)


def swept(model: nn.Module, groups: list[int], shape: Any = (1, 16, 20, 20), name: str = "0") -> Swept:
    request = TimeRequest(budget_seconds=60)
    opened = open_model(nn.Sequential(model), Request(input_shape=shape))
    return opened.sweep(name, groups, request)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(nn.Conv2d(16, 32, 3, groups=4, padding=1), id="plain"),
        pytest.param(nn.ConvTranspose2d(16, 32, 3, stride=2, output_padding=1, bias=False), id="transposed"),
        pytest.param(nn.Conv2d(16, 16, 4, padding="same", groups=2), id="padded at one end"),
        pytest.param(nn.Conv2d(16, 16, 3).to(memory_format=torch.channels_last), id="channels last"),
    ],
)
def test_every_number_of_groups_has_a_sample_in_each_round(layer):
    found = swept(layer, [1, 2, 4, 16])
    assert found.reasons == {}
    assert {len(taken) for taken in found.seconds.values()} == {len(found.itself)}
    assert all(kernel and "conv" in kernel for kernel in found.kernels.values())


def test_an_order_that_no_machine_turns():
    """Nine times 64 x 64 channels at each of 1600 places against 16 x 4."""
    found = swept(nn.Conv2d(64, 64, 3, padding=1), [1, 64], shape=(1, 64, 40, 40))
    assert median(found.seconds[1]) > median(found.seconds[64])


def test_without_the_layers_own_groups_nothing_is_held_against_itself():
    assert swept(nn.Conv2d(16, 16, 3, groups=8), [1, 2]).itself == ()


def test_what_cannot_be_called_alone_says_why():
    class OfSequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 16, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.conv_tbc(x, self.weight, torch.zeros(16))

    found = swept(OfSequences(), [1, 4], shape=(9, 2, 16))
    assert found.seconds == {1: (), 4: ()}
    assert set(found.reasons) == {1, 4}


def test_a_layer_that_is_not_there():
    with pytest.raises(UsageError, match="no layer is called 'gone'"):
        swept(nn.Conv2d(16, 16, 3), [1], name="gone")
