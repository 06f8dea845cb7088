"""Real shipped models: every convolution's shapes are those that onnxruntime itself produces.

The models are audited as they are, with open input sizes; the formulas are then given the sizes of the run.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from convaudit.formulas import Formula
from convaudit.records import ConvLayer, Shape
from tests.frontends.onnx.models import runtime_shapes, walk, zeros


def installed(package: str, *parts: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None, f"{package} is part of the test extra"
    return Path(spec.origin).parent.joinpath(*parts)


OCR = installed("rapidocr_onnxruntime", "models")
VAD = installed("silero_vad", "data")


def at(shape: Shape | None, sizes: dict[str, int]) -> Shape:
    """The shape with the open dimensions given their sizes."""
    assert shape is not None
    return tuple(size.substitute(sizes) if isinstance(size, Formula) else size for size in shape)


def assert_shapes(
    layers: tuple[ConvLayer, ...], graph: onnx.GraphProto, seen: dict, sizes: dict[str, int]
) -> None:
    for layer in layers:
        node = next(node for node in graph.node if node.name == layer.name)
        assert at(layer.output_shape, sizes) == seen[node.output[0]], layer.name
        if node.input[0] in seen:
            assert at(layer.input_shape, sizes) == seen[node.input[0]], layer.name


# file, convolutions, transposed ones, parameters, a run's input, the names of its open sizes
OCR_MODELS = [
    ("ch_PP-OCRv4_det_infer", 64, 2, 1_171_593, (2, 3, 64, 96), (0, 1, 2)),
    ("ch_PP-OCRv4_rec_infer", 38, 0, 2_688_574, (1, 3, 48, 100), (0, None, 1)),
    ("ch_ppocr_mobile_v2.0_cls_infer", 53, 0, 129_356, (3, 3, 48, 192), (None, None, None)),
]


@pytest.mark.parametrize(
    ("name", "layers", "transposed", "model_params", "shape", "named"),
    OCR_MODELS,
    ids=[row[0] for row in OCR_MODELS],
)
def test_rapidocr(
    name: str,
    layers: int,
    transposed: int,
    model_params: int,
    shape: tuple[int, ...],
    named: tuple[int | None, ...],
) -> None:
    path = OCR / f"{name}.onnx"
    network = walk(path)
    assert len(network.layers) == layers
    assert sum(layer.transposed for layer in network.layers) == transposed
    assert network.model_params == model_params
    assert all(layer.weight_name is not None for layer in network.layers)
    assert network.warnings == ()
    sizes = {
        f"x_dim{axis}" if number is None else f"p2o.DynamicDimension.{number}": shape[axis]
        for axis, number in zip((0, 2, 3), named, strict=True)
    }
    model = onnx.load(path)
    assert_shapes(network.layers, model.graph, runtime_shapes(model, zeros({"x": shape})), sizes)


# a model, a run's samples, the names of the open sizes of "input" (None: as named in the walker)
VAD_MODELS = [
    ("silero_vad_16k_op15", {"batch": 2, "sequence": 576}),
    ("silero_vad_half", {"batch": 2, "sequence": 576}),
    ("silero_vad_16k_sequence", {"sequence_length": 3}),
    ("silero_vad_openvino_16k", {}),
]


def vad_feeds(model: ModelProto, sizes: dict[str, int], rate: int = 16000) -> dict[str, np.ndarray]:
    feeds = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [sizes.get(dim.dim_param, dim.dim_value) for dim in tensor.shape.dim]
        integer = tensor.elem_type == onnx.TensorProto.INT64
        feeds[value.name] = np.full(shape, rate, np.int64) if integer else np.zeros(shape, np.float32)
    return feeds


@pytest.mark.parametrize(("name", "sizes"), VAD_MODELS, ids=[row[0] for row in VAD_MODELS])
def test_silero_vad(name: str, sizes: dict[str, int]) -> None:
    path = VAD / f"{name}.onnx"
    network = walk(path, dims=sizes)
    assert len(network.layers) == 6
    assert network.model_params == 309_633
    model = onnx.load(path)
    assert_shapes(network.layers, model.graph, runtime_shapes(model, vad_feeds(model, sizes)), {})


def branch_as_graph(model: ModelProto, branch: str) -> ModelProto:
    """The model with its one If replaced by the nodes of one of its branches."""
    flat = ModelProto()
    flat.CopyFrom(model)
    del flat.graph.node[:]
    del flat.graph.value_info[:]
    del flat.graph.output[:]
    for node in model.graph.node:
        if node.op_type != "If":
            flat.graph.node.append(node)
            continue
        (body,) = [attribute.g for attribute in node.attribute if attribute.name == branch]
        flat.graph.node.extend(body.node)
        flat.graph.initializer.extend(body.initializer)
        flat.graph.output.extend(body.output)
        break
    return flat


@pytest.mark.parametrize(
    ("branch", "rate", "samples"),
    [("then_branch", 16000, 576), ("else_branch", 8000, 288)],
    ids=["16k", "8k"],
)
def test_convolutions_in_branches(branch: str, rate: int, samples: int) -> None:
    path = VAD / "silero_vad_op18_ifless.onnx"
    network = walk(path)
    layers = tuple(layer for layer in network.layers if layer.branches[0].arm == branch)
    assert len(layers) == 6
    assert {layer.scope for layer in layers} == {f"node_cond__1/{branch}"}
    # weights that stand in the graph around the branch
    assert {layer.weight_name for layer in layers} <= {
        tensor.name for tensor in onnx.load(path).graph.initializer
    }
    sizes = {"batch": 2, "sequence": samples}
    flat = branch_as_graph(onnx.load(path), branch)
    assert_shapes(layers, flat.graph, runtime_shapes(flat, vad_feeds(flat, sizes, rate)), sizes)
