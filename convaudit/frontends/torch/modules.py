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


class _CopyTensors(TorchFunctionMode):
    """Decides what ``deepcopy`` makes of a plain tensor: ``weight_norm`` keeps one that cannot be copied."""

    def __init__(self, copied: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._copied = copied

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._copied(args[0]) if func is Tensor.__deepcopy__ else func(*args, **(kwargs or {}))


def private_copy(module: nn.Module) -> tuple[nn.Module, list[Tensor]]:
    """A copy of ``module`` in eval mode, and all tensors that it shares with the original.

    Only uninitialised parameters of Lazy modules are copied, since the forward is going to fill them.

    Raises:
        UsageError: The module cannot be copied.
    """
    stored = [tensor for tensor in [*module.parameters(), *module.buffers()] if not is_lazy(tensor)]
    plain: list[Tensor] = []

    def shared(tensor: Tensor) -> Tensor:
        plain.append(tensor)
        return tensor

    duplicate = _copied(module, shared, {id(tensor): tensor for tensor in stored})
    return duplicate, [*stored, *plain]


def own_copy(module: nn.Module) -> nn.Module:
    """A copy of ``module`` in eval mode with tensors of its own, which its forward may write to.

    Raises:
        UsageError: The module cannot be copied.
    """
    return _copied(module, lambda tensor: tensor.detach().clone(), {})


def _copied(module: nn.Module, tensor: Callable[[Tensor], Tensor], memo: dict[int, Any]) -> nn.Module:
    try:
        with _CopyTensors(tensor):
            duplicate: nn.Module = copy.deepcopy(module, memo)
    except Exception as error:
        raise UsageError(
            f"{type(module).__name__} cannot be copied, and an audit does not touch the original: "
            f"{type(error).__name__}: {error}"
        ) from error
    return duplicate.eval()


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
