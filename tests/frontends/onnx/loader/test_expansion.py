"""Functions that would take for ever to expand are refused before anybody expands them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from onnx import FunctionProto, ModelProto, helper

from convaudit.errors import LoadError
from convaudit.frontends.onnx.loader.onnx_file import load_onnx

OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]


def function(name: str, *calls: str) -> FunctionProto:
    nodes = [helper.make_node(call, ["a"], ["b"], domain="f" if call[0] == "F" else "") for call in calls]
    return helper.make_function("f", name, ["a"], ["b"], nodes, OPSETS)


def model(called: str, functions: Sequence[FunctionProto]) -> ModelProto:
    node = helper.make_node(called, ["x"], ["y"], domain="f")
    return helper.make_model(
        helper.make_graph([node], "g", [], []), functions=functions, opset_imports=OPSETS
    )


def doubling(levels: int) -> list[FunctionProto]:
    return [
        function("F0", "Relu"),
        *(function(f"F{i}", f"F{i - 1}", f"F{i - 1}") for i in range(1, levels + 1)),
    ]


def test_many_nodes_are_allowed_and_more_are_not() -> None:
    load_onnx(model("F17", doubling(17)))
    with pytest.raises(
        LoadError, match=r"unfold into more than 250000 nodes; 'F40' alone into 1099511627776"
    ):
        load_onnx(model("F40", doubling(40)))


@pytest.mark.parametrize(
    "functions",
    [
        pytest.param([function("F", "F")], id="itself"),
        pytest.param([function("F", "FG"), function("FG", "F")], id="each-other"),
        pytest.param(
            [function("F", "F0"), *(function(f"F{i}", f"F{i + 1}") for i in range(5000))], id="endless-chain"
        ),
    ],
)
def test_recursion(functions: list[FunctionProto]) -> None:
    with pytest.raises(LoadError, match="calls itself, or functions nest too deeply"):
        load_onnx(model("F", functions))


def test_recursion_through_a_branch() -> None:
    inner = helper.make_graph([helper.make_node("F", ["a"], ["b"], domain="f")], "inner", [], [])
    branching = helper.make_node("If", ["a"], ["b"], then_branch=inner, else_branch=inner)
    recursive = helper.make_function("f", "F", ["a"], ["b"], [branching], OPSETS)
    with pytest.raises(LoadError, match="function 'F' calls itself"):
        load_onnx(model("F", [recursive]))
