"""Strings that are not valid UTF-8 reach Python as bytes; the loader stops them."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from convaudit.errors import LoadError
from convaudit.frontends.onnx.loader.onnx_file import load_onnx


def model() -> ModelProto:
    """A model with a name in every place that convaudit reads."""
    inner = helper.make_graph([helper.make_node("Relu", ["inner_in"], ["inner_out"])], "inner_graph", [], [])
    node = helper.make_node(
        "If", ["in"], ["out"], "node", domain="domain", overload="over", then_branch=inner
    )
    listed = helper.make_node("Custom", [], [], graphs=[inner])
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 3])
    stored = helper.make_tensor("stored", TensorProto.FLOAT, [1], [1.0])
    stored_outside = TensorProto(name="outside", data_type=1, data_location=TensorProto.EXTERNAL)
    stored_outside.external_data.add(key="location", value="file")
    body = helper.make_node("Relu", ["formal"], ["result"])
    opsets = [helper.make_opsetid("opset", 1)]
    function = helper.make_function("fdomain", "F", ["formal"], ["result"], [body], opsets, ["attr"])
    main = helper.make_graph([node, listed], "main_graph", [value], [], [stored, stored_outside])
    return helper.make_model(main, functions=[function], opset_imports=opsets, producer_name="producer")


NAMES = [
    *("in", "out", "node", "domain", "over", "inner_graph", "inner_in", "inner_out", "value", "batch"),
    *("stored", "outside", "file", "formal", "fdomain", "attr", "opset", "main_graph", "producer"),
    *("If", "then_branch"),
]


def test_the_model_itself_is_fine() -> None:
    load_onnx(model())


@pytest.mark.parametrize("name", NAMES)
def test_damaged_name(name: str, tmp_path: Path) -> None:
    data = model().SerializeToString()
    field = bytes([len(name)]) + name.encode()
    assert field in data
    damaged = data.replace(field, bytes([len(name)]) + b"\xff" * len(name))
    path = tmp_path / "m.onnx"
    path.write_bytes(damaged)
    for source in (path, ModelProto.FromString(damaged)):
        with pytest.raises(LoadError, match="not valid UTF-8"):
            load_onnx(source)
