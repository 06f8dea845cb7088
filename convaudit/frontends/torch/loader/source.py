"""Tells what names a torch model, without importing torch, and hands it to what loads it.

- ``torchvision:resnet50``, ``timm:resnet50``: a library's architecture; nothing is downloaded.
- ``package.module:factory``, ``folder/nets.py:factory``: the user's own code is imported and called.
- ``model.pt2``, ``model.pt``: a file, by its contents.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convaudit.errors import UsageError

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

SUFFIXES = (".pt2", ".pt", ".pth", ".ts", ".jit", ".ckpt", ".bin", ".safetensors")
ARCHITECTURES = ("torchvision", "timm")
"""Libraries whose architectures have names."""
_FACTORY = re.compile(r"(?:[A-Za-z_][\w.]*|.+\.py):[A-Za-z_][\w.]*", re.S)


def is_torch_source(source: object) -> bool:
    """Whether ``source`` is a torch module or program, or names one."""
    if isinstance(source, str | os.PathLike):
        text = str(os.fspath(source))
        return text.lower().endswith((*SUFFIXES, ".py")) or names_factory(text)
    return any(base.__module__.split(".")[0] == "torch" for base in type(source).__mro__)


def names_factory(text: str) -> bool:
    """Whether ``text`` names code that makes a model, see above, and no file."""
    return _FACTORY.fullmatch(text) is not None and not Path(text).exists()


def names_architecture(source: object) -> bool:
    """Whether it is ``torchvision:NAME`` or ``timm:NAME``."""
    return isinstance(source, str) and source.partition(":")[0] in ARCHITECTURES and names_factory(source)


def load_torch_source(
    source: Any, kwargs: Mapping[str, Any] | None = None, *, weights: bool = True
) -> TorchModel:
    """The module or exported program that ``source`` is or names.

    Args:
        source: A module, an exported program, or what names one.
        kwargs: Arguments for a factory or a library's architecture.
        weights: False: a library's architecture gets no memory for its weights (device ``meta``).

    Raises:
        LoadError: There is no such model, or it cannot be loaded.
        UsageError: ``source`` is something else, or takes no arguments.
        DependencyError: torch or torchvision is missing.
    """
    from convaudit.frontends.torch.loader.factory import build_model, needs

    named = isinstance(source, str | os.PathLike)
    text = str(os.fspath(source)) if named else type(source).__name__
    is_factory = named and _FACTORY.fullmatch(text) is not None
    if kwargs and not is_factory:
        raise UsageError(f"{text}: only a factory or a library's architecture takes keyword arguments")
    if named and not is_factory and text.lower().endswith(".py"):
        raise UsageError(f"{text}: Python code; say what in it makes the model: {text}:NAME")
    with needs("torch", text):
        import torch
    if is_factory:
        return build_model(text, dict(kwargs or {}), weights=weights)
    if named:
        from convaudit.frontends.torch.loader.file import load_torch_file

        return load_torch_file(Path(source))
    if isinstance(source, torch.nn.Module | torch.export.ExportedProgram):
        return source
    raise UsageError(f"a torch.nn.Module or exported program is needed, got {type(source).__name__}")
