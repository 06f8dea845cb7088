"""Walks a ``torch.export`` program: interprets its graph under the recorder.

A program knows its inputs' shapes, symbolic dimensions included, so that its counts come out as formulas in
them, and for each node the module it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from convaudit.arguments import GivenInput, given_dims, inputs_by_name
from convaudit.errors import ConvauditError, ExecutionError, UsageError
from convaudit.formulas import Count, Formula, substitute, symbol
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import dtype_name, shape
from convaudit.frontends.torch.guard import quiet, untouched
from convaudit.frontends.torch.inputs import RandomTensor
from convaudit.frontends.torch.stored import Stored, StoredTensor
from convaudit.frontends.torch.walker.bodies import Follower
from convaudit.frontends.torch.walker.layers import Frame, shape_with_sizes
from convaudit.frontends.torch.walker.recorder import Observer, Recorder, in_one_line
from convaudit.records import Network, TensorInfo, with_notes
from convaudit.shapes import as_text


def walk_program(
    program: ExportedProgram,
    *,
    input_shapes: Mapping[str, GivenInput | Sequence[int]] | None = None,
    dims: Mapping[str, int] | None = None,
    source: str | None = None,
) -> Network:
    """The convolutions of an exported program, symbolic where it was exported with dynamic shapes.

    Args:
        program: What to walk.
        input_shapes: Sizes of inputs by name ("" is the only one), which fix symbolic dimensions.
        dims: Symbolic dimensions by name, as the report shows them.
        source: What the network is called; the exported class's name where it is None.

    Raises:
        UsageError: A name is unknown, or a size is not one that the program accepts.
        ExecutionError: The program cannot be followed.
    """
    values = {node.name: node.meta["val"] for node in _placeholders(program)}
    inputs = {name: values[name] for name in _tensor_inputs(program)}
    given = _resolved(inputs, inputs_by_name(input_shapes or {}))
    sizes = _symbol_sizes(inputs, given, given_dims(dims))
    modes = {value.fake_mode for value in values.values() if private.is_fake(value)}
    recorder = Recorder(_stored(program, values), root=_root(program))
    try:
        with untouched([]), _entered(modes):
            _interpret(program, recorder, list(values.values()))
    except ConvauditError:
        raise
    except Exception as error:
        raise ExecutionError(
            f"{_root(program)}: the program cannot be followed: {in_one_line(error)}"
        ) from error
    layers = recorder.layers.named(sizes)
    hand_made = recorder.hand_made.named(recorder.layers.rows(), layers)
    return Network(
        source=source or _root(program),
        format="torch.export",
        inputs=_infos(inputs, given, sizes),
        layers=with_notes(layers, hand_made),
        hand_made_groups=hand_made,
        other_layers=recorder.other_layers.named((layer.name for layer in layers), sizes),
        other_ops=tuple(replace(other, macs=substitute(other.macs, sizes)) for other in recorder.other_ops()),
        uncounted_ops=recorder.uncounted_ops(),
        model_params=recorder.stored.parameter_elements(recorder.layers.weights()),
        trainable=recorder.stored.trainable_elements(recorder.layers.weights()),
        warnings=(*private.losses(), *recorder.stored.fixed_kernels(recorder.layers.weights())),
    )


def _infos(
    inputs: Mapping[str, Tensor], given: Mapping[str, GivenInput], sizes: Mapping[str, Count]
) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            name=name,
            shape=shape_with_sizes(shape(value), sizes),
            dtype=dtype_name(value),
            value=given[name].value if name in given else None,
        )
        for name, value in inputs.items()
    )


def run_program(
    program: ExportedProgram, inputs: Sequence[Tensor], *, observer: Observer | None = None
) -> None:
    """Interpret the program on values, one for each of its input tensors, in order.

    Raises:
        UsageError: There are more or fewer.
        ExecutionError: The program fails.
    """
    values = placed_values(program, inputs)
    recorder = Recorder(_stored(program, values), root=_root(program), observer=observer)
    try:
        with untouched(recorder.stored.tensors().values()):
            _interpret(program, recorder, list(values.values()))
    except ConvauditError:
        raise
    except Exception as error:
        raise ExecutionError(f"{_root(program)}: the program failed: {in_one_line(error)}") from error


def placed_values(program: ExportedProgram, inputs: Sequence[Tensor]) -> dict[str, Any]:
    """What the program's graph is called with, in order: stored tensors, numbers, and the inputs.

    Raises:
        UsageError: There are more or fewer than the program's input tensors.
    """
    values = {node.name: node.meta["val"] for node in _placeholders(program)}  # numbers stay as exported
    names = _tensor_inputs(program)
    if len(inputs) != len(names):
        raise UsageError(f"the program takes {len(names)} tensors, {len(inputs)} are given")
    values.update(zip(names, inputs, strict=True))
    tensors = stored_in_program(program)
    for spec in program.graph_signature.input_specs:
        if spec.target is not None:
            values[spec.arg.name] = tensors[spec.target]
    return values


def stored_in_program(program: ExportedProgram) -> dict[str, Tensor]:
    """Parameters, buffers and constants by the names that the module had for them."""
    return {**program.constants, **program.state_dict}


def random_inputs(program: ExportedProgram, network: Network) -> list[RandomTensor]:
    """Stand-ins for the inputs of the shapes that ``network`` reports.

    Raises:
        UsageError: One of them is symbolic.
    """
    values = {node.name: node.meta["val"] for node in _placeholders(program)}
    tensors = []
    for info in network.inputs:
        sizes = tuple(size for size in info.shape or () if isinstance(size, int))
        if len(sizes) != len(info.shape or ()):
            raise UsageError(f"{info.name}: its shape {as_text(info.shape)} must be fixed before a run")
        value = values[info.name]
        tensors.append(RandomTensor(sizes, value.dtype, value.device, info.value))
    return tensors


# --- the graph ------------------------------------------------------------------------------------------


class _Interpreter(fx.Interpreter):
    """Tells the recorder for each node which module it came from, and follows both arms of a ``cond``."""

    def __init__(self, graph: fx.GraphModule, recorder: Recorder, frames: dict[str, Frame]) -> None:
        super().__init__(graph)
        self._recorder = recorder
        self._frames = frames

    def run_node(self, n: fx.Node) -> Any:
        stack = n.meta.get("nn_module_stack")
        path = list(stack.values())[-1][0] if stack else ""
        frame = self._frames.setdefault(path, Frame(path))
        frame.pads_same = n.op == "call_function" and "same" in n.args
        self._recorder.layers.enter(frame)
        try:
            return super().run_node(n)
        finally:
            self._recorder.layers.leave()

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        output = Follower(self._recorder.layers, self._call).follow(target, args, kwargs)
        return super().call_function(target, args, kwargs) if output is NotImplemented else output

    def _call(self, graph: fx.GraphModule, *operands: Any) -> Any:
        return _Interpreter(graph, self._recorder, self._frames).run(*operands)


def _interpret(program: ExportedProgram, recorder: Recorder, values: Sequence[Any]) -> None:
    with recorder, quiet():
        _Interpreter(program.graph_module, recorder, {}).run(*values)


def _placeholders(program: ExportedProgram) -> list[fx.Node]:
    return [node for node in program.graph.nodes if node.op == "placeholder"]


def _tensor_inputs(program: ExportedProgram) -> list[str]:
    """Names of the user's inputs, without numbers and the like, which are constants of the program."""
    given = {
        spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT
    }
    found = _placeholders(program)
    return [node.name for node in found if node.name in given and isinstance(node.meta["val"], Tensor)]


