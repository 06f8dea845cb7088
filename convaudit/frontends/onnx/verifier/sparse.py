"""Sparse tensors made dense, as onnxruntime does when it loads a model: then they are like all others."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    SparseTensorProto,
    TensorProto,
    helper,
    numpy_helper,
)

from convaudit.errors import LoadError, ModelError
from convaudit.frontends.onnx.graphs import graphs
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel

_MOST_BYTES = 2**31 - 2**20  # what protobuf takes


def with_dense_tensors(source: OnnxModel, model: ModelProto) -> ModelProto:
    """``model``, a variant of ``source``, or a copy of it without sparse tensors if it has some.

    Raises:
        LoadError: A sparse tensor's indices do not fit its dims, or its values are missing.
        ModelError: The dense tensor would be too large for a model.
    """
    if not any(graph.sparse_initializer or any(_constants(graph)) for _, graph in graphs(model.graph)):
        return model
    dense = ModelProto()
    dense.CopyFrom(model)
    for _, graph in graphs(dense.graph):
        graph.initializer.extend(_dense(source, sparse) for sparse in graph.sparse_initializer)
        del graph.sparse_initializer[:]
        for constant in _constants(graph):
            tensor = _dense(source, constant.sparse_tensor)
            constant.CopyFrom(helper.make_attribute("value", tensor))
    return dense


def _constants(graph: GraphProto) -> Iterator[AttributeProto]:
    """The sparse values of Constant nodes."""
    for node in graph.node:
        if node.op_type == "Constant":
            yield from (item for item in node.attribute if item.name == "sparse_value")


def _dense(source: OnnxModel, sparse: SparseTensorProto) -> TensorProto:
    name, dims = sparse.values.name, tuple(sparse.dims)
    who = f"{source.source}: sparse tensor {name!r}"
    values, indices = np.asarray(source.array(sparse.values)), np.asarray(source.array(sparse.indices))
    if prod(dims) * values.itemsize > _MOST_BYTES:
        raise ModelError(f"{who} of dims {list(dims)} is too large to be made dense")
    array = np.zeros(dims, values.dtype)
    try:
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), dims)
        if indices.size and indices.min() < 0:
            raise IndexError("an index is negative")
        array.reshape(-1)[indices] = values
    except (IndexError, ValueError) as error:
        raise LoadError(f"{who}: its indices do not fit dims {list(dims)}: {error}") from None
    return numpy_helper.from_array(array, name)
