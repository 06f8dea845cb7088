"""The last resort for shapes that depend on data: run the model once in onnxruntime and read them.

The profile that it writes lists the shapes of every node that ran, in the bodies of control flow too. A
model may take any time and memory, or crash the runtime, so it runs in a process of its own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

from convaudit.apart import call_apart, file_limits
from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.graphs import graphs
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.onnxruntime import OnnxSession
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.shapes.inputs import Feeds
from convaudit.frontends.onnx.shapes.runnable import make_runnable_for_sizes
from convaudit.records import TensorInfo
from convaudit.shapes import is_static, known_elements

_MOST_ELEMENTS = 2**28  # of the inputs; nobody knows what a hostile model makes of them
_MOST_PROFILE = 2**30  # bytes; onnxruntime stops at a million events

ShapesOfNodes = dict[str, tuple[list[list[int]], list[list[int]]]]
"""The shapes of a node's operands and of its results, by its name; absent operands are left out."""


def run_once(
    source: OnnxModel, model: ModelProto, inputs: Sequence[TensorInfo], feeds: Feeds | None
) -> tuple[ModelProto, str | None]:
    """Run a model for its shapes.

    Args:
        source: Where the weights are.
        model: A variant of its structure; it is not changed.
        inputs: Inputs of the model, with fixed sizes.
        feeds: Values of the inputs by name; None: made-up ones.

    Returns:
        A copy of ``model`` with the shapes that the run had, and None; of a run that failed half-way the
        shapes up to there, and why it failed.

    Raises:
        ExecutionError: The model cannot even be started: open input sizes, an op that onnxruntime lacks.
        LoadError: Weights are missing.
    """
    if not all(is_static(tensor.shape) for tensor in inputs):
        raise ExecutionError("a run needs every input's size; fix them with --input or --dim")
    if sum(known_elements(tensor.shape) or 0 for tensor in inputs) > _MOST_ELEMENTS:
        raise ExecutionError("the model's inputs are too large to run it just for its shapes")
    named = ModelProto()
    named.CopyFrom(model)
    for address, graph in graphs(named.graph):
        for index, node in enumerate(graph.node):
            node.name = _node_name((*address, index))
            make_runnable_for_sizes(node)
    complete = ModelProto()
    complete.CopyFrom(named)
    model_bytes = with_mapped_weights(source, complete)
    limits = replace(file_limits(len(model_bytes), computes=False), file_bytes=_MOST_PROFILE)
    with tempfile.TemporaryDirectory() as folder:
        shapes, problem = call_apart(
            f"{__name__}:profiled_here",
            *(model_bytes, tuple(inputs), feeds, folder, limits.seconds / 3),
            who=source.source,
            limits=limits,
            prepared=(__name__,),
        )
    stored = {tensor.name for _, graph in graphs(named.graph) for tensor in graph.initializer}
    for address, graph in graphs(named.graph):
        of_nodes = [shapes.get(_node_name((*address, i)), ([], [])) for i in range(len(graph.node))]
        _write_shapes(graph, of_nodes, stored)
    return named, problem


def _node_name(address: tuple[str | int, ...]) -> str:
    return ".".join(str(step) for step in address)


def profiled_here(
    model: bytes,
    inputs: Sequence[TensorInfo],
    feeds: Feeds | None,
    folder: str,
    seconds: float,
    _progress: Callable[[int], None],
) -> tuple[ShapesOfNodes, str | None]:
    """The shapes of a run in this process, and why it stopped early, perhaps after ``seconds``, or None."""
    settings = Settings(optimization="disabled", profile=Path(folder))
    session = OnnxSession(model, settings)
    problem = None
    try:
        session.run(
            feeds or {tensor.name: _made_up(tensor) for tensor in inputs}, outputs=None, seconds=seconds
        )
    except ExecutionError as error:
        problem = str(error)
    with session.end_profiling().open(encoding="utf-8") as profile:
        return _read_profile(profile), problem


def _made_up(tensor: TensorInfo) -> np.ndarray:
    """Random numbers in [0, 1) for a real type; ones for integers, which may be lengths or indices."""
    shape = tuple(size for size in tensor.shape or () if isinstance(size, int))
    if tensor.value is not None:
        return np.full(shape, tensor.value, tensor.dtype)
    if tensor.dtype.startswith("float"):
        return np.random.default_rng(0).random(shape, dtype=np.float32).astype(tensor.dtype)
    return np.ones(shape, dtype=tensor.dtype)


def _read_profile(lines: Iterable[str]) -> ShapesOfNodes:
    """Shapes from the events of a profile, one a line; of a million in a loop most differ only in time."""
    shapes: ShapesOfNodes = {}
    seen = set()
    for line in lines:
        what = (*map(_list, (line, line), _LISTS), line.partition('"name" :')[2].partition(",")[0])
        if what in seen or not what[2].endswith('_kernel_time"') or _LISTS[1] not in line:
            continue
        seen.add(what)
        event = json.loads(line.rstrip(" ,\n"))
        name, arguments = event["name"], event["args"]
        node = name.removesuffix("_kernel_time")
        found = _sizes(arguments["input_type_shape"]), _sizes(arguments["output_type_shape"])
        # a body may run with another shape every time
        shapes[node] = found if shapes.get(node, found) == found else ([], [])
    return shapes


_LISTS = ('"input_type_shape" : [', '"output_type_shape" : [')


def _list(line: str, start: str) -> str:
    """The text of a list of shapes; reading all of a million lines as JSON takes half a minute."""
    text = line.partition(start)[2]
    return "" if text[:1] == "]" else text.partition("]}]")[0]


def _sizes(entries: list[dict[str, list[int]]]) -> list[list[int]]:
    return [shape for entry in entries for shape in entry.values()]


def _write_shapes(
    graph: GraphProto, shapes: Sequence[tuple[list[list[int]], list[list[int]]]], stored: Container[str]
) -> None:
    found: dict[str, list[int]] = {}
    for node, (operands, results) in zip(graph.node, shapes, strict=True):
        # weights of a graph around this one are left out, too
        found.update(_by_name(node.input, operands) or _by_name(_without(stored, node.input), operands))
        found.update(_by_name(node.output, results))
    for value in (*graph.input, *graph.output):
        if value.name in found:
            value.type.ClearField("value")  # what it declares is not what was found
    del graph.value_info[:]
    graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.UNDEFINED, shape) for name, shape in found.items()
    )


def _by_name(names: Iterable[str], shapes: list[list[int]]) -> dict[str, list[int]]:
    present = [name for name in names if name]
    # the profile leaves out values other than tensors: then it is not clear which is which
    return dict(zip(present, shapes, strict=True)) if len(present) == len(shapes) else {}


def _without(left_out: Container[str], names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name not in left_out)
