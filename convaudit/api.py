"""``audit``: the whole pipeline on one screen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from convaudit.analyzer import analyze
from convaudit.errors import UsageError
from convaudit.loaders.dispatch import front_end
from convaudit.report import Report

if TYPE_CHECKING:
    from onnx import ModelProto

InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]


def audit(
    source: str | os.PathLike[str] | ModelProto,
    *,
    input_shape: InputShape | None = None,
    dims: Mapping[str, int] | None = None,
    allow_run: bool = True,
) -> Report:
    """What every convolution of a model costs, and what its ``groups`` save.

    source       a path to an ONNX model, or a ModelProto
    input_shape  sizes of the only input, or of several by name; what it leaves open stays symbolic
    dims         values of symbolic dimensions, by name
    allow_run    whether the model may be run once where its structure does not determine a shape

    Raises  ConvauditError: LoadError for a file that is no readable and safe model, ModelError for one whose
            convolutions break a rule, UsageError for inputs that the model does not have.
    """
    if front_end(source) == "torch":
        raise UsageError(f"{source!r}: torch sources are not supported yet; export the model to ONNX")
    from convaudit.loaders.onnx_file import load_onnx
    from convaudit.walkers.onnx import walk_onnx

    model = load_onnx(source)
    network = walk_onnx(model, input_shapes=_by_name(input_shape), dims=dims, allow_run=allow_run)
    return Report.of(analyze(network))


def _by_name(input_shape: InputShape | None) -> Mapping[str, Sequence[int]]:
    """Shapes by input name, as the ONNX walker wants them; the name "" is the only input."""
    if input_shape is None:
        return {}
    return input_shape if isinstance(input_shape, Mapping) else {"": input_shape}
