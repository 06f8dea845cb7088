"""Puts back what a forward may change outside the private copy: stored tensors, and torch's global state."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from convaudit.walkers.torch_stored import storages


@contextmanager
def untouched(tensors: Iterable[Tensor]) -> Iterator[TorchDispatchMode]:
    """Run the body without gradients; afterwards tensors, grad mode and random states are as before.

    A tensor is copied only at the moment that an operator is about to write to it; the mode that sees to that
    is what other threads must enter too.
    """
    stored = [(tensor, tensor.data, tensor.requires_grad) for tensor in tensors if not is_lazy(tensor)]
    devices = {tensor.device.index for tensor, _, _ in stored if tensor.is_cuda}
    python_state, numpy_state = random.getstate(), np.random.get_state()
    undo = _UndoWrites(data for _, data, _ in stored)
    try:
        with torch.random.fork_rng(sorted(devices)), torch.no_grad(), without_autocast_cache(), undo:
            yield undo
    finally:
        undo.restore()
        for tensor, data, requires_grad in stored:
            if tensor.shape != data.shape or _handles(tensor) != _handles(data):
                tensor.data = data
            tensor.requires_grad_(requires_grad)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def without_autocast_cache() -> Iterator[None]:
    """Have this thread cast weights anew each time: a fake one would be used again later."""
    enabled = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_cache_enabled(enabled)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's warnings and log lines off the terminal: an error is reported by the exception."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


class _UndoWrites(TorchDispatchMode):
    """Copies a storage before the first operator that writes to it."""

    supports_higher_order_operators = True

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = {s._cdata: s for tensor in tensors for s in storages(tensor)}
        self._copies: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        schema = getattr(func, "_schema", None)  # a higher-order operator has none
        if schema is not None and schema.is_mutable:
            named = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
            for argument in schema.arguments:
                if argument.alias_info is not None and argument.alias_info.is_write:
                    self._save(named.get(argument.name))
        return func(*args, **kwargs)

    def _save(self, written: Any) -> None:
        for tensor in written if isinstance(written, list | tuple) else [written]:
            for storage in storages(tensor):
                if storage._cdata in self._stored and storage._cdata not in self._copies:
                    with unset_fake_temporarily():
                        self._copies[storage._cdata] = storage.clone()

    def restore(self) -> None:
        for key, copy in self._copies.items():
            storage = self._stored[key]
            if storage.nbytes() != copy.nbytes():  # resizing moves it even where nothing changes
                storage.resize_(copy.nbytes())
            storage.copy_(copy)


def _handles(tensor: Tensor) -> list[int]:
    return [storage._cdata for storage in storages(tensor)]
