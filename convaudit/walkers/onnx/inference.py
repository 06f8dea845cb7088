"""The stages of shape inference, the cheapest first. Each knows more tensors' shapes than the one before."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from onnx import ModelProto, shape_inference

from convaudit.errors import ConvauditError, first_line
from convaudit.loaders.onnx_file import OnnxModel
from convaudit.walkers.onnx.dimensions import Dimensions
from convaudit.walkers.onnx.functions import expand_functions
from convaudit.walkers.onnx.hazards import hazard, makes_long_lists, propagates_safely
from convaudit.walkers.onnx.inferred import Inferred
from convaudit.walkers.onnx.inputs import Feeds, Inputs
from convaudit.walkers.onnx.prepared import prepare

SAMPLED = "its sizes are those of one run; they may be others on another input"
"""Note on a layer of which only a run told the shapes."""
DECLARED = "its sizes are those that the file declares; nothing else tells them"
"""Note on a layer of which only the file's own claims told the shapes."""


def stages(model: ModelProto, inferred: Inferred) -> Iterator[str | None]:
    """Add the findings of one stage after the other to ``inferred``; yield a warning, if there is one.

    The caller stops as soon as it knows all it needs: the last stage costs an import of a computer algebra
    system.
    """
    prepared = prepare(model)
    yield _static(prepared, inferred)

    # late: only a model that static inference does not understand pays for these imports
    from convaudit.walkers.onnx.folding import fold_constants

    folded = fold_constants(prepared, inferred)
    if folded is not None:
        yield _static(folded, inferred)
    yield _symbolic(folded or prepared, inferred)


def execute(
    source: OnnxModel,
    model: ModelProto,
    inputs: Inputs,
    feeds: Feeds | None,
    inferred: Inferred,
) -> str:
    """Where no stage knows enough: one run, whose shapes onnxruntime reports. Returns a warning."""
    from convaudit.walkers.onnx.execution import run_once

    try:
        executed, problem = run_once(source, model, inputs.tensors, feeds)
    except ConvauditError as error:
        return f"some shapes stay unknown: {error}"
    inferred.add(executed)
    kind = "made-up" if feeds is None else "the given"
    told = f"the sizes that depend on data are those of one run on {kind} input"
    return told + (f", which failed half-way: {problem}" if problem else "")


def declare(source: OnnxModel, model: ModelProto, inputs: Inputs, inferred: Inferred) -> None:
    """The last stage: what the file claims of tensors that nothing else tells, and what follows from it."""
    from convaudit.walkers.onnx.declared import with_claims

    claiming = expand_functions(source.proto).model
    completed = with_claims(prepare(model), claiming, inputs, inferred)
    if completed is not None:
        claimed, dimensions = completed
        _static(claimed, inferred, dimensions)


def _static(model: ModelProto, inferred: Inferred, dimensions: Dimensions | None = None) -> str | None:
    """onnx's own inference."""
    danger = hazard(model)
    if danger:
        inferred.add(model, dimensions)
        return f"onnx's shape inference is left out: {danger}"
    try:
        found = shape_inference.infer_shapes(model, data_prop=propagates_safely(model))
        inferred.add(found, dimensions)
    except (shape_inference.InferenceError, RuntimeError, ValueError, TypeError) as error:
        inferred.add(model, dimensions)
        return f"onnx's shape inference refuses the model: {first_line(error)}"
    return None


def _symbolic(model: ModelProto, inferred: Inferred) -> str | None:
    """Inference in formulas of the inputs' dimensions."""
    if makes_long_lists(model):
        return "symbolic shape inference is left out: ConstantOfShape makes a tensor too long to be a shape"
    try:
        import onnx_ir
        from onnx_shape_inference import infer_symbolic_shapes

        with _quiet("onnx_ir", "onnx_shape_inference"):
            symbolic = onnx_ir.serde.deserialize_model(model)
            infer_symbolic_shapes(symbolic, warn_on_missing=False, adopt_declared_symbols=False)
            inferred.add(onnx_ir.serde.serialize_model(symbolic))
    except Exception as error:  # whatever it stumbles over, the audit goes on without it
        return f"symbolic shape inference failed: {first_line(error)}"
    return None


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keep libraries from printing what the report says better, or what does not matter."""
    import logging

    levels = {name: logging.getLogger(name).level for name in loggers}
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
