"""A forward to be timed: the model's own code on tensors of its own, so that the user's stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from convaudit.errors import ConvauditError, ExecutionError
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.guard import quiet, random_states, settings_kept, without_autocast_cache
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.modules import own_copy
from convaudit.frontends.torch.timer.stopwatch import Run
from convaudit.frontends.torch.walker.program import placed_values
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.frontends.torch.walker.survivors import caches_as_before
from convaudit.frontends.torch.walker.walk import program_inputs, stored_tensors
from convaudit.records import Network

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

Prepared = Callable[[], Run]
"""Makes inputs of its own for one run, and hands back what runs it."""


@contextmanager
def own_forward(
    model: TorchModel, network: Network, called_with: Mapping[str, Any], arrays: Any, seed: int
) -> Iterator[Prepared]:
    """A forward of a copy of the model, in eval mode, without gradients and as written, not compiled.

    Args:
        model: The model that was walked.
        network: What walking it found.
        called_with: ``input_shape`` and ``inputs`` of its forward.
        arrays: NumPy arrays in the order of its inputs, in place of those.
        seed: Draws the values where only shapes are given.

    Raises:
        ExecutionError: The forward fails.
    """
    values = Values(seed, arrays)
    given: tuple[tuple[Any, ...], dict[str, Any]]
    kept: AbstractContextManager[None]
    if isinstance(model, ExportedProgram):
        inputs = program_inputs(model, network, called_with.get("inputs"), values)
        placed = [_own(value) for value in placed_values(model, inputs).values()]
        forward, given = model.graph_module, (tuple(placed), {})
        kept = nullcontext()
    else:
        module = private.unwrapped(model)
        given = make_inputs(module, **called_with).realise(values)
        forward, kept = own_copy(module), caches_as_before(module)

    devices = sorted({tensor.device.index for tensor in stored_tensors(model).values() if tensor.is_cuda})
    as_observed = random_states(devices)

    def prepared() -> Run:
        as_observed()  # what a forward draws may decide on what it calls
        args, kwargs = copy.deepcopy(given)
        return lambda: forward(*args, **kwargs)

    try:
        with (
            kept,
            settings_kept(devices),
            torch.no_grad(),
            without_autocast_cache(),
            torch.compiler.set_stance("force_eager"),
            quiet(),
        ):
            yield prepared
    except ConvauditError:
        raise
    except Exception as error:
        raise ExecutionError(f"{network.source}: the forward failed: {in_one_line(error)}") from error


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value
