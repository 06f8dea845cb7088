"""onnx's shape inference is only used where it cannot run away."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from convaudit.apart import CodeLimits, call_apart
from convaudit.errors import ShapeError
from convaudit.frontends.onnx.shapes.misinferred import hazard
from tests.frontends.onnx.models import walk


def int64(name: str, *values: int) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def sliced_shape(step: TensorProto) -> ModelProto:
    """y = x reshaped to a slice of its own shape, convolved."""
    stored = [int64("start", 0), int64("end", 2**62), int64("axis", 0), step]
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "start", "end", "axis", "step"], ["part"]),
        helper.make_node("Reshape", ["x", "part"], ["z"]),
        helper.make_node("Conv", ["z", "w"], ["y"]),
    ]
    stored.append(helper.make_tensor("w", TensorProto.FLOAT, [5, 3, 1, 1], [0.0] * 15))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], stored), opset_imports=[helper.make_opsetid("", 17)]
    )


def test_hostile_step_does_no_harm() -> None:
    with pytest.raises(ShapeError, match="must have the same rank"):  # of its shape, the step leaves one size
        walk(sliced_shape(int64("step", 2**32)), allow_run=False)


def made_shape(size: TensorProto | NodeProto) -> ModelProto:
    """A tensor of ones, whose shape is one stored or calculated number, is the shape of another."""
    nodes = [size] if isinstance(size, NodeProto) else []
    nodes += [
        helper.make_node("ConstantOfShape", ["size"], ["ones"], value=int64("v", 1)),
        helper.make_node("Concat", ["ones", "ones"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    stored = [size] if isinstance(size, TensorProto) else []
    return helper.make_model(helper.make_graph(nodes, "g", [x], [], stored))


def one_node(node: NodeProto) -> ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])
    conv = helper.make_node("Conv", ["x", "w"], ["z"], name="conv")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [5, 3, 1], [0.0] * 15)
    return helper.make_model(
        helper.make_graph([node, conv], "g", [x], [], [int64("i", 0), weight]),
        opset_imports=[helper.make_opsetid("", 18)],
    )


@pytest.mark.parametrize(
    ("node", "message"),
    [
        pytest.param(
            helper.make_node("GatherND", ["x", "i"], ["y"], "pick", batch_dims=-5),
            "pick has batch_dims=-5",
            id="gather",
        ),
        pytest.param(
            helper.make_node("Split", ["x"], ["y"], num_outputs=2**62),
            f"Split claims {2**62} outputs and has 1",
            id="split",
        ),
    ],
)
def test_nodes_that_crash_inference(node: NodeProto, message: str) -> None:
    network = walk(one_node(node), allow_run=False)
    assert any(warning.endswith(f"inference is left out: {message}") for warning in network.warnings)
    assert network.layers[0].output_shape == (2, 5, 4)


def test_harmless_nodes_are_no_hazard() -> None:
    assert hazard(one_node(helper.make_node("GatherND", ["x", "i"], ["y"], batch_dims=1))) is None
    assert hazard(one_node(helper.make_node("Split", ["x"], ["y", "z"], num_outputs=2))) is None


def doubled(times: int, op: str = "Identity", axis: int = 0) -> ModelProto:
    """A shape that is joined with itself again and again."""
    nodes = [helper.make_node("Shape", ["x"], ["s0"])]
    for index in range(times):
        nodes.append(helper.make_node(op, [f"s{index}"], [f"t{index}"]))
        nodes.append(helper.make_node("Concat", [f"t{index}", f"t{index}"], [f"s{index + 1}"], axis=axis))
    nodes.append(helper.make_node("Expand", ["x", f"s{times}"], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    return helper.make_model(helper.make_graph(nodes, "g", [x], []))


def cast(length: int) -> ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.INT64, [length])
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], []))


def uninferred(model: ModelProto) -> ModelProto:
    """``model``, with a convolution of which no stage knows the input's shape."""
    model.graph.node.append(helper.make_node("Unknown", ["y"], ["z"], domain="custom"))
    model.graph.node.append(helper.make_node("Conv", ["z", "w"], ["out"], kernel_shape=[1]))
    model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[1, 1, 1], float_data=[0])
    return model


def walked_here(model: ModelProto, _progress: Any) -> Any:
    return walk(model, allow_run=False).layers[0].input_shape


LONG = [
    pytest.param(made_shape(int64("size", 2**36)), id="made"),
    pytest.param(made_shape(helper.make_node("Shape", ["x"], ["size"])), id="made-calculated"),
    pytest.param(doubled(60), id="joined"),
    pytest.param(doubled(60, axis=-1), id="joined-at-the-last-axis"),
    pytest.param(cast(2**36), id="long-input"),
]


@pytest.mark.parametrize("model", LONG)
def test_no_list_is_written_out(model: ModelProto) -> None:
    limits = CodeLimits(seconds=20, memory_bytes=2**28)
    call = f"{__name__}:walked_here"
    assert call_apart(call, uninferred(model), who="m", limits=limits, prepared=(__name__,)) is None
