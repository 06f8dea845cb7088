"""Modules that write convolutions in every way torch allows, one corner each."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils.mkldnn
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves


class Functional(nn.Module):
    """Two functional convolutions on own parameters, a child called twice, whose weight is borrowed too."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(8, 4, 3, 3))
        self.w2 = nn.Parameter(torch.randn(8, 2, 1, 1))
        self.child = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.w1)
        x = functional.conv2d(x, self.w2, groups=4)
        x = self.child(self.child(x))
        return functional.conv2d(x, self.child.weight)


class Borrows(nn.Module):
    """Convolves with the weight of a child that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.child.weight)


class Nested(nn.Module):
    """``Functional`` as ``features.1``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.ReLU(), Functional())

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


class OverriddenForward(nn.Conv2d):
    """Weight standardisation: the effective weight is computed from the stored one."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class TwoShapes(nn.Module):
    """One convolution on two sizes, as a detector's shared head."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(x), self.head(functional.avg_pool2d(x, 2))


class DependsOnValues(nn.Module):
    """Which way it goes depends on what the first convolution computes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y if y.sum() > 1e9 else self.conv(y)


class Dynamic(nn.Module):
    """The weight is an input."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.conv2d(x, weight, groups=2)


class Vmapped(nn.Module):
    """One image against a stack of kernels, which vmap turns into more output channels."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(5, 6, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda kernel: functional.conv2d(x, kernel))(self.kernels)


class InferenceMode(nn.Module):
    """Inference mode hands whole operators to the dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)
        self.fc = nn.Linear(8, 5)

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean(dim=(2, 3)))


class Unused(nn.Module):
    """A submodule with parameters that the forward leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Conv2d(4, 4, 1)
        self.auxiliary = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class Careless(nn.Module):
    """A forward that changes all that it can reach, and can be told to fail at the end."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, momentum=0.5)
        self.register_buffer("steps", torch.zeros(3))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.train()
        self.steps[1] += 1
        with torch.no_grad():
            self.conv.weight.clamp_(-0.01, 0.01)
        self.conv.weight.data.mul_(2)
        self.norm.weight.data = torch.zeros(4)
        self.conv.bias.requires_grad_(False)
        self.seen.append(x)
        self.extra = torch.rand(3)
        torch.set_grad_enabled(True)
        x = functional.dropout(self.norm(self.conv(x)), training=True)
        if self.fails:
            raise RuntimeError("careless to the end")
        return x


class Mkldnn(nn.Module):
    """A module converted to oneDNN's own tensors."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = torch.utils.mkldnn.to_mkldnn(inner.eval())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.to_mkldnn()).to_dense()


class Deformable(nn.Module):
    """torchvision's operator itself, with two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Conv2d(4, 18, 3, padding=(1, 0))
        self.weight = nn.Parameter(torch.randn(6, 2, 3, 3))
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        offset = self.offset(x)
        attributes = 1, 1, 1, 0, 1, 1, 2, 1, False
        return torch.ops.torchvision.deform_conv2d(
            x, self.weight, offset, torch.zeros(2, 1), self.bias, *attributes
        )


class Custom(nn.Module):
    """An operator that torch does not know."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.somebodys.mixing(torch.ops.somebodys.mixing(x))


class Nest(nn.Module):
    """Convolves every tensor that it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, x: Any, extra: Any = None) -> list[Tensor]:
        return [self.conv(leaf) for leaf in tree_leaves((x, extra)) if isinstance(leaf, Tensor)]


class PadsItself(nn.Conv2d):
    """An attribute ``padding`` that says "same" to itself alone."""

    def __init__(self, *sizes: int, **options: int) -> None:
        super().__init__(*sizes, **options)
        self.padding = "same"

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (0, 1, 0, 1))
        return functional.conv2d(x, self.weight, self.bias, self.stride)
