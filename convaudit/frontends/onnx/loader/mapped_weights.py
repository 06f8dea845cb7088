"""Weights for a runtime: named where they are in their files, so that it maps them and copies none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from onnx import ModelProto, numpy_helper

from convaudit.errors import ExecutionError, first_line
from convaudit.frontends.onnx.loader.external_data import map_bytes, reference
from convaudit.frontends.onnx.loader.memory import IN_MEMORY
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.loader.tensors import model_tensors

ROOTED = ("session.model_external_initializers_file_folder_path", os.path.abspath(os.sep))
"""The entry of a session's configuration with which locations are relative to the file system's root."""
_AS_STORED = ("raw_data", "float_data", "double_data")  # fields whose bytes are external data as they are


def with_mapped_weights(model: OnnxModel, proto: ModelProto) -> bytes:
    """A variant of a model as a runtime loads it: its weights are external data below the file system's root.

    So the model's own file and every file that it refers to can be named, whatever links lead to them; the
    loader has checked where they are. A session finds them by its option ``ROOTED``. What is in no file is
    part of the bytes.

    Args:
        model: Where the weights are.
        proto: A variant of its structure, whose references are changed in place.

    Raises:
        LoadError: Weights are missing.
        ExecutionError: The bytes would be more than protobuf writes.
    """
    _map_weights(model, proto)
    try:
        return bytes(proto.SerializeToString())
    except Exception as error:  # more than 2 GiB, of a model in memory; the type differs with the version
        raise ExecutionError(f"it cannot be handed to a runtime: {first_line(error)}") from None


def _map_weights(model: OnnxModel, proto: ModelProto) -> None:
    for tensor in model_tensors(proto):
        where = reference(tensor, model.source)
        if where is None:
            continue
        if where.location == IN_MEMORY or where.field not in _AS_STORED:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(model.array(tensor)), tensor.name))
            continue
        path = Path(os.path.realpath(model.data_path(where.location)))
        # they are there
        map_bytes(path, where.offset, where.length, f"{model.source}: tensor {tensor.name!r}")
        entries = {"location": path.relative_to(path.anchor).as_posix(), "offset": str(where.offset)}
        if where.length is not None:
            entries["length"] = str(where.length)
        del tensor.external_data[:]
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
