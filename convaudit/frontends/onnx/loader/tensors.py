"""The tensors of an ONNX graph: their element types, where they may be stored, how they are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper

from convaudit.errors import LoadError
from convaudit.frontends.onnx.loader.wire import length_delimited

_NOT_AS_STORED = {
    *("int2", "uint2", "int4", "uint4", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"),
    "object",
}
"""Element types of which ONNX packs several into a byte, while NumPy gives each its own; and strings."""
_TYPE_NAMES = {
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "STRING": "str",
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
    "FLOAT8E8M0": "float8_e8m0fnu",
    "FLOAT4E2M1": "float4_e2m1fn",
    "FLOAT6E2M3": "float6_e2m3fn",
    "FLOAT6E3M2": "float6_e3m2fn",
}
_TYPES: dict[int, str] = {
    number: _TYPE_NAMES.get(name, name.lower()) for name, number in TensorProto.DataType.items() if number
}


def model_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that the model stores: initializers, attributes, in nested graphs and functions too."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _graph_tensors(function)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: GraphProto | FunctionProto) -> Iterator[TensorProto]:
    if isinstance(graph, GraphProto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    else:
        for attribute in graph.attribute_proto:
            yield from _attribute_tensors(attribute)
    for node in graph.node:
        for attribute in node.attribute:
            yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    kind = attribute.type
    if kind == AttributeProto.TENSOR:
        yield attribute.t
    elif kind == AttributeProto.TENSORS:
        yield from attribute.tensors
    elif kind == AttributeProto.GRAPH:
        yield from _graph_tensors(attribute.g)
    elif kind == AttributeProto.GRAPHS:
        for graph in attribute.graphs:
            yield from _graph_tensors(graph)
    elif kind in (AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS):
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def check_dims(dims: Sequence[int], who: str) -> None:
    """Refuse negative sizes: counts made of them would be negative, and hide others.

    Raises:
        LoadError: Naming the tensor, ``who``.
    """
    if min(dims, default=0) < 0:
        raise LoadError(f"{who}: dims must not be negative, got {list(dims)}")


def decode(tensor: TensorProto, data: np.ndarray | None, field: str, who: str) -> np.ndarray:
    """Decode a tensor's elements.

    Args:
        tensor: Its element type and dims; its elements too, if ``data`` is None.
        data: The bytes as they are stored, uint8 [n].
        field: The field of ``TensorProto`` that would hold them.
        who: What error messages call the tensor.

    Returns:
        An array of the tensor's dims; a view of ``data`` where the element type allows.

    Raises:
        LoadError: Type, dims and data do not fit each other.
    """
    dims = tuple(tensor.dims)
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        expected = helper.tensor_dtype_to_field(tensor.data_type)
    except KeyError:
        raise LoadError(f"{who}: element type {tensor.data_type} is unknown to the installed onnx") from None
    check_dims(dims, who)
    if field not in ("raw_data", expected):
        raise LoadError(f"{who}: {dtype} elements cannot be in {field}")
    try:
        if data is None:
            return numpy_helper.to_array(tensor)
        if field == "raw_data" and dtype.name not in _NOT_AS_STORED:
            return _view(data, dtype, dims)
        if field in ("float_data", "double_data"):  # packed fixed-size elements are raw data
            return _view(data, dtype, dims)
        return numpy_helper.to_array(_with_data(tensor, data.tobytes(), field))
    except (ValueError, TypeError) as error:
        raise LoadError(f"{who}: its data do not fit its type and dims {list(dims)}: {error}") from None


def _view(data: np.ndarray, dtype: np.dtype, dims: tuple[int, ...]) -> np.ndarray:
    needed = prod(dims) * dtype.itemsize
    if data.nbytes != needed:
        raise ValueError(f"{needed} bytes needed, {data.nbytes} stored")
    return data.view(dtype.newbyteorder("<")).reshape(dims)


def _with_data(tensor: TensorProto, data: bytes, field: str) -> TensorProto:
    whole = TensorProto(dims=tensor.dims, data_type=tensor.data_type)
    if field == "raw_data":
        whole.raw_data = data
    else:
        whole.MergeFromString(length_delimited(TensorProto.DESCRIPTOR.fields_by_name[field].number, data))
    return whole


def dtype_name(data_type: int) -> str:
    """``float32``, ``bfloat16``, ``int4``, ...; ``unknown`` for a number that ONNX does not define."""
    return _TYPES.get(data_type, "unknown")


def data_type(dtype: str) -> int:
    """The number of an element type; 0, which means undefined, for a name that ONNX does not have."""
    return next((number for number, name in _TYPES.items() if name == dtype), TensorProto.UNDEFINED)


def is_floating(dtype: str) -> bool:
    """Whether the type holds real numbers: float, bfloat, the 8-bit floats and below, complex."""
    return dtype.startswith(("float", "bfloat", "complex"))
