"""Nodes whose shape onnx's own inference (1.23) gets wrong: they are left to our rules.

So are those whose shape ONNX and onnxruntime (1.31) read differently, marked *: our rules call it unknown,
and a run tells it.

=========================== ==============================================================================
pooling, ``ceil_mode``      a window that starts in the end padding is kept
ConvTranspose, ``auto_pad`` ``output_padding`` is added to SAME's ``stride * size``
..., ``output_shape``       a size below the input's ends the shape before its spatial axes
Attention                   an open size is taken for 0
Slice, opset 10             an open size stays as it is
If, before opset 11         the result has the shape of one branch, whatever the other's
Resize, Upsample            ``size * scale`` is rounded as no runtime does, where a float32 cannot hold it
STFT                        ``onesided`` is taken for 0 where it is absent
pooling, ``auto_pad`` *     onnxruntime's SAME of a dilated window is shorter than ONNX's
Resize, negative axes *     onnxruntime does not follow ``keep_aspect_ratio_policy`` there
Slice, backwards *          onnxruntime takes the largest integer for the other end, ONNX for the last place
SplitToSequence *           ONNX ignores ``keepdims`` where sizes are given, onnxruntime does not
=========================== ==============================================================================

Two it must not be given at all (``hazard``): it crashes on a GatherND with negative ``batch_dims``, and makes
room for as many outputs as a Split claims.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper

from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.graphs import graphs

_ALWAYS: tuple[set[str], ...] = (set(),)
_POOLING = ({"ceil_mode"}, {"auto_pad", "dilations"})
# By op: opsets, and attributes (if not 0) that make inference wrong, any of the sets.
_WRONG: dict[str, tuple[range, tuple[set[str], ...]]] = {
    "Attention": (range(99), _ALWAYS),
    "AveragePool": (range(99), _POOLING),
    "ConvTranspose": (range(99), ({"auto_pad", "output_padding"}, {"output_shape"})),
    "If": (range(11), _ALWAYS),
    "LpPool": (range(99), _POOLING),
    "MaxPool": (range(99), _POOLING),
    "STFT": (range(99), _ALWAYS),
}
LARGEST = (2**31 - 1, 2**63 - 1)
"""What onnxruntime takes for the end of a Slice, whichever way it goes."""
_MOST_SCALES = 16
_LARGEST_FACTOR = 2**7  # with 17 bits of a size, a float32 holds the product


class Misinferred:
    """The nodes of one model that onnx's inference gets wrong."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        imports = model.opset_import
        self._opset = next((item.version for item in imports if item.domain in ("", "ai.onnx")), 1)
        self._plain: set[str] | None = None
        self._integers: dict[str, list[float]] | None = None

    def __contains__(self, node: NodeProto) -> bool:
        if node.domain not in ("", "ai.onnx"):
            return False
        match node.op_type:
            case "Resize" | "Upsample":
                return self._rounds(node) or _has_policy_of_negative_axes(node)
            case "Slice":
                return self._opset == 10 or self._runs_backwards(node)
            case "SplitToSequence":
                return len(node.input) > 1 and any(a.name == "keepdims" and not a.i for a in node.attribute)
        if node.op_type not in _WRONG:
            return False
        opsets, wrong = _WRONG[node.op_type]
        present = {a.name for a in node.attribute if a.type != AttributeProto.INT or a.i}
        return self._opset in opsets and any(names <= present for names in wrong)

    def _rounds(self, node: NodeProto) -> bool:
        """Whether a scale may make a product that is not exact."""
        index = 2 if node.op_type == "Resize" and self._opset >= 11 else 1
        if len(node.input) <= index:
            scales = [scale for a in node.attribute if a.name == "scales" for scale in a.floats]
            return not _are_plain(scales)
        if not node.input[index]:
            return False
        if self._plain is None:
            floats = _small_tensors(self._model, TensorProto.FLOAT)
            self._plain = {name for name, tensor in floats if _are_plain(_values(tensor))}
        return node.input[index] not in self._plain

    def _runs_backwards(self, node: NodeProto) -> bool:
        """Whether it goes from the back to the largest integer; what nothing stores, onnx does not infer."""
        if len(node.input) < 5:
            return False
        if self._integers is None:
            stored = _small_tensors(self._model, TensorProto.INT64, TensorProto.INT32)
            self._integers = {name: _values(tensor) for name, tensor in stored}
        ends, steps = (self._integers.get(node.input[index], []) for index in (2, 4))
        return any(step < 0 and end in LARGEST for end, step in zip(ends, steps, strict=False))


def _has_policy_of_negative_axes(node: NodeProto) -> bool:
    given = {a.name: a for a in node.attribute}
    return "keep_aspect_ratio_policy" in given and "axes" in given and min(given["axes"].ints, default=0) < 0


def _are_plain(scales: Iterable[float]) -> bool:
    """Whether the scales are such as 2 and 0.75, whose product with a size no float rounds."""
    try:
        ratios = [float(scale).as_integer_ratio() for scale in scales]
    except (ValueError, OverflowError):
        return False
    return all(0 < (a // (a & -a) if a else 0) < _LARGEST_FACTOR and b <= 2**16 for a, b in ratios)


def _values(tensor: TensorProto) -> list[float]:
    try:
        values: list[float] = numpy_helper.to_array(tensor).ravel().tolist()
    except (ValueError, TypeError, KeyError, OSError):  # damaged, or its data are elsewhere
        return [math.nan]
    return values


def _small_tensors(model: ModelProto, *types: int) -> Iterator[tuple[str, TensorProto]]:
    for _, graph in graphs(model.graph):
        stored = [(tensor.name, tensor) for tensor in graph.initializer]
        stored += [
            (node.output[0], a.t)
            for node in graph.node
            if node.op_type == "Constant" and node.output
            for a in node.attribute
            if a.name == "value"
        ]
        for name, tensor in stored:
            few = len(tensor.dims) == 1 and 0 <= tensor.dims[0] <= _MOST_SCALES
            if few and tensor.data_type in types and not tensor.data_location:
                yield name, tensor


def hazard(model: ModelProto) -> str | None:
    """The node that crashes shape inference, in words; None if there is none."""
    for _, graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type not in ("GatherND", "Split"):
                continue
            attributes = Attributes(node, f"{node.name} ({node.op_type})")
            batch_dims = attributes.integer("batch_dims", 0) if node.op_type == "GatherND" else 0
            if batch_dims < 0:
                return f"{node.name or node.op_type} has batch_dims={batch_dims}"
            parts = attributes.integer("num_outputs", 0) if node.op_type == "Split" else 0
            if parts > len(node.output):
                return f"{node.name or node.op_type} claims {parts} outputs and has {len(node.output)}"
    return None
