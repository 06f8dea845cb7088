"""What a forward never used is told by names that are there, and only where it is sure."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import convaudit


class Root(nn.Module):
    """Has a parameter of its own that no forward uses, as wav2vec2 has one for training."""

    def __init__(self) -> None:
        super().__init__()
        self.masked_embedding = nn.Parameter(torch.ones(4))
        self.conv = nn.Conv2d(3, 4, 1)
        self.spare = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Any:
        return self.conv(x)


class Wrapped(torch.Tensor):
    """A weight that computes with what is inside of it, as torchao's do."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapped:
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)  # type: ignore[attr-defined]
        made.inner = inner
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.linear:
            return func(args[0], args[1].inner, *args[2:])
        return super().__torch_function__(func, types, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return cls(args[0].inner)
        raise NotImplementedError(func)


def never_used(module: nn.Module, *shape: int) -> list[str]:
    warnings = convaudit.audit(module, input_shape=shape).warnings
    return [warning for warning in warnings if "never used" in warning]


def test_a_models_own_parameters_are_named() -> None:
    (line,) = never_used(Root().eval(), 1, 3, 8, 8)
    assert line.startswith("never used in this forward: masked_embedding, spare; ")


def test_of_weights_that_unfold_themselves_nothing_is_claimed() -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4))
    net[0].weight = nn.Parameter(Wrapped(torch.ones(4, 4)), requires_grad=False)
    assert never_used(net.eval(), 1, 4) == []
