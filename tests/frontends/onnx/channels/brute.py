"""Facts against runs: constants must be there, and what is not read may be anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper, numpy_helper

from convaudit.frontends.onnx.channels.facts import Facts

Arrays = dict[str, np.ndarray]


def session_of(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def random_like(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return generator.integers(0, 100, shape).astype(dtype)
    return np.asarray(generator.normal(size=shape) * 3).astype(dtype)


def random_feeds(model: ModelProto, seed: int) -> Arrays:
    stored = {tensor.name for tensor in model.graph.initializer}
    generator = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        if value.name not in stored:
            kind = value.type.tensor_type
            shape = tuple(dim.dim_value or 2 for dim in kind.shape.dim)
            feeds[value.name] = random_like(generator, shape, helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return feeds


def opened(model: ModelProto) -> ModelProto:
    """The model with all tensors of its main graph as outputs."""
    wide = ModelProto()
    wide.CopyFrom(model)
    known = {value.name for value in wide.graph.output}
    names = [name for node in wide.graph.node for name in node.output if name and name not in known]
    wide.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return wide


def run(model: ModelProto, feeds: Arrays) -> Arrays:
    session = session_of(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def disagreements(model: ModelProto, facts: Facts, *, seed: int = 0) -> list[str]:
    """What runs on random inputs show to be wrong in facts about the main graph."""
    feeds = random_feeds(model, seed)
    values = run(opened(model), feeds)
    wrong = [
        f"{name} is not {np.asarray(known.values).ravel()[:8]} where {known.mask.ravel()[:8]}"
        for (address, name), known in facts.known.items()
        if not address and name in values and not _agrees(values[name], known)
    ]
    perturbed, changed = _perturbed(model, facts, {**feeds, **values}, np.random.default_rng(seed + 1))
    again = run(perturbed, feeds)
    for output in model.graph.output:
        if not np.array_equal(values[output.name], again[output.name], equal_nan=True):
            wrong.append(f"output {output.name} depends on what is not read of {changed}")
    return wrong


def _agrees(value: np.ndarray, known: Any) -> bool:
    mask = np.broadcast_to(known.mask, value.shape)
    expected = np.broadcast_to(known.values, value.shape)[mask]
    found = value[mask]
    if value.dtype.kind in "biu":
        return bool((found == expected).all())
    return bool(np.allclose(found.astype(float), expected.astype(float), rtol=1e-4, atol=1e-6))


def _perturbed(
    model: ModelProto, facts: Facts, values: Arrays, generator: np.random.Generator
) -> tuple[ModelProto, list[str]]:
    """The model in which each tensor's readers see random numbers where nothing is said to be read."""
    changed = ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    new: dict[str, list[onnx.NodeProto]] = {}
    for (address, name), mask in facts.read.items():
        value = values.get(name)
        if address or value is None or value.dtype.kind not in "biuf":
            continue
        if any(output.name == name for output in graph.output):
            continue
        whole = np.broadcast_to(mask, value.shape)
        noise = random_like(generator, value.shape, value.dtype)
        for role, array in (("mask", np.array(whole)), ("noise", noise)):
            graph.initializer.append(numpy_helper.from_array(array, f"{name}?{role}"))
        new[name] = [helper.make_node("Where", [f"{name}?mask", name, f"{name}?noise"], [f"{name}?"])]
    nodes = [node for name in new if name not in _made(model) for node in new[name]]
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for index, name in enumerate(copy.input):
            if name in new:
                copy.input[index] = f"{name}?"
        nodes.append(copy)
        nodes += [added for name in node.output for added in new.get(name, [])]
    del graph.node[:]
    graph.node.extend(nodes)
    return changed, list(new)


def _made(model: ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.output}
