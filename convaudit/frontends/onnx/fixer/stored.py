"""Every stored tensor of which something goes, sliced where it is stored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, SparseTensorProto, TensorProto, helper, numpy_helper

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, Edit, overwrite, sliced
from convaudit.frontends.onnx.graphs import Address

_LISTS = {"value_ints": np.int64, "value_floats": np.float32}


def slice_stored(edit: Edit) -> None:
    """Slice all stored tensors of the plan, one in memory at a time.

    Raises:
        LoadError: One is missing.
        CannotRewriteError: One is stored in a form that cannot be sliced.
    """
    for (scope, name), kept in edit.plan.kept.items():
        if not kept:
            continue
        tensor = edit.constant_of(scope, name)
        if tensor is not None:
            overwrite(tensor, sliced(edit.whole_value(tensor), kept), edit.spill)
            edit.resized(scope, tensor)
            continue
        graph = edit.graph_of(scope)
        for sparse in graph.sparse_initializer:
            if sparse.values.name == name:
                sparse.CopyFrom(_sliced_sparse(edit, sparse, kept))
        _slice_constant(edit, graph, name, scope, kept)


def _slice_constant(
    edit: Edit, graph: GraphProto, name: str, scope: Address, kept: Mapping[int, Indices]
) -> None:
    """Slice what a Constant node holds, other than a dense tensor."""
    node = next((node for node in graph.node if name in node.output and node.op_type == "Constant"), None)
    held = node.attribute[0] if node is not None and node.attribute else None
    if held is None:
        return
    if held.name == "sparse_value":
        held.sparse_tensor.CopyFrom(_sliced_sparse(edit, held.sparse_tensor, kept))
        return
    whole = edit.value(scope, name)
    if held.name not in _LISTS or whole is None:
        raise CannotRewriteError(f"the Constant {name!r} holds a {held.name}")
    left = sliced(whole, kept).astype(_LISTS[held.name]).tolist()
    held.CopyFrom(helper.make_attribute(held.name, left))


def _sliced_sparse(edit: Edit, sparse: SparseTensorProto, kept: Mapping[int, Indices]) -> SparseTensorProto:
    """A sparse tensor of what stays: its elements, in the order of their indices."""
    dims = tuple(sparse.dims)
    values, indices = edit.whole_value(sparse.values), edit.whole_value(sparse.indices)
    places = np.stack(np.unravel_index(indices, dims)) if indices.ndim == 1 else indices.T
    stays = np.ones(values.shape, np.bool_)
    new = []
    for axis, along in enumerate(places):
        left = np.asarray(kept.get(axis, np.arange(dims[axis])))
        found = np.minimum(np.searchsorted(left, along), len(left) - 1)
        stays &= left[found] == along
        new.append(found)
    sizes = [len(kept[axis]) if axis in kept else size for axis, size in enumerate(dims)]
    linear = np.ravel_multi_index([along[stays] for along in new], sizes).astype(np.int64)
    return helper.make_sparse_tensor(
        _tensor(values[stays], sparse.values.name), _tensor(linear, sparse.indices.name), sizes
    )


def _tensor(array: Array, name: str) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array), name)
