"""A model written to files, one tensor in memory at a time: in one file, or with external data beside it."""

from __future__ import annotations

from io import BytesIO
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from convaudit.analyzer.costs import tensor_bytes
from convaudit.errors import ExecutionError, LoadError
from convaudit.frontends.onnx.loader.external_data import reference
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.loader.tensors import dtype_name, model_tensors
from convaudit.frontends.onnx.loader.wire import Hole, filled
from convaudit.frontends.onnx.variant.spill import SPILLED, Spill

MOST_BYTES = 2**31 - 2**20
"""Of one file: what protobuf reads."""
_ALIGNMENT = 4096  # of a tensor in an external file, so that it can be mapped
_CHUNK = 2**24


def write_model(model: OnnxModel, proto: ModelProto, spill: Spill, path: Path) -> list[Path]:
    """Write a variant of a model.

    Args:
        model: Where its tensors are, but for those in the spill.
        proto: The variant; its references are changed in place.
        spill: Where its new tensors are.
        path: The file to write.

    Returns:
        The files that were written: one where protobuf can read all of it, else its structure, and the data
        of its large tensors in ``NAME.data`` beside it.

    Raises:
        LoadError: Weights are missing.
        ExecutionError: A file cannot be written.
    """
    large = [tensor for tensor in model_tensors(proto) if tensor.data_location == TensorProto.EXTERNAL]
    total = proto.ByteSize() + sum(map(_size, large))
    try:
        if total <= MOST_BYTES:
            _write_whole(model, proto, spill, path)
            return [path]
        data = path.with_name(f"{path.name}.data")
        with data.open("wb") as file:
            for tensor in large:
                _move(tensor, _bytes(model, spill, tensor), file, data.name)
        path.write_bytes(proto.SerializeToString())
        return [path, data]
    except OSError as error:
        raise ExecutionError(f"cannot write {path}: {error.strerror or error}") from error


def _write_whole(model: OnnxModel, proto: ModelProto, spill: Spill, path: Path) -> None:
    skeleton = proto.SerializeToString()
    with path.open("wb") as file:
        for part in filled(BytesIO(skeleton), len(skeleton), _size):
            if isinstance(part, Hole):
                _copy(_bytes(model, spill, part.tensor), file)
            else:
                file.write(part)


def _move(tensor: TensorProto, data: np.ndarray, file: BinaryIO, location: str) -> None:
    """Append a tensor's bytes to an external file, and refer to them."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    offset = file.tell()
    _copy(data, file)
    del tensor.external_data[:]
    entries = {"location": location, "offset": str(offset), "length": str(data.nbytes)}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def _copy(data: np.ndarray, file: BinaryIO) -> None:
    for start in range(0, data.nbytes, _CHUNK):
        file.write(data[start : start + _CHUNK].data)


def _size(tensor: TensorProto) -> int:
    size = tensor_bytes(prod(tensor.dims), dtype_name(tensor.data_type))
    if not isinstance(size, int):
        raise LoadError(f"tensor {tensor.name!r}: its element type is unknown")
    return size


def _bytes(model: OnnxModel, spill: Spill, tensor: TensorProto) -> np.ndarray:
    """A tensor's elements as ``raw_data`` has them."""
    where = reference(tensor, model.source)
    if where is not None and where.location == SPILLED:
        data = spill.data(where.offset, where.length)
    else:
        array = np.asarray(model.array(tensor))
        data = np.frombuffer(numpy_helper.from_array(array).raw_data, np.uint8)
    if data.nbytes != _size(tensor):
        raise LoadError(
            f"{model.source}: tensor {tensor.name!r} has {data.nbytes} bytes, needs {_size(tensor)}"
        )
    return data
