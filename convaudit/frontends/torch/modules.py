"""A module to run in place of the user's own.

The copy shares its tensors with the original, so that it costs no memory, but whatever a forward does to the
module's Python state (attributes it assigns, caches it fills, the training flag) happens to the copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from convaudit.errors import UsageError
from convaudit.frontends.torch import _private as private


class _ShareTensors(TorchFunctionMode):
    """``deepcopy`` of a plain tensor is the tensor: ``weight_norm`` keeps one that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.shared: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        self.shared.append(args[0])
        return args[0]


def private_copy(module: nn.Module) -> tuple[nn.Module, list[Tensor]]:
    """A copy of ``module`` in eval mode, and all tensors that it shares with the original.

    Only uninitialised parameters of Lazy modules are copied, since the forward is going to fill them.

    Raises:
        UsageError: The module cannot be copied.
    """
    shared = [tensor for tensor in [*module.parameters(), *module.buffers()] if not is_lazy(tensor)]
    try:
        with _ShareTensors() as sharing:
            duplicate: nn.Module = copy.deepcopy(module, {id(tensor): tensor for tensor in shared})
    except Exception as error:
        raise UsageError(
            f"{type(module).__name__} cannot be copied, and an audit does not touch the original: "
            f"{type(error).__name__}: {error}"
        ) from error
    return duplicate.eval(), [*shared, *sharing.shared]


def clean_path(path: str) -> str:
    """A submodule's path without the segments that ``torch.compile`` puts in."""
    return ".".join(part for part in path.split(".") if part != private.WRAPPED)


def watch(module: nn.Module, enter: Callable[[str, nn.Module], None], leave: Callable[[], None]) -> None:
    """Call ``enter(path, submodule)`` and ``leave()`` around each forward inside ``module``, a private copy.

    TorchScript modules are left out: their interpreter knows no hooks.
    """
    for path, submodule in module.named_modules():
        if isinstance(submodule, torch.jit.ScriptModule):
            continue

        def before(found: nn.Module, _args: Any, path: str = clean_path(path)) -> None:
            enter(path, found)

        def after(_module: nn.Module, _args: Any, _output: Any) -> None:
            leave()

        submodule.register_forward_pre_hook(before, prepend=True)
        submodule.register_forward_hook(after, always_call=True)
