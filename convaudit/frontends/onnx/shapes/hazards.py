"""What onnx's shape inference must not be given: values with which onnx 1.23 fills the memory or crashes.

It crashes on a GatherND with negative ``batch_dims``, and makes room for as many outputs as a Split claims.
"""

from __future__ import annotations

from onnx import ModelProto

from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.graphs import graphs


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
