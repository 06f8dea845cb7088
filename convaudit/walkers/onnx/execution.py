"""The last resort for shapes that depend on data: run the model once in onnxruntime and read them.

The runtime's own profile lists the shapes of every node that ran, in the bodies of control flow too.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

from convaudit.errors import ExecutionError, first_line
from convaudit.loaders.mapped_weights import ROOTED, map_weights
from convaudit.loaders.onnx_file import OnnxModel
from convaudit.records import TensorInfo
from convaudit.shapes import is_static
from convaudit.walkers.onnx.inferred import graphs
from convaudit.walkers.onnx.inputs import Feeds
from convaudit.walkers.onnx.runnable import make_runnable_for_sizes
from convaudit.walkers.onnx.weights import known_elements

_MOST_ELEMENTS = 2**28  # of the inputs; what a hostile model makes of them, no one knows
_MOST_SECONDS = 60.0

ShapesOfNodes = dict[str, tuple[list[list[int]], list[list[int]]]]
"""By node name: the shapes of its operands and of its results, absent ones left out."""


def run_once(
    source: OnnxModel, model: ModelProto, inputs: Sequence[TensorInfo], feeds: Feeds | None
) -> tuple[ModelProto, str | None]:
    """A copy of ``model`` with the shapes that one run had, on ``feeds`` or on made-up input.

    A run that fails half-way tells the shapes up to there, and why it failed.
    Raises  ExecutionError if the model cannot even be started: open input sizes, an op that onnxruntime does
            not know; LoadError if weights are absent.
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
    map_weights(source, complete)
    events, problem = _profile(complete, feeds or {tensor.name: _made_up(tensor) for tensor in inputs})
    shapes = _read_profile(events)
    stored = {tensor.name for _, graph in graphs(named.graph) for tensor in graph.initializer}
    for address, graph in graphs(named.graph):
        of_nodes = [shapes.get(_node_name((*address, i)), ([], [])) for i in range(len(graph.node))]
        _write_shapes(graph, of_nodes, stored)
    return named, problem


def _node_name(address: tuple[str | int, ...]) -> str:
    return ".".join(str(step) for step in address)


def _profile(model: ModelProto, feeds: Feeds) -> tuple[list[dict[str, Any]], str | None]:
    """The events of a run, and what ended it before its end."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.enable_profiling = True
    options.add_session_config_entry(*ROOTED)
    run_options = onnxruntime.RunOptions()
    run_options.log_severity_level = 4
    problem = None
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "shapes")
        try:
            data = model.SerializeToString()
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many types, none of them documented
            raise ExecutionError(f"onnxruntime: {first_line(error)}") from None
        watchdog = threading.Timer(_MOST_SECONDS, setattr, (run_options, "terminate", True))
        watchdog.start()
        try:
            session.run(None, dict(feeds), run_options)
        except Exception as error:
            problem = f"onnxruntime: {first_line(error)}"
        finally:
            watchdog.cancel()
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return events, problem


def _made_up(tensor: TensorInfo) -> np.ndarray:
    """Random numbers in [0, 1) for a real type; ones for integers, which may be lengths or indices."""
    shape = tuple(size for size in tensor.shape or () if isinstance(size, int))
    if tensor.value is not None:
        return np.full(shape, tensor.value, tensor.dtype)
    if tensor.dtype.startswith("float"):
        return np.random.default_rng(0).random(shape, dtype=np.float32).astype(tensor.dtype)
    return np.ones(shape, dtype=tensor.dtype)


def _read_profile(events: list[dict[str, Any]]) -> ShapesOfNodes:
    shapes: ShapesOfNodes = {}
    for event in events:
        name, arguments = event.get("name", ""), event.get("args", {})
        if not name.endswith("_kernel_time") or "output_type_shape" not in arguments:
            continue
        node = name.removesuffix("_kernel_time")
        found = _sizes(arguments["input_type_shape"]), _sizes(arguments["output_type_shape"])
        # a body that runs with another shape every time has no one shape
        shapes[node] = found if shapes.get(node, found) == found else ([], [])
    return shapes


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
    # values that are no tensors are left out of the profile: then it is not clear which is which
    return dict(zip(present, shapes, strict=True)) if len(present) == len(shapes) else {}


def _without(left_out: Container[str], names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name not in left_out)
