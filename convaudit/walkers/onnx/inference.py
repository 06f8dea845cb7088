"""The stages of shape inference, the cheapest first. Each gives the same nodes with more shapes."""

from __future__ import annotations

from onnx import ModelProto, shape_inference

from convaudit.walkers.onnx.inferred import graphs
from convaudit.walkers.onnx.propagation import propagates_safely


def bare(model: ModelProto) -> ModelProto:
    """Forget, in place, what the model declares of tensors that operators known to ONNX produce.

    Such a claim may be stale (a batch size edited at the input only) and would win over inference. Of other
    operators' results it is all there is.
    """
    for _, graph in graphs(model.graph):
        foreign = {name for node in graph.node if node.domain not in ("", "ai.onnx") for name in node.output}
        kept = [value for value in graph.value_info if value.name in foreign]
        del graph.value_info[:]
        graph.value_info.extend(kept)
        for value in graph.output:
            if value.name not in foreign and value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
    return model


def infer(model: ModelProto) -> tuple[ModelProto, str | None]:
    """onnx's own inference; with the reason, in one line, where it refuses the model as a whole."""
    try:
        return shape_inference.infer_shapes(model, data_prop=propagates_safely(model)), None
    except (shape_inference.InferenceError, RuntimeError, ValueError, TypeError) as error:
        return model, first_line(error)


def infer_symbolic(model: ModelProto) -> tuple[ModelProto, str | None]:
    """Inference in formulas of the inputs' dimensions; slower, as it takes a computer algebra system."""
    import logging

    try:
        import onnx_ir
        from onnx_shape_inference import infer_symbolic_shapes

        # it reports ops it does not know on its logger; we report shapes that stay unknown
        logging.getLogger("onnx_shape_inference").setLevel(logging.ERROR)
        inferred = infer_symbolic_shapes(
            onnx_ir.serde.deserialize_model(model), warn_on_missing=False, adopt_declared_symbols=False
        )
        return onnx_ir.serde.serialize_model(inferred), None
    except Exception as error:  # whatever it stumbles over, the audit goes on without it
        return model, first_line(error)


def first_line(error: Exception) -> str:
    """An error's message, cut to the one line that a person reads."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
