"""Legal ONNX that onnxruntime refuses, rewritten so that it runs."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, NodeProto, helper

from convaudit.records import ConvLayer
from convaudit.verifier.feeds import known_shape
from convaudit.verifier.onnx.graphs import Graphs
from convaudit.verifier.onnx.operands import padding
from convaudit.walkers.onnx.attributes import Attributes
from convaudit.walkers.onnx.functions import Address


def make_runnable(model: ModelProto, layers: Mapping[Address, ConvLayer], sizes: Mapping[str, int]) -> None:
    """Give convolutions explicit pads, in place, where onnxruntime does not take their ``auto_pad``."""
    graphs = Graphs(model)
    for address, layer in layers.items():
        make_node_runnable(graphs.node(address), layer, sizes)


def make_node_runnable(node: NodeProto, layer: ConvLayer, sizes: Mapping[str, int]) -> None:
    """The same for one node: SAME with dilation, and auto_pad beside pads, are the refused ones."""
    attributes = Attributes(node, layer.name)
    automatic = attributes.string("auto_pad", "NOTSET") != "NOTSET"
    dilated = any(step > 1 for step in layer.dilation or ())
    shape = known_shape(layer.input_shape, sizes)
    if not automatic or shape is None or not (dilated or "pads" in attributes):
        return
    pads = padding(layer, node, shape)
    kept = [item for item in node.attribute if item.name not in ("auto_pad", "pads")]
    del node.attribute[:]
    explicit = [before for before, _ in pads] + [after for _, after in pads]
    node.attribute.extend([*kept, helper.make_attribute("pads", explicit)])
