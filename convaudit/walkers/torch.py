"""Walks a torch module: one forward in which nothing is computed, and every convolution is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.jit._fuser import optimized_execution

from convaudit.errors import ConvauditError, ExecutionError
from convaudit.records import Network
from convaudit.walkers.torch_guard import untouched
from convaudit.walkers.torch_inputs import Inputs, RandomTensor, make_inputs
from convaudit.walkers.torch_modules import private_copy, uncompiled, watch
from convaudit.walkers.torch_ops import op_name
from convaudit.walkers.torch_recorder import Observer, Recorder
from convaudit.walkers.torch_stored import Stored


def walk_torch(
    module: nn.Module,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    source: str | None = None,
    allow_run: bool = True,
) -> Network:
    """The convolutions of one forward of ``module`` in eval mode; ``make_inputs`` says what it can be given.

    The forward runs on fake tensors, which have a shape but no values: no memory, no arithmetic. Where its
    control flow needs values it is run again for real, unless ``allow_run`` is False.
    The module, its tensors and torch's global state are as before afterwards, whatever happens.

    Raises  UsageError for unusable inputs, ExecutionError if the forward fails, GroupsError.
    """
    module = uncompiled(module)
    arguments = make_inputs(module, input_shape, inputs)
    notes: tuple[str, ...] = ()
    try:
        forward = _fake_forward(module, arguments)
    except ConvauditError:
        raise
    except Exception as error:
        if not allow_run or any(tensor.is_meta for tensor in module.parameters()):
            raise _failure(module, arguments, error) from error
        forward = real_forward(module, arguments)
        notes = (f"the forward was run for real, since without values it failed: {_one_line(error)}",)
    recorder, stored = forward.recorder, forward.stored
    if isinstance(module, torch.jit.ScriptModule) and not any(True for _ in module.parameters()):
        notes = (
            *notes,
            "a frozen TorchScript holds its parameters as constants of the code; those are counted",
        )
    return Network(
        source=source or _class_name(module),
        format="torchscript" if isinstance(module, torch.jit.ScriptModule) else "torch",
        inputs=arguments.infos(module),
        layers=recorder.layers.named(),
        other_ops=recorder.other_ops(),
        uncounted_ops=recorder.uncounted_ops(),
        model_params=stored.parameter_elements(),
        warnings=(*notes, *_never_ran(stored, recorder.used)),
    )


@dataclass(frozen=True, slots=True)
class Forward:
    """What one forward left behind."""

    recorder: Recorder
    stored: Stored


def real_forward(
    module: nn.Module, arguments: Inputs, *, seed: int = 0, observer: Observer | None = None
) -> Forward:
    """Run a private copy of ``module`` on values; where only a shape is given, on random ones from ``seed``.

    Raises  ExecutionError if the forward fails.
    """
    generator = torch.Generator().manual_seed(seed)

    def value(leaf: Tensor | RandomTensor) -> Tensor:
        return leaf.draw(generator) if isinstance(leaf, RandomTensor) else leaf.detach().clone()

    try:
        return _forward(module, arguments, value, nullcontext(), observer)
    except ConvauditError:
        raise
    except Exception as error:
        raise _failure(module, arguments, error) from error


def _fake_forward(module: nn.Module, arguments: Inputs) -> Forward:
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def value(leaf: Tensor | RandomTensor) -> Tensor:
        return leaf.empty() if isinstance(leaf, RandomTensor) else mode.from_tensor(leaf.detach())

    return _forward(module, arguments, value, mode)


def _forward(
    module: nn.Module,
    arguments: Inputs,
    value: Callable[[Tensor | RandomTensor], Tensor],
    mode: AbstractContextManager[Any],
    observer: Observer | None = None,
) -> Forward:
    duplicate = private_copy(module)
    stored = Stored.of(duplicate)
    recorder = Recorder(stored, root=_class_name(module), observer=observer)
    watch(duplicate, recorder.layers.enter, recorder.layers.leave)
    with (
        untouched(stored.tensors()),
        torch.compiler.set_stance("force_eager"),
        optimized_execution(False),
        _separate_attention(),
        mode,
    ):
        args, kwargs = arguments.realise(value)
        with recorder:
            duplicate(*args, **kwargs)
    return Forward(recorder, stored)


@contextmanager
def _separate_attention() -> Iterator[None]:
    """Have transformer layers run their projections and attention as operators of their own, not as one."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _never_ran(stored: Stored, used: set[str]) -> Iterator[str]:
    owners: dict[str, bool] = {}
    for name in stored.parameter_names():
        owner = name.rpartition(".")[0]
        owners[owner] = owners.get(owner, False) or name in used
    idle = [owner for owner, ran in owners.items() if not ran]
    if idle:
        listed = ", ".join(idle[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")
        yield f"never used in this forward: {listed}; the model's parameters include theirs"


def _failure(module: nn.Module, arguments: Inputs, error: Exception) -> ExecutionError:
    return ExecutionError(
        f"{_class_name(module)}: the forward failed on {arguments.as_text()}: {_one_line(error)}"
    )


def _class_name(module: nn.Module) -> str:
    return str(getattr(module, "original_name", type(module).__name__))


def _one_line(error: Exception) -> str:
    if isinstance(error, DataDependentOutputException | DynamicOutputShapeException):
        return f"what {op_name(error.func)} returns depends on the input's values"
    return shorten(str(error), 400, placeholder=" ...") or type(error).__name__
