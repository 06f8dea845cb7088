"""The skeleton of a model in memory: the same as ``wire`` makes of a file, without copying a weight."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from google.protobuf.message import Message
from onnx import TensorProto, helper

from convaudit.frontends.onnx.loader.wire import CHILDREN, MAX_EMBEDDED_BYTES, external_reference

IN_MEMORY = "(in memory)"
"""Location of a reference whose offset is an index into the list of large tensors."""


def strip(message: Any, large: list[TensorProto]) -> Any:
    """Copy of ``message`` in which large tensors are references into ``large``, which receives them.

    ``large`` gets the tensors themselves: they live as long as the message they are part of.
    """
    if isinstance(message, TensorProto) and _is_large(message):
        large.append(message)
        return _reference(message, len(large) - 1)
    children = CHILDREN.get(message.DESCRIPTOR.name, {})
    copy = type(message)()
    for field, value in message.ListFields():
        if isinstance(value, Message):
            getattr(copy, field.name).CopyFrom(strip(value, large) if field.number in children else value)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            items = (strip(item, large) for item in value) if field.number in children else value
            getattr(copy, field.name).extend(items)
        else:
            setattr(copy, field.name, value)
    return copy


def _is_large(tensor: TensorProto) -> bool:
    # judged by dims, since protobuf copies the bytes to tell their number
    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
        return False
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        return False
    return prod(map(int, tensor.dims)) * dtype.itemsize > MAX_EMBEDDED_BYTES


def _reference(tensor: TensorProto, index: int) -> TensorProto:
    skeleton = TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    skeleton.MergeFromString(external_reference(IN_MEMORY, index, 0, "raw_data"))
    return skeleton