def _stored(program: ExportedProgram, values: Mapping[str, Any]) -> Stored:
    """The program's tensors by the names that the module had for them."""
    kept = stored_in_program(program)
    return Stored(
        StoredTensor(
            str(spec.target),
            values[spec.arg.name],
            parameter=spec.kind is InputKind.PARAMETER,
            trainable=spec.kind is InputKind.PARAMETER and kept[str(spec.target)].requires_grad,
        )
        for spec in program.graph_signature.input_specs
        if spec.target is not None and isinstance(values[spec.arg.name], Tensor)
    )


def _root(program: ExportedProgram) -> str:
    """Class name of the exported module, which the first node's module stack begins with."""
    for node in program.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            if not path:
                return str(kind).rpartition(".")[2]
    return "program"


@contextmanager
def _entered(modes: set[Any]) -> Iterator[None]:
    """The fake mode in which the program was exported, with no dimension pinned by what is asked of it."""
    with ExitStack() as stack:
        stack.enter_context(private.python_dispatcher())  # else C++ turns sizes into numbers here and there
        for mode in modes:
            stack.enter_context(mode)
            if mode.shape_env is not None:
                stack.enter_context(mode.shape_env.suppress_guards())
        yield


# --- symbolic dimensions --------------------------------------------------------------------------------


