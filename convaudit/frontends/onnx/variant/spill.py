"""New weights on the disk, so that memory holds one of them at a time."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
from onnx import TensorProto

from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.loader.external_data import map_bytes
from convaudit.frontends.onnx.loader.wire import MAX_EMBEDDED_BYTES, external_reference

SPILLED = "(spilled)"
"""Location of a reference into a spill."""


class Spill:
    """A file of tensors' bytes, equal ones once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0
        self._kept: dict[bytes, int] = {}

    def keep(self, tensor: TensorProto) -> TensorProto:
        """The tensor itself if it is small, else a reference to its bytes, which are now in the file."""
        data = tensor.raw_data
        if len(data) <= MAX_EMBEDDED_BYTES:
            return tensor
        start = self._kept.setdefault(sha256(data).digest(), self._end)
        if start == self._end:
            self._append(data)
        skeleton = TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        skeleton.MergeFromString(external_reference(SPILLED, start, len(data), "raw_data"))
        return skeleton

    def _append(self, data: bytes) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(data)
        except OSError as error:
            raise ExecutionError(f"cannot write {self._path}: {error.strerror or error}") from error
        self._end += len(data)

    def data(self, offset: int, length: int | None) -> np.ndarray:
        """Bytes that were kept, mapped."""
        return map_bytes(self._path, offset, length, "new weights")

    def remove(self) -> None:
        """Free the disk: the references lead nowhere from now on."""
        self._path.unlink(missing_ok=True)
