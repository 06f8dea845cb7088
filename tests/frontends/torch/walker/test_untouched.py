"""An audit leaves the module, its tensors and torch's global state as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convaudit.errors import ExecutionError
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.walker.forward import real_forward
from convaudit.frontends.torch.walker.walk import walk_torch
from tests.frontends.torch.modules import Careless, DependsOnValues

SHAPE = (2, 4, 5, 5)


def state_of(module: nn.Module) -> dict[str, Any]:
    """All that an audit could leave behind, in a form that compares."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    return {
        "values": {name: tensor.tolist() for name, tensor in module.state_dict().items()},
        "identity": {name: (id(tensor), tensor.data_ptr()) for name, tensor in tensors.items()},
        "flags": {name: (tensor.requires_grad, tensor.device) for name, tensor in tensors.items()},
        "gradients": [tensor.grad for tensor in module.parameters()],
        "modes": [submodule.training for submodule in module.modules()],
        "hooks": [
            {name: len(value) for name, value in vars(submodule).items() if name.endswith("hooks")}
            for submodule in module.modules()
        ],
        "attributes": [sorted(vars(submodule)) for submodule in module.modules()],
        "seen": list(getattr(module, "seen", [])),
        "global hooks": len(nn.modules.module._global_forward_pre_hooks),
        "grad mode": torch.is_grad_enabled(),
        "fast attention": torch.backends.mha.get_fastpath_enabled(),
        "torch random": torch.get_rng_state().tolist(),
        "python random": random.getstate(),
        "numpy random": [str(part) for part in np.random.get_state()],
    }


def real(module: nn.Module) -> None:
    real_forward(module, make_inputs(module, SHAPE), Values())


def fake(module: nn.Module) -> None:
    walk_torch(module, input_shape=SHAPE)


@pytest.mark.parametrize("forward", [fake, real])
@pytest.mark.parametrize("fails", [False, True], ids=["success", "exception"])
@pytest.mark.parametrize("grad", [False, True], ids=["no-grad", "grad"])
def test_nothing_is_left_behind(forward: Callable[[nn.Module], None], fails: bool, grad: bool) -> None:
    module = Careless(fails)
    module.train()
    module.norm.eval()
    module.register_forward_hook(lambda *_: None)
    with torch.set_grad_enabled(grad):
        before = state_of(module)
        if fails:
            with pytest.raises(ExecutionError, match="careless to the end"):
                forward(module)
        else:
            forward(module)
        assert state_of(module) == before


def test_the_comparison_can_fail() -> None:
    module = Careless().eval()
    with torch.set_grad_enabled(False):
        before = state_of(module)
        module(torch.zeros(SHAPE))
        after = state_of(module)
    changed = {key for key in before if before[key] != after[key]}
    assert changed >= {
        "values",
        "identity",
        "flags",
        "modes",
        "attributes",
        "seen",
        "grad mode",
        "torch random",
    }


def test_the_users_inputs_are_not_written_to() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return DependsOnValues()(x.mul_(2))

    x = torch.ones(1, 4, 5, 5)
    network = walk_torch(InPlace(), inputs=x)
    assert "run for real" in network.warnings[0]
    assert torch.equal(x, torch.ones(1, 4, 5, 5))
