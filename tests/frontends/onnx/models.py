"""Small ONNX models for the walker's tests, written as onnx's own text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, parser

from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.loader.onnx_file import load_onnx
from convaudit.frontends.onnx.walker import Walked, walk_onnx
from convaudit.records import ConvLayer, Network
from tests.rows import rows_sum_up

HEADER = '<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "local" : 1, "custom" : 1]>\n'


def model(text: str, *, opset: int = 21) -> ModelProto:
    """A model of a graph (and local functions) in onnx's text syntax."""
    return parser.parse_model(HEADER.format(opset=opset) + text)


def values(name: str, *shape: int, dtype: str = "float", scale: float = 0.1) -> str:
    """An initializer with a value of its own for each element."""
    numbers = [((7 * index) % 23 - 11) * scale for index in range(prod(shape))]
    texts = ", ".join(str(round(number, 3)) if dtype == "float" else str(int(number)) for number in numbers)
    return f"{dtype}[{','.join(map(str, shape))}] {name} = {{{texts}}}"


def walked(source: str | Path | ModelProto, **options: Any) -> Walked:
    """What the walker finds in a file, a model, or a model's text."""
    opset = options.pop("opset", 21)
    found = walk_onnx(load_onnx(model(source, opset=opset) if isinstance(source, str) else source), **options)
    rows_sum_up(found.network)
    return found


def walk(source: str | Path | ModelProto, **options: Any) -> Network:
    """The network of a file, a model, or a model's text."""
    return walked(source, **options).network


def places(found: Walked) -> list[Address]:
    """Where each convolution stands in the model's file."""
    origins = found.expanded.origins
    return [origins[at].address if origins else at for at in found.addresses.values()]


def only_layer(source: str | ModelProto, **options: Any) -> ConvLayer:
    """The one convolution of a model."""
    (layer,) = walk(source, **options).layers
    return layer


def runtime_shapes(source: ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Shapes of the main graph's tensors in a real run: every one of them made an output."""
    import onnxruntime

    opened = ModelProto()
    opened.CopyFrom(source)
    for opset in opened.opset_import:
        opset.version = min(opset.version, 26)  # the newest that onnxruntime runs
    known = {value.name for value in opened.graph.output}
    names = [name for node in opened.graph.node for name in node.output if name and name not in known]
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [output.name for output in session.get_outputs()]
    results = session.run(None, dict(feeds))
    return {
        name: result.shape for name, result in zip(outputs, results, strict=True) if hasattr(result, "shape")
    }


def zeros(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """float32 inputs of the given shapes."""
    return {name: np.zeros(tuple(shape), np.float32) for name, shape in shapes.items()}
