"""The last resort for shapes that depend on data: run the model once in onnxruntime and read them.

The runtime's own profile lists the shapes of every node that ran, in the bodies of control flow too. What a
file has a runtime do may take any time and memory, and crash it: so it runs in a process of its own.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

from convaudit.apart import call_apart, file_limits
from convaudit.errors import ExecutionError, first_line
from convaudit.frontends.onnx.loader.mapped_weights import ROOTED, map_weights
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.shapes.inferred import graphs
from convaudit.frontends.onnx.shapes.inputs import Feeds
from convaudit.frontends.onnx.shapes.runnable import make_runnable_for_sizes
from convaudit.records import TensorInfo
from convaudit.shapes import is_static, known_elements

_MOST_ELEMENTS = 2**28  # of the inputs; what a hostile model makes of them, no one knows
_MOST_PROFILE = 2**30  # bytes; onnxruntime stops at a million events

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
    limits = replace(file_limits(complete.ByteSize(), computes=False), file_bytes=_MOST_PROFILE)
    with tempfile.TemporaryDirectory() as folder:
        shapes, problem = call_apart(
            f"{__name__}:profiled_here",
            *(_serialized(complete), tuple(inputs), feeds, folder, limits.seconds / 3),
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


def _serialized(model: ModelProto) -> bytes:
    try:
        return bytes(model.SerializeToString())
    except Exception as error:  # more than 2 GiB, of a model in memory
        raise ExecutionError(f"it cannot be handed to onnxruntime: {first_line(error)}") from None


def profiled_here(
    model: bytes,
    inputs: Sequence[TensorInfo],
    feeds: Feeds | None,
    folder: str,
    seconds: float,
    _progress: Callable[[int], None],
) -> tuple[ShapesOfNodes, str | None]:
    """The shapes of a run in this process, and what ended it before its end, which may be its time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(folder) / "shapes")
    options.add_session_config_entry(*ROOTED)
    run_options = onnxruntime.RunOptions()
    run_options.log_severity_level = 4
    problem = None
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many types, none of them documented
        raise ExecutionError(f"onnxruntime: {first_line(error)}") from None
    watchdog = threading.Timer(seconds, setattr, (run_options, "terminate", True))
    watchdog.daemon = True
    watchdog.start()
    try:
        session.run(None, dict(feeds or {tensor.name: _made_up(tensor) for tensor in inputs}), run_options)
    except Exception as error:
        problem = f"onnxruntime: {first_line(error)}"
    finally:
        watchdog.cancel()
    with open(session.end_profiling(), encoding="utf-8") as profile:
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
    """Shapes from the events of a profile, one a line: of a million in loops, few differ but in time."""
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
        # a body that runs with another shape every time has no one shape
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
    # values that are no tensors are left out of the profile: then it is not clear which is which
    return dict(zip(present, shapes, strict=True)) if len(present) == len(shapes) else {}


def _without(left_out: Container[str], names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name not in left_out)
