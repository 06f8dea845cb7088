"""The stages of shape inference, the cheapest first. Each knows more tensors' shapes than the one before."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, shape_inference

from convaudit.errors import ConvauditError, first_line
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.shapes.inferred import Dimensions, Inferred
from convaudit.frontends.onnx.shapes.inputs import Feeds, Inputs
from convaudit.frontends.onnx.shapes.misinferred import hazard
from convaudit.frontends.onnx.shapes.prepared import prepare


def stages(inputs: Inputs, inferred: Inferred) -> Iterator[str | None]:
    """Add the findings of one stage after the other to ``inferred``; yield a warning, if there is one.

    The caller stops as soon as it knows all it needs.
    """
    prepared = prepare(inputs.model)
    yield _static(prepared, inferred)

    # late: only a model that static inference does not understand pays for this import
    from convaudit.frontends.onnx.shapes.symbolic.engine import infer

    inferred.add_found(infer(prepared, inferred))
    yield None


def execute_once(
    source: OnnxModel,
    inputs: Inputs,
    feeds: Feeds | None,
    inferred: Inferred,
) -> str:
    """Where no stage knows enough: one run, whose shapes onnxruntime reports. Returns a warning."""
    from convaudit.frontends.onnx.shapes.run import run_once

    try:
        executed, problem = run_once(source, inputs.model, inputs.tensors, feeds)
    except ConvauditError as error:
        return f"some shapes stay unknown: {error}"
    inferred.add(executed)
    kind = "made-up" if feeds is None else "the given"
    told = f"the sizes that depend on data are those of one run on {kind} input"
    return told + (f", which failed half-way: {problem}" if problem else "")


def declare(claiming: ModelProto, inputs: Inputs, inferred: Inferred) -> None:
    """The last stage: what the file claims of tensors that nothing else tells, and what follows from it.

    Args:
        claiming: The model as the file has it, with what it declares.
        inputs: Its inputs.
        inferred: What is known; it receives the rest.
    """
    from convaudit.frontends.onnx.shapes.prepared import with_claims

    completed = with_claims(prepare(inputs.model), claiming, inputs, inferred)
    if completed is not None:
        claimed, dimensions = completed
        _static(claimed, inferred, dimensions)


def _static(model: ModelProto, inferred: Inferred, dimensions: Dimensions | None = None) -> str | None:
    """onnx's own inference, without its data propagation: shapes that are data are for our rules to tell.

    It lists every element of every one-dimensional tensor that it meets, of 2**36 as well.
    """
    danger = hazard(model)
    if danger:
        inferred.add(model, dimensions)
        return f"onnx's shape inference is left out: {danger}"
    try:
        found = shape_inference.infer_shapes(model)
        inferred.add(found, dimensions)
    except (shape_inference.InferenceError, RuntimeError, ValueError, TypeError) as error:
        inferred.add(model, dimensions)
        return f"onnx's shape inference refuses the model: {first_line(error)}"
    return None
