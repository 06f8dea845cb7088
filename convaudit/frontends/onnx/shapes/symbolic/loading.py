"""Small stored tensors as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import AttributeProto, SparseTensorProto, TensorProto

from convaudit.frontends.onnx.loader.tensors import decode
from convaudit.frontends.onnx.shapes.symbolic.calls import Call
from convaudit.frontends.onnx.shapes.symbolic.reals import constant
from convaudit.frontends.onnx.shapes.symbolic.tensors import FLOATS, INTEGERS, MOST_ELEMENTS, Tensor, array


def stored(tensor: TensorProto) -> Tensor:
    """A stored tensor; its elements if they are few and in the file."""
    shape = tuple(tensor.dims)
    return Tensor(tensor.data_type, shape, elements_of(tensor))


def sparse(tensor: SparseTensorProto) -> Tensor:
    """A sparse tensor: its shape."""
    return Tensor(tensor.values.data_type, tuple(tensor.dims))


def elements_of(tensor: TensorProto) -> np.ndarray | None:
    """Elements of a small tensor of numbers; None of any other."""
    known = tensor.data_type in INTEGERS | FLOATS | {TensorProto.BOOL}
    if not known or tensor.data_location == TensorProto.EXTERNAL:
        return None
    if not 0 <= np.prod(tensor.dims, dtype=object) <= MOST_ELEMENTS:
        return None
    try:
        decoded = decode(tensor, None, "raw_data", f"tensor {tensor.name!r}")
    except Exception:  # a damaged tensor is not ours to judge; its values stay unknown
        return None
    return _objects(decoded)


def constant_node(call: Call) -> Tensor:
    """What a Constant holds, in whichever of its attributes."""
    return next((_VALUES[a.name](a) for a in call.node.attribute if a.name in _VALUES), Tensor())


_VALUES: dict[str, Callable[[AttributeProto], Tensor]] = {
    "value": lambda a: stored(a.t),
    "sparse_value": lambda a: sparse(a.sparse_tensor),
    "value_int": lambda a: Tensor(TensorProto.INT64, (), array([a.i], ())),
    "value_ints": lambda a: _list(TensorProto.INT64, list(a.ints)),
    "value_float": lambda a: Tensor(TensorProto.FLOAT, (), array([constant(a.f, TensorProto.FLOAT)], ())),
    "value_floats": lambda a: _list(
        TensorProto.FLOAT, [constant(value, TensorProto.FLOAT) for value in a.floats]
    ),
    "value_string": lambda a: Tensor(TensorProto.STRING, ()),
    "value_strings": lambda a: Tensor(TensorProto.STRING, (len(a.strings),)),
}


def attribute_tensor(call: Call, name: str) -> TensorProto | None:
    """A tensor attribute."""
    for attribute in call.node.attribute:
        if attribute.name == name and attribute.type in (AttributeProto.TENSOR, AttributeProto.UNDEFINED):
            tensor: TensorProto = attribute.t
            return tensor
    return None


def zero() -> np.ndarray:
    """What ConstantOfShape makes unless it is told otherwise."""
    return array([constant(0.0, TensorProto.FLOAT)])


def _list(dtype: int, values: Sequence[object]) -> Tensor:
    return Tensor(dtype, (len(values),), array(values) if len(values) <= MOST_ELEMENTS else None)


def _objects(decoded: np.ndarray) -> np.ndarray:
    if decoded.dtype.kind in "iub":
        return array([int(element) for element in decoded.ravel()], decoded.shape)
    return array(list(decoded.ravel()), decoded.shape)
