"""Walks a torch model, whichever of its two forms it has: a module or an exported program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.export import ExportedProgram

from convaudit.arguments import Given, GivenInput, given_dims, given_inputs, refuse_names
from convaudit.errors import UsageError
from convaudit.frontends import REAL_RUN
from convaudit.frontends.torch._private import tree_leaves
from convaudit.frontends.torch.inputs import Values, fixed_sizes, from_array, make_inputs
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.walker.forward import Attach, real_forward, walk_module
from convaudit.frontends.torch.walker.program import (
    random_inputs,
    run_program,
    stored_in_program,
    walk_program,
)
from convaudit.frontends.torch.walker.recorder import Observer
from convaudit.records import Network

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel


def walk_torch(
    model: TorchModel,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    source: str | None = None,
    allow_run: bool = True,
    fake: bool = True,
) -> Network:
    """The convolutions of a torch model.

    Args:
        model: A module or an exported program.
        input_shape: What a module is called with, see ``make_inputs``; a program knows its inputs, and only
            its symbolic dimensions can be fixed.
        inputs: The same.
        dims: Symbolic dimensions of a program by name; of a module the names in ``input_shape``.
        source: What the network is called.
        allow_run: Whether a forward that needs values may be run for real.
        fake: False: it is run for real at once; a program has no forward of its own to run.

    Raises:
        UsageError: The inputs cannot be used.
        ExecutionError: The forward fails.
    """
    if isinstance(model, ExportedProgram):
        if not fake:
            raise UsageError(f"{REAL_RUN} is for modules; an exported program's graph is read: leave it out")
        given = _by_name(model, input_shape, inputs)
        return walk_program(model, input_shapes=given, dims=dims, source=source)
    input_shape = fixed_sizes(given_inputs(input_shape), given_dims(dims), type(model).__name__)
    if not fake and not allow_run:
        raise UsageError(f"{REAL_RUN} and --no-run (allow_run=False) exclude each other")
    return walk_module(
        model, input_shape=input_shape, inputs=inputs, source=source, allow_run=allow_run, fake=fake
    )


def run_torch(
    model: TorchModel,
    network: Network,
    observer: Observer,
    *,
    attach: Attach | None = None,
    input_shape: Any = None,
    inputs: Any = None,
    arrays: Sequence[Any] | None = None,
    seed: int = 0,
) -> None:
    """Run the model once on values and tell ``observer`` of each convolution.

    Args:
        model: A module or an exported program.
        network: What walking it found.
        observer: Is told of each convolution.
        attach: Is given the copy of a module that is going to run, and its tensors.
        input_shape: As for the walk that made ``network``.
        inputs: The same.
        arrays: NumPy arrays in the order of ``network.inputs``, in place of those.
        seed: Draws the values where only shapes are given.

    Raises:
        UsageError: The inputs cannot be used.
        ExecutionError: The forward fails.
    """
    values = Values(seed, arrays)
    if isinstance(model, ExportedProgram):
        run_program(model, program_inputs(model, network, inputs, values), observer=observer)
    else:
        real_forward(model, make_inputs(model, input_shape, inputs), values, observer, attach)


def program_inputs(program: ExportedProgram, network: Network, inputs: Any, values: Values) -> list[Tensor]:
    """The program's input tensors in order: those of ``inputs``, random ones where that is None.

    Raises:
        UsageError: The shape of one is symbolic.
    """
    given = random_inputs(program, network) if inputs is None else _tensors(program, inputs)
    return [values(leaf) for leaf in given]


def stored_tensors(model: TorchModel) -> dict[str, Tensor]:
    """What the model stores, by the names that its layers give as ``weight_name`` and ``bias_name``."""
    if isinstance(model, ExportedProgram):
        return stored_in_program(model)
    return Stored.of(model).tensors()


def _by_name(program: ExportedProgram, input_shape: Any, inputs: Any) -> dict[str, GivenInput]:
    if inputs is not None:
        given: Given = tuple(GivenInput(tuple(tensor.shape)) for tensor in _tensors(program, inputs))
    else:
        given = given_inputs(input_shape) or {}
        refuse_names(given, "an exported program", "its own open sizes have names: leave them open")
    if isinstance(given, dict):
        return given
    names = program.graph_signature.user_inputs
    if len(given) > len(names):
        raise UsageError(f"{len(given)} shapes are given, the program takes {len(names)} inputs: {names}")
    return dict(zip(map(str, names), given, strict=False))


def _tensors(program: ExportedProgram, inputs: Any) -> list[Tensor]:
    """The tensors of ``inputs`` in the order of the program's inputs; a mapping gives them by name."""
    names = program.graph_signature.user_inputs
    if isinstance(inputs, Mapping) and set(inputs) == set(names):
        inputs = [inputs[name] for name in names]
    leaves = [from_array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in tree_leaves(inputs)]
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
