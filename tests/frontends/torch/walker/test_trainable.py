"""Parameters that training changes, and those that are frozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import convaudit
from convaudit.analyzer import analyze
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import Totals


def totals(model: Any, **options: Any) -> Totals:
    return analyze(walk_torch(model, **options)).totals


def net(*, frozen: bool) -> nn.Module:
    """A convolution of 12 + 4 parameters, a linear layer of 64 + 1, a shared and a fixed tensor."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(64, 1))
    if frozen:
        model[0].requires_grad_(False)
        model[2].bias.requires_grad_(False)
    return model.eval()


IMAGE = (1, 3, 4, 4)
FORMS = [
    pytest.param(lambda model: (model, {"input_shape": IMAGE}), id="module"),
    pytest.param(lambda model: (torch.export.export(model, (torch.zeros(IMAGE),)), {}), id="program"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("frozen", "layers", "model"), [(False, 16, 81), (True, 0, 64)], ids=["no", "some"])
def test_trainable_and_frozen(form: Any, frozen: bool, layers: int, model: int) -> None:
    source, options = form(net(frozen=frozen))
    found = totals(source, **options)
    assert (found.trainable_params, found.frozen_params) == (layers, 16 - layers)
    assert (found.model_trainable_params, found.model_frozen_params) == (model, 81 - model)


def test_a_shared_weight_counts_once_and_a_fixed_kernel_is_frozen() -> None:
    class Shares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1, bias=False)
            self.register_buffer("kernel", torch.ones(4, 1, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv2d(self.conv(self.conv(x)), self.kernel, groups=4)

    found = totals(Shares(), input_shape=(1, 4, 5, 5))
    assert (found.params, found.trainable_params, found.frozen_params) == (16 + 36, 16, 36)
    assert (found.model_params, found.model_trainable_params) == (52, 16)


@pytest.mark.parametrize(("frozen", "said"), [(True, True), (False, False)])
def test_the_summary_says_what_is_frozen(*, frozen: bool, said: bool) -> None:
    text = " ".join(str(convaudit.audit(net(frozen=frozen), input_shape=IMAGE)).split())
    line = (
        "Frozen are 17 of the model's 81 parameters (21.0%) and 16 of 16 of the convolutions (100.0%); "
        "the others are trainable."
    )
    assert (line in text) == said


def test_the_model_is_as_trainable_as_before() -> None:
    model = net(frozen=True)
    totals(model, input_shape=IMAGE)
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, False]
