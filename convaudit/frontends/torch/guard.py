"""Puts back what a forward may change outside the private copy: stored tensors, and torch's global state."""

from __future__ import annotations

import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import is_higher_order, tensors_in
from convaudit.frontends.torch.stored import storages

if TYPE_CHECKING:
    from convaudit.frontends.torch.fake import SharedFakeMode


@contextmanager
def untouched(
    tensors: Iterable[Tensor], fake: SharedFakeMode | None = None
) -> Iterator[private.TorchDispatchMode]:
    """Run the body without gradients; afterwards tensors, grad mode and random states are as before.

    Whatever a tensor is written to, it is copied at that moment and not before; the mode that sees to that is
    what other threads must enter too. Each step of the clean-up runs even where another one fails.

    Args:
        tensors: What may be written to.
        fake: The mode of a forward without values, which sees each operator: one more would take as long.

    Yields:
        The mode to enter in other threads.
    """
    stored = [tensor for tensor in tensors if not is_lazy(tensor)]
    devices = {tensor.device.index for tensor in stored if tensor.is_cuda}
    undo = _UndoWrites()
    with ExitStack() as stack:
        stack.enter_context(settings_kept(sorted(devices)))
        for tensor in stored:
            gradient = tensor.grad if tensor.is_leaf else None
            stack.callback(_put_back, tensor, tensor.data, tensor.requires_grad, gradient)
        stack.callback(undo.restore)
        stack.enter_context(torch.no_grad())
        stack.enter_context(without_autocast_cache())
        if fake is None:
            stack.enter_context(undo)
        else:
            fake.before = undo.save
        yield undo


@contextmanager
def settings_kept(devices: Sequence[int] = ()) -> Iterator[None]:
    """Whatever the body does, random states and torch's settings are as before afterwards.

    Args:
        devices: Of CUDA, whose random states may change.
    """
    with ExitStack() as stack:
        stack.callback(random_states(devices))
        for put_back, state in _global_state():
            stack.callback(put_back, state)
        yield


def random_states(devices: Sequence[int] = ()) -> Callable[[], None]:
    """What puts random states back to what they are now.

    Args:
        devices: Of CUDA, whose states count too.
    """
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()
    of_devices = {device: torch.cuda.get_rng_state(device) for device in devices}

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_rng_state(tensors)
        for device, state in of_devices.items():
            torch.cuda.set_rng_state(state, device)

    return put_back


def _global_state() -> Iterator[tuple[Callable[[Any], Any], Any]]:
    """Settings of torch that a forward may change, each with what puts it back."""
    for device in ("cpu", "cuda"):
        yield partial(torch.set_autocast_enabled, device), torch.is_autocast_enabled(device)
        yield partial(torch.set_autocast_dtype, device), torch.get_autocast_dtype(device)
    yield torch.set_default_dtype, torch.get_default_dtype()
    yield _set_determinism, _determinism()
    for backend, name in ((torch.backends.mkldnn, "enabled"), (torch.backends.cudnn, "benchmark")):
        yield partial(_set_flag, backend, name), getattr(backend, name)
    yield _set_threads, torch.get_num_threads()


def _determinism() -> tuple[bool, bool]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()


def _set_determinism(state: tuple[bool, bool]) -> None:
    if state != _determinism():  # else it would import the compiler
        torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _set_flag(backend: Any, name: str, value: bool) -> None:
    if getattr(backend, name) != value:  # else it would raise where flags are frozen
        setattr(backend, name, value)


def _set_threads(number: int) -> None:
    if number != torch.get_num_threads():
        torch.set_num_threads(number)


def _put_back(tensor: Tensor, data: Tensor, requires_grad: bool, gradient: Tensor | None) -> None:
    if tensor.shape != data.shape or _handles(tensor) != _handles(data):
        tensor.data = data
    if tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)
    if tensor.is_leaf and tensor.grad is not gradient:
        tensor.grad = gradient


@contextmanager
def without_autocast_cache() -> Iterator[None]:
    """Have this thread cast weights anew each time: a fake one would be used again later."""
    enabled = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        try:
            torch.clear_autocast_cache()
        finally:
            torch.set_autocast_cache_enabled(enabled)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's warnings and log lines off the terminal: an error is reported by the exception.

    What the module itself prints goes to stderr, since stdout is the report's.
    """
    logger = logging.getLogger(private.FAKE_LOGGER)
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


class _UndoWrites(private.TorchDispatchMode):
    """Copies a storage before the first operator that writes to it, unless an operator made it meanwhile."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._copies: dict[int, tuple[Any, Any]] = {}  # the storage, which keeps its handle alive, and a copy
        self._new: dict[int, StorageWeakRef] = {}  # a reference keeps the handle from being used again

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.save(func, args, kwargs)
        output = func(*args, **kwargs)
        made = {private.storage_key(storage): storage for storage in _all_storages(output)}
        if made:
            given = {private.storage_key(storage) for storage in _all_storages((args, kwargs))}
            self._new |= {key: StorageWeakRef(made[key]) for key in made.keys() - given - self._new.keys()}
        return output

    def save(self, func: Any, args: Any, kwargs: Any) -> None:
        """Copy what the operator is about to write to."""
        schema = None if is_higher_order(func) else private.schema(func)
        if schema is not None and schema.is_mutable:
            named = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
            for argument in schema.arguments:
                if argument.alias_info is not None and argument.alias_info.is_write:
                    self._save(named.get(argument.name))

    def _save(self, written: Any) -> None:
        for tensor in written if isinstance(written, list | tuple) else [written]:
            for storage in storages(tensor):
                key = private.storage_key(storage)
                if key not in self._new and key not in self._copies:
                    with private.with_values():
                        self._copies[key] = storage, storage.clone()

    def restore(self) -> None:
        """Write the copies back."""
        with ExitStack() as stack:
            for storage, copy in self._copies.values():
                stack.callback(_write_back, storage, copy)


def _write_back(storage: Any, copy: Any) -> None:
    if storage.nbytes() != copy.nbytes():  # resizing moves it even where nothing changes
        storage.resize_(copy.nbytes())
    storage.copy_(copy)


def _handles(tensor: Tensor) -> list[int]:
    return [private.storage_key(storage) for storage in storages(tensor)]


def _all_storages(nest: Any) -> Iterator[Any]:
    for tensor in tensors_in(nest):
        yield from storages(tensor)
