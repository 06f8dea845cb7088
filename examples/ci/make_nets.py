"""Write the example's model: one inverted residual block of MobileNetV2 with a classifier behind it.

Run ``python make_nets.py`` to write ``nets/block.onnx``, and ``python make_nets.py --dense`` to write the
mistake that the check is there to find: the depthwise convolution with its ``groups`` forgotten.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS, HIDDEN, CLASSES = 8, 48, 10


def write_block(path: Path, *, dense: bool) -> None:
    """Write the model with seeded random weights; ``dense`` forgets the depthwise convolution's groups."""
    random = np.random.default_rng(0)
    weights = []

    def weight(name: str, *shape: int) -> str:
        values = random.standard_normal(shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    groups = 1 if dense else HIDDEN
    pads = [1, 1, 1, 1]
    stem = weight("stem.weight", CHANNELS, 3, 3, 3)
    expand = weight("expand.weight", HIDDEN, CHANNELS, 1, 1)
    depthwise = weight("depthwise.weight", HIDDEN, HIDDEN // groups, 3, 3)
    project = weight("project.weight", CHANNELS, HIDDEN, 1, 1)
    nodes = [
        helper.make_node("Conv", ["image", stem], ["a"], "stem", pads=pads, strides=[2, 2]),
        helper.make_node("Conv", ["a", expand], ["b"], "expand"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("Conv", ["c", depthwise], ["d"], "depthwise", group=groups, pads=pads),
        helper.make_node("Conv", ["d", project], ["e"], "project"),
        helper.make_node("Add", ["a", "e"], ["f"], "residual"),
        helper.make_node("GlobalAveragePool", ["f"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["h"], "flatten"),
        helper.make_node(
            "MatMul", ["h", weight("classifier.weight", CHANNELS, CLASSES)], ["scores"], "classifier"
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 64, 64])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)


if __name__ == "__main__":
    write_block(Path("nets/block.onnx"), dense="--dense" in sys.argv[1:])
