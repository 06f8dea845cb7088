"""ONNX Runtime sessions of a model's structure, its weights mapped from the files they are in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from convaudit.errors import ExecutionError, first_line
from convaudit.frontends.onnx.loader.mapped_weights import ROOTED, map_weights
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.records import Optimization

if TYPE_CHECKING:
    import onnxruntime

PROVIDER = "CPUExecutionProvider"
_LEVELS: dict[str, str] = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}
_ADDRESS = re.compile(r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )?(/\S+:\d+ .*?\) (const )?(?=[A-Z]))?")


class Session:
    """A loaded model, ready to run."""

    def __init__(
        self, model: OnnxModel, proto: ModelProto, optimization: Optimization, *, copy_weights: bool = True
    ) -> None:
        """Load ``proto``, a variant of ``model`` whose references are changed in place so that they map.

        ``copy_weights`` lets the runtime keep weights in a layout of its own, beside the mapped ones.
        Raises  ExecutionError if onnxruntime refuses it; LoadError if weights are missing.
        """
        map_weights(model, proto)
        self.optimization: Optimization = optimization
        self._proto, self._copy_weights = proto, copy_weights
        try:
            self._session = _session(proto, optimization, copy_weights)
        except ExecutionError:
            if optimization == "disabled":
                raise
            self._optimize_nothing()

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Values of the outputs by name.

        Raises  ExecutionError if the run fails.
        """
        wanted = {item.name for item in self._session.get_inputs()}
        try:
            results = self._session.run(list(outputs), {k: v for k, v in feeds.items() if k in wanted})
        except Exception as error:  # onnxruntime raises many types, none of them documented
            if self.optimization == "disabled":
                raise _refusal(error) from None
        else:
            return {name: np.asarray(value) for name, value in zip(outputs, results, strict=True)}
        self._optimize_nothing()  # an optimised kernel may refuse what the plain one computes
        return self.run(feeds, outputs)

    def _optimize_nothing(self) -> None:
        """Take a session without optimisation instead.

        Raises  ExecutionError if the runtime refuses the model even so.
        """
        self.optimization = "disabled"
        self._session = _session(self._proto, "disabled", self._copy_weights)


def threads() -> int:
    """How many threads a session works with: as many as this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session(
    proto: ModelProto, optimization: Optimization, copy_weights: bool
) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads()
    options.enable_cpu_mem_arena = False  # of one run it keeps what is free, and takes longer
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, _LEVELS[optimization])
    options.add_session_config_entry(*ROOTED)
    if not copy_weights:
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        data = proto.SerializeToString()
        return onnxruntime.InferenceSession(data, options, providers=[PROVIDER])
    except Exception as error:
        raise _refusal(error) from None


def _refusal(error: Exception) -> ExecutionError:
    """The innermost of the messages that onnxruntime wraps around each other, without its C++ address."""
    message = str(error).rpartition("Status Message: ")[2]
    message = _ADDRESS.sub("", message)
    return ExecutionError(f"onnxruntime: {first_line(ExecutionError(message))}")