def _resolved(inputs: Mapping[str, Tensor], given: Mapping[str, GivenInput]) -> dict[str, GivenInput]:
    """What is said of each input, by its name, with its value in its type."""
    wanted = {}
    for name, one in given.items():
        key = name or next(iter(inputs), "")
        if key not in inputs or (not name and len(inputs) > 1):
            raise UsageError(f"no input is called {name!r}; the program's are: {', '.join(inputs)}")
        dtype = dtype_name(inputs[key])
        if one.dtype not in (None, dtype):
            raise UsageError(f"{key}: it is {dtype}, not {one.dtype}")
        resolved = one.resolved(inputs[key].ndim, key)
        wanted[key] = replace(resolved, value=resolved.checked(dtype, key))
    return wanted


def _symbol_sizes(
    inputs: Mapping[str, Tensor], given: Mapping[str, GivenInput], dims: Mapping[str, int]
) -> dict[str, Count]:
    """Sizes of symbolic dimensions, from ``dims`` and from the shapes of inputs; open ones by their names."""
    declared_sizes = [size for value in inputs.values() for size in shape(value)]
    symbols = {name for size in declared_sizes if isinstance(size, Formula) for name in size.symbols}
    names = {name: given_name for name, given_name in _given_names(inputs).items() if name in symbols}
    by_name = {**{name: name for name in symbols}, **{given: name for name, given in names.items()}}
    for name in dims:
        if name not in by_name:
            known = ", ".join(sorted(names.get(name, name) for name in symbols)) or "none"
            raise UsageError(f"no symbolic dimension is called {name!r}; the program's are: {known}")
    shown = {name: symbol(given_name) for name, given_name in names.items()}
    sizes: dict[str, Count] = {by_name[name]: size for name, size in dims.items()}
    for key, one in given.items():
        wanted = one.shape
        if wanted is None:
            continue
        declared, text = shape(inputs[key]), as_text(wanted)
        if len(wanted) != len(declared):
            as_shown = as_text(shape_with_sizes(declared, shown))
            raise UsageError(f"{key}: {text} has {len(wanted)} axes, not {as_shown}'s")
        for size, value in zip(declared, wanted, strict=True):
            if isinstance(size, Formula) and str(size).isidentifier():
                sizes.setdefault(str(size), value)
        if shape_with_sizes(declared, sizes) != wanted:
            as_shown = as_text(shape_with_sizes(declared, shown))
            raise UsageError(f"{key}: {text} does not fit the exported {as_shown}")
    return {**shown, **sizes}


def _given_names(given: Mapping[str, Any]) -> dict[str, str]:
    """What the user called a dimension (``Dim("batch")``), by torch's own name; a saved file lost it."""
    modes = [value.fake_mode for value in given.values() if private.is_fake(value)]
    environments = [mode.shape_env for mode in modes if mode.shape_env is not None]
    return {
        str(own): name
        for environment in environments
        for source, own in environment.source_to_var.items()
        if (name := environment.source_name_to_debug_name.get(source, source)).isidentifier()
    }
