"""Vectors that exporters store once for several layers: what one drops, the others keep."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

import convaudit
from convaudit.lints import made_smaller

pytestmark = pytest.mark.usefixtures("trusted_runtime")

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
net (float[1,2,6,6] x) => (float[1,3,6,6] y) <float[4] zeros = {0, 0, 0, 0}> {
    a = Conv <pads = [1, 1, 1, 1]> (x, wa, zeros)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1]> (b, wb, zeros)
    d = Relu (c)
    e = Conv (d, wc, zeros)
    f = Relu (e)
    y = Conv (f, wd)
}"""
SHAPES = {"wa": (4, 2, 3, 3), "wb": (4, 4, 3, 3), "wc": (4, 4, 1, 1), "wd": (3, 4, 1, 1)}


def network(idle: dict[str, list[int]]) -> onnx.ModelProto:
    model = parser.parse_model(TEXT)
    generator = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        weight = generator.standard_normal(shape).astype(np.float32)
        weight[idle.get(name, [])] = 0
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return model


@pytest.mark.parametrize(
    ("idle", "sizes", "biases"),
    [
        pytest.param({"wa": [1]}, [3, 4, 4], 2, id="one-layer"),
        pytest.param({"wa": [1, 2], "wb": [0]}, [2, 3, 4], 3, id="several-sizes"),
        pytest.param({"wa": [0], "wb": [1], "wc": [2]}, [3, 3, 3], 1, id="one-size-for-all"),
    ],
)
def test_a_shared_bias_ties_no_layers(idle, sizes, biases):
    model = network(idle)
    findings = convaudit.lint(model)
    assert all(found.fixable for found in findings if found.rule == "CA101")
    smaller = convaudit.fix(model)
    stored = {tensor.name: tuple(tensor.dims) for tensor in smaller.graph.initializer}
    convolutions = [node for node in smaller.graph.node if node.op_type == "Conv"]
    assert [stored[node.input[1]][0] for node in convolutions] == [*sizes, 3]
    assert [stored[node.input[2]] for node in convolutions[:3]] == [(size,) for size in sizes]
    assert len({node.input[2] for node in convolutions[:3]}) == biases == len(stored) - len(SHAPES)


FEW_ROWS = """<ir_version: 8, opset_import: ["" : 17]>
net (float[1,1,2,2] x, bool k) => (float[1,1,2,2] y) <float[1] none = {0}> {
    %s
}"""


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        pytest.param(
            "a = Conv (x, w, z) b = Conv (a, u) c = Conv (b, w, z) y = Conv (c, u)", ["z"], id="large"
        ),
        pytest.param(
            "gone = Conv (x, w, z) a = Conv (x, w, z) b = Conv (a, u) c = Conv (b, w, z) y = Conv (c, u)",
            ["z"],
            id="first-reader-dropped",
        ),
        pytest.param(
            """a = Conv (x, w, z) b = Conv (a, u)
            y = If (k) <then_branch = t () => (float[1,1,2,2] o) { p = Conv (b, v, z) o = Conv (p, s) },
                        else_branch = e () => (float[1,1,2,2] q) { q = Identity (b) }>""",
            ["z", "z#2"],
            id="a-body-reads-it",
        ),
    ],
)
def test_what_stays_equal_is_stored_once_by_its_own_name(nodes, left):
    model = parser.parse_model(FEW_ROWS % nodes)
    generator = np.random.default_rng(0)
    shapes = {"w": (1100, 1, 1, 1), "v": (1100, 1, 1, 1), "u": (1, 1100, 1, 1), "s": (1, 1100, 1, 1)}
    for name, shape in shapes.items():
        weight = generator.standard_normal(shape).astype(np.float32)
        if name == "w":
            weight[:600] = 0
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1100, np.float32), "z"))
    smaller = convaudit.fix(model)
    assert [tensor.name for tensor in smaller.graph.initializer if tensor.name[0] == "z"] == left


def test_what_copies_add_is_told():
    fixed = made_smaller(network({"wa": [1, 2], "wb": [0]}), None, source_keywords={}, how={})
    assert [note for note in fixed.notes if "'zeros'" in note] == [
        "the readers of 'zeros' keep different parts: copies for them make 9 elements of 4, which the "
        "savings of the findings do not know of"
    ]


def test_vectors_stay_shared_where_copies_would_be_larger_than_what_goes():
    model = parser.parse_model(
        FEW_ROWS % "a = Conv (x, w, z) b = Conv (a, u) c = Conv (b, v, z) y = Conv (c, u)"
    )
    generator = np.random.default_rng(0)
    for name, shape in {"w": (64, 1, 1, 1), "v": (64, 1, 1, 1), "u": (1, 64, 1, 1)}.items():
        weight = generator.standard_normal(shape).astype(np.float32)
        if name == "w":
            weight[5] = 0
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(64, np.float32), "z"))
    (found,) = convaudit.lint(model)
    assert not found.fixable
    assert "stored once more, which is larger than what goes" in (found.reason or "")
    with pytest.raises(convaudit.UsageError, match="larger than what goes"):
        convaudit.fix(model)
