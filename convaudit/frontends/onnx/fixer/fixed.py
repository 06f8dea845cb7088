"""A smaller network: planned, rewritten, written aside, verified there, and only then put in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from convaudit.engine.operands import Array
from convaudit.errors import UsageError
from convaudit.frontends import FixRequest
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Fixed


def fix_model(
    walked: Walked,
    target: str | None,
    *,
    settings: Settings,
    how: FixRequest,
    data: Mapping[str, Array] | None,
    walk: Callable[[OnnxModel], Walked],
) -> Fixed:
    """Take out of a model what it carries for nothing, and verify that it computes the same.

    Args:
        walked: The model.
        target: The file to write; None: the network is handed back in memory.
        settings: What to verify it on.
        how: What to take out, seed, bound on memory, progress.
        data: Arrays by input name to verify it on; None: random ones, from three seeds.
        walk: Walks the smaller network, with the same inputs fixed.

    Raises:
        UsageError: There is nothing to fix, or the target is part of the model.
        ExecutionError: It does not run, or is not the same function.
        LoadError: Weights are missing.
    """
    raise UsageError(f"{walked.network.source}: nothing that was found can be fixed yet")
