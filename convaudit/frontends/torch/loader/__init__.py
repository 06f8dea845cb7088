"""Torch modules, programs and TorchScript from files, factories and torchvision; ``source`` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    TorchModel: TypeAlias = nn.Module | ExportedProgram
