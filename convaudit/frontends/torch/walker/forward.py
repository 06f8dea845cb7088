"""Walks a module by one forward, in which nothing is computed and every convolution is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from convaudit.errors import ConvauditError, ExecutionError, UsageError
from convaudit.formulas import Count
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.guard import quiet, untouched, without_autocast_cache
from convaudit.frontends.torch.inputs import Inputs, RandomTensor, Values, make_inputs
from convaudit.frontends.torch.modules import private_copy, watch
from convaudit.frontends.torch.stored import Stored, in_short
from convaudit.frontends.torch.walker.layers import Frame
from convaudit.frontends.torch.walker.recorder import Observer, Recorder, in_one_line
from convaudit.frontends.torch.walker.script import in_sight, out_of_sight
from convaudit.frontends.torch.walker.survivors import Surroundings, caches_as_before, left_behind
from convaudit.frontends.torch.walker.threads import Threads
from convaudit.records import Network, with_notes

if TYPE_CHECKING:
    from convaudit.frontends.torch.fake import SharedFakeMode
    from convaudit.frontends.torch.walker.open_sizes import OpenSizes

Attach = Callable[[nn.Module, Stored], None]
"""Is given the copy of a module that is going to run, and the tensors that it stores."""


def walk_module(
    module: nn.Module,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    source: str | None = None,
    allow_run: bool = True,
    fake: bool = True,
) -> Network:
    """The convolutions of one forward of ``module`` in eval mode.

    The forward runs on fake tensors, which have a shape but no values: no memory, no arithmetic. Where it
    needs values, or an operator has no fake form, it is run again for real, unless ``allow_run`` is False.
    With ``fake`` False it is run for real at once.
    The module, its tensors and torch's global state are as before afterwards, whatever happens.

    Args:
        module: What to walk.
        input_shape: See ``make_inputs``.
        inputs: See ``make_inputs``.
        source: What the network is called; the class's name where it is None.
        allow_run: Whether a forward that needs values may be run for real.
        fake: False: it is run for real at once.

    Raises:
        UsageError: The inputs cannot be used.
        ExecutionError: The forward fails.
    """
    module = private.unwrapped(module)
    arguments = make_inputs(module, input_shape, inputs)
    if arguments.names:
        from convaudit.frontends.torch.walker.open_forward import walk_open

        return walk_open(module, arguments, source)
    must_be_fake = not allow_run or _has_no_values(module)
    if fake and not must_be_fake and private.find_or("FakeTensorMode", None) is None:
        notes = []  # a loss
    elif fake:
        try:
            return walk_numbers(module, arguments, source)
        except ConvauditError:
            raise
        except Exception as error:
            if must_be_fake:
                raise _failure(module, arguments, error) from error
            notes = [
                f"the forward was run for real, since it fails without values: {in_one_line(error, 120)}"
            ]
    elif _has_no_values(module):
        raise UsageError(f"{class_name(module)}: it is on the meta device and has no values to run on")
    else:
        notes = ["the forward was run for real, as was asked for: counts are those of its inputs' values"]
    return network_of(module, arguments, real_forward(module, arguments, Values()), source, notes)


def walk_numbers(module: nn.Module, arguments: Inputs, source: str | None) -> Network:
    """The convolutions of one forward without values."""
    private.find("FakeTensorMode")
    from convaudit.frontends.torch.fake import SharedFakeMode

    mode = SharedFakeMode()
    with left_as_before(module, mode) as left:
        recorder = fake_forward(module, arguments, mode)
        network = network_of(module, arguments, recorder, source, [])
        del recorder
    return replace(network, warnings=(*network.warnings, *left))


@contextmanager
def left_as_before(module: nn.Module, mode: SharedFakeMode) -> Iterator[list[str]]:
    """Put back what the forward in the body leaves elsewhere; what cannot be is named, once it is over."""
    surroundings, left = Surroundings(module), list[str]()
    try:
        yield left
    except BaseException:
        surroundings.put_back()
        raise
    left += left_behind(mode, surroundings)


def network_of(
    module: nn.Module,
    arguments: Inputs,
    recorder: Recorder,
    source: str | None,
    notes: list[str],
    sizes: Mapping[str, Count] | None = None,
) -> Network:
    """What a forward showed of ``module``, the names of its sizes replaced by ``sizes``."""
    if recorder.stored.has_frozen_parameters():
        notes.append("frozen TorchScript holds its parameters as constants of its code; those are counted")
    layers = recorder.layers.named(sizes)
    hand_made = recorder.hand_made.named(recorder.layers.rows(), layers)
    return Network(
        source=source or class_name(module),
        format="torchscript" if isinstance(module, torch.jit.ScriptModule) else "torch",
        inputs=arguments.infos(module),
        layers=with_notes(layers, hand_made),
        hand_made_groups=hand_made,
        other_layers=recorder.other_layers.named((layer.name for layer in layers), sizes),
        other_ops=recorder.other_ops(),
        uncounted_ops=recorder.uncounted_ops(),
        model_params=recorder.stored.parameter_elements(recorder.layers.weights()),
        trainable=recorder.stored.trainable_elements(recorder.layers.weights()),
        warnings=(
            *notes,
            *private.losses(),
            *recorder.stored.fixed_kernels(recorder.layers.weights()),
            *_never_ran(recorder, getattr(module, "training", False)),
        ),
    )


def warm_up() -> None:
    """Have torch import what it only imports for the first forward, which takes as long as torch itself."""
    walk_module(nn.Conv2d(1, 1, 1), input_shape=(1, 1, 1, 1))


def _has_no_values(module: nn.Module) -> bool:
    return any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))


def real_forward(
    module: nn.Module,
    arguments: Inputs,
    value: Callable[[Tensor | RandomTensor], Tensor],
    observer: Observer | None = None,
    attach: Attach | None = None,
) -> Recorder:
    """Run a private copy of ``module`` for real, on ``value`` of each of its inputs.

    Args:
        module: What to run.
        arguments: What its forward is called with.
        value: Gives each input its value.
        observer: Is told of each convolution.
        attach: Is given the copy and its tensors before.

    Raises:
        ExecutionError: The forward fails.
    """
    try:
        with caches_as_before(module):
            return _forward(module, arguments, value, observer=observer, attach=attach)
    except ConvauditError:
        raise
    except Exception as error:
        raise _failure(module, arguments, error) from error


def fake_forward(
    module: nn.Module, arguments: Inputs, mode: SharedFakeMode, sizes: OpenSizes | None = None
) -> Recorder:
    """Run a private copy of ``module`` on fake tensors of ``mode``, some of their sizes named ones."""

    def value(leaf: Tensor | RandomTensor) -> Tensor:
        if not isinstance(leaf, RandomTensor):
            return mode.likeness(leaf.detach())
        return leaf.empty(None if sizes is None else sizes.of(leaf.shape))

    return _forward(module, arguments, value, mode, sizes=sizes)


def _forward(
    module: nn.Module,
    arguments: Inputs,
    value: Callable[[Tensor | RandomTensor], Tensor],
    mode: SharedFakeMode | None = None,
    observer: Observer | None = None,
    attach: Attach | None = None,
    sizes: OpenSizes | None = None,
) -> Recorder:
    duplicate, shared = private_copy(module)
    duplicate = in_sight(duplicate)
    stored = Stored.of(duplicate)
    recorder = Recorder(stored, root=class_name(module), observer=observer)
    recorder.miss(out_of_sight(duplicate))
    layers = recorder.layers
    watch(duplicate, lambda path, submodule: layers.enter(Frame.of(path, submodule)), layers.leave)
    if attach is not None:
        attach(duplicate, stored)
    if sizes is not None:
        recorder.run = sizes.run
    with (
        untouched([*shared, *stored.tensors().values()], mode) as undo,
        torch.compiler.set_stance("force_eager"),
        torch.jit.optimized_execution(False),  # type: ignore[attr-defined]
        _separate_attention(),
        mode or nullcontext(),
        nullcontext() if sizes is None else sizes.followed(),
    ):
        args, kwargs = arguments.realise(value)
        with recorder, quiet(), _in_all_threads(recorder, undo, mode):
            duplicate(*args, **kwargs)
    return recorder


@contextmanager
def _in_all_threads(
    recorder: Recorder, undo: private.TorchDispatchMode, mode: SharedFakeMode | None
) -> Iterator[None]:
    """Have the threads that the body uses run under the same modes as this one."""

    def surroundings() -> Callable[[], AbstractContextManager[None]]:
        place = recorder.layers.place

        @contextmanager
        def entered() -> Iterator[None]:
            with mode or undo, recorder, recorder.layers.at(place), without_autocast_cache():
                yield

        return entered

    @contextmanager
    def stray() -> Iterator[None]:
        with threads.here(), surroundings()():
            yield

    threads = Threads(surroundings, lambda what: recorder.unseen(what, "what it runs is not seen"))
    if mode is not None:
        mode.stray = lambda: stray() if threads.away() and not recorder.sees_this_thread else None
    try:
        with threads.followed():
            yield
    finally:
        recorder.closed = True
        if mode is not None:
            mode.closed = True


@contextmanager
def _separate_attention() -> Iterator[None]:
    """Have transformer layers run their projections and attention as operators of their own, not as one."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _never_ran(recorder: Recorder, training: bool) -> Iterator[str]:
    idle = recorder.stored.idle(recorder.used)
    if idle and recorder.saw_everything:
        mode = ", which was in eval mode though the module is in training mode" if training else ""
        yield f"never used in this forward{mode}: {in_short(idle)}; the model's parameters include theirs"


def _failure(module: nn.Module, arguments: Inputs, error: Exception) -> ExecutionError:
    return ExecutionError(
        f"{class_name(module)}: the forward failed on {arguments.as_text()}: {in_one_line(error)}"
    )


def class_name(module: nn.Module) -> str:
    """What a module is called in messages: of TorchScript the class that it was made of."""
    return str(getattr(module, "original_name", type(module).__name__))
