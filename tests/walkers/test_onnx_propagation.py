"""onnx's data propagation is only used where it cannot run away."""

from __future__ import annotations

import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from convaudit.errors import ShapeError
from convaudit.loaders.onnx_file import load_onnx
from convaudit.walkers.onnx import walk_onnx
from convaudit.walkers.onnx.propagation import propagates_safely


def int64(name: str, *values: int) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def sliced_shape(step: TensorProto | NodeProto | None) -> ModelProto:
    """y = x reshaped to a slice of its own shape, convolved."""
    stored = [int64("start", 0), int64("end", 2**62), int64("axis", 0)]
    nodes = [helper.make_node("Shape", ["x"], ["shape"])]
    if isinstance(step, NodeProto):
        nodes.append(step)
    elif step is not None:
        stored.append(step)
    nodes += [
        helper.make_node("Slice", ["shape", "start", "end", "axis", *(["step"] if step else [])], ["part"]),
        helper.make_node("Reshape", ["x", "part"], ["z"]),
        helper.make_node("Conv", ["z", "w"], ["y"]),
    ]
    stored.append(helper.make_tensor("w", TensorProto.FLOAT, [5, 3, 1, 1], [0.0] * 15))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], stored), opset_imports=[helper.make_opsetid("", 17)]
    )


def constant(**value: object) -> NodeProto:
    return helper.make_node("Constant", [], ["step"], **value)


SAFE = [
    pytest.param(None, id="no-step"),
    pytest.param(int64("step", 1), id="initializer"),
    pytest.param(int64("step", -(2**31) + 1), id="31-bits"),
    pytest.param(constant(value=int64("v", 1)), id="value"),
    pytest.param(constant(value_ints=[1]), id="value_ints"),
]
UNSAFE = [
    pytest.param(int64("step", 2**31), id="crash"),
    pytest.param(int64("step", 2**32), id="endless"),
    pytest.param(int64("step", -(2**63)), id="smallest"),
    pytest.param(constant(value=int64("v", 2**32)), id="value"),
    pytest.param(constant(value_ints=[2**32]), id="value_ints"),
    pytest.param(helper.make_node("Mul", ["a", "a"], ["step"]), id="computed"),
    pytest.param(helper.make_node("Constant", [], ["other"], value_int=1), id="undefined"),
]


@pytest.mark.parametrize("step", SAFE)
def test_safe(step: TensorProto | NodeProto | None) -> None:
    assert propagates_safely(sliced_shape(step))


@pytest.mark.parametrize("step", UNSAFE)
def test_unsafe(step: TensorProto | NodeProto) -> None:
    assert not propagates_safely(sliced_shape(step))


def test_step_inside_a_branch() -> None:
    inner = sliced_shape(int64("step", 2**32)).graph
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    assert not propagates_safely(helper.make_model(helper.make_graph([node], "g", [], [])))


def test_hostile_step_does_no_harm() -> None:
    with pytest.raises(ShapeError, match="must have the same rank"):  # of its shape, the step leaves one size
        walk_onnx(load_onnx(sliced_shape(int64("step", 2**32))), allow_run=False)
