"""The model as shape inference gets to see it: without stale claims, in words that inference understands."""

from __future__ import annotations

from onnx import GraphProto, ModelProto, NodeProto, helper

from convaudit.walkers.onnx.attributes import Attributes
from convaudit.walkers.onnx.inferred import graphs

# Ops of onnxruntime with the shapes of a standard one, and how many operands that one has.
_STAND_INS = {
    ("com.microsoft", "FusedConv"): ("Conv", 3),
    ("com.microsoft", "QLinearConv"): ("QLinearConv", 9),
}


def prepare(model: ModelProto) -> ModelProto:
    """The model to infer shapes on: nodes in the same places, some of them written in another way.

    Of ``model`` itself, only what it declares of its inner tensors is forgotten.
    """
    for _, graph in graphs(model.graph):
        _forget(graph)
    if not any(_needs_rewriting(node) for _, graph in graphs(model.graph) for node in graph.node):
        return model
    rewritten = ModelProto()
    rewritten.CopyFrom(model)
    for _, graph in graphs(rewritten.graph):
        weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        for node in graph.node:
            if _needs_rewriting(node):
                _rewrite(node, weights)
    return rewritten


def _forget(graph: GraphProto) -> None:
    """Forget what a graph declares of tensors that ONNX's own operators produce.

    Such a claim may be stale (a batch size edited at the input only) and would win over inference. Of other
    operators' results it is all there is.
    """
    foreign = {name for node in graph.node if node.domain not in ("", "ai.onnx") for name in node.output}
    kept = [value for value in graph.value_info if value.name in foreign]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    for value in graph.output:
        if value.name not in foreign and value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _needs_rewriting(node: NodeProto) -> bool:
    if node.op_type == "ConvTranspose":
        names = {attribute.name for attribute in node.attribute}
        return {"auto_pad", "output_padding"} <= names and "output_shape" not in names
    return (node.domain, node.op_type) in _STAND_INS


def _rewrite(node: NodeProto, weights: dict[str, list[int]]) -> None:
    if node.op_type == "ConvTranspose":
        _write_output_padding_out(node, weights)
    elif not Attributes(node, node.name).integer("channels_last", 0):
        node.op_type, operands = _STAND_INS[node.domain, node.op_type]
        node.domain = ""
        del node.input[operands:]


def _write_output_padding_out(node: NodeProto, weights: dict[str, list[int]]) -> None:
    """SAME as explicit pads: onnx's inference adds output_padding to a size that already contains it.

    The output is stride*size long, so the total padding does not depend on the size.
    """
    attributes = Attributes(node, node.name)
    kernel = attributes.integers("kernel_shape") or weights.get(node.input[1], [])[2:]
    rank = len(kernel)
    if not attributes.string("auto_pad", "").startswith("SAME") or not rank:
        return
    strides = attributes.sizes("strides", rank, default=1, minimum=1)
    dilations = attributes.sizes("dilations", rank, default=1, minimum=1)
    extra = attributes.sizes("output_padding", rank, default=0, minimum=0)
    totals = [e + d * (k - 1) + 1 - s for e, d, k, s in zip(extra, dilations, kernel, strides, strict=True)]
    kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", [0] * rank + totals)])
