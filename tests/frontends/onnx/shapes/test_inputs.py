"""The model's inputs: fixed by the caller, or named so that formulas can be written in them."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper

from convaudit.analyzer import analyze
from convaudit.errors import ShapeError, UsageError
from convaudit.formulas import symbol
from convaudit.shapes import as_text
from tests.frontends.onnx.models import model, only_layer, walk

W = "float[4,3,3,3] w = {" + ",".join(["0"] * 108) + "}"


def conv(x: str = "N,3,H,W") -> ModelProto:
    return model(
        f"g (float[{x}] x) => (float[n,c,h,l] y) <{W}> {{ y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w) }}"
    )


TWO_INPUTS = f"""
g (float[N,3,H,H] x, float[N,4,8,8] z) => (float[n,c,h,l] y) <{W}> {{
    t = Conv<pads=[1,1,1,1]>(x, w)
    y = Add(t, z)
}}"""


def test_open_sizes_make_a_formula() -> None:
    network = walk(conv())
    assert [as_text(tensor.shape) for tensor in network.inputs] == ["Nx3xHxW"]
    (layer,) = network.layers
    assert as_text(layer.output_shape) == "Nx4x(ceil(H/2))x(ceil(W/2))"
    macs = analyze(network).totals.macs
    assert str(macs) == "108*N*ceil(H/2)*ceil(W/2)"


def test_open_batch_alone() -> None:
    network = walk(conv("batch,3,32,32"))
    assert network.layers[0].output_shape == (symbol("batch"), 4, 16, 16)
    assert network.warnings == ()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"input_shapes": {"x": (2, 3, 8, 10)}}, id="shape"),
        pytest.param({"input_shapes": {"": (2, 3, 8, 10)}}, id="shape-of-the-only-input"),
        pytest.param({"dims": {"N": 2, "H": 8, "W": 10}}, id="dims"),
        pytest.param({"input_shapes": {"x": (2, 3, 8, 10)}, "dims": {"H": 8}}, id="both-agree"),
    ],
)
def test_fixing(options: dict[str, Any]) -> None:
    network = walk(conv(), **options)
    assert network.inputs[0].shape == (2, 3, 8, 10)
    assert network.layers[0].output_shape == (2, 4, 4, 5)


def test_fixing_some() -> None:
    assert as_text(only_layer(conv(), dims={"H": 8}).output_shape) == "Nx4x4x(ceil(W/2))"


def test_a_name_means_one_size_everywhere() -> None:
    network = walk(TWO_INPUTS, input_shapes={"x": (5, 3, 8, 8)})
    assert [tensor.shape for tensor in network.inputs] == [(5, 3, 8, 8), (5, 4, 8, 8)]


WRONG = [
    pytest.param({"input_shapes": {"image": (1, 3, 8, 8)}}, r"no input is called 'image'", id="name"),
    pytest.param({"input_shapes": {"x": (1, 3, 8)}}, r"'x' has 4 dimensions, but 1x3x8 has 3", id="rank"),
    pytest.param(
        {"input_shapes": {"x": (1, 4, 8, 8)}},
        r"dimension 1 is fixed at 3 in the model, so 1x4x8x8",
        id="clash",
    ),
    pytest.param({"dims": {"batch": 1}}, r"no dimension is called 'batch'", id="dim-name"),
    pytest.param({"input_shapes": {"x": "1x3x8x8:int64"}}, r"input 'x' is float32, not int64", id="dtype"),
    pytest.param(
        {"dims": {"N": 2}, "input_shapes": {"x": (1, 3, 8, 8)}},
        r"'N' cannot be both 2 and 1",
        id="contradiction",
    ),
]


@pytest.mark.parametrize(("options", "match"), WRONG)
def test_wrong(options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        walk(conv(), **options)
    assert "the model's inputs are x (Nx3xHxW)" in str(caught.value)


WRONG_OF_TWO = [
    pytest.param({"input_shapes": {"": (1, 3, 8, 8)}}, r"needs a model with one input", id="no-name"),
    pytest.param({"input_shapes": {"x": (1, 3, 8, 9)}}, r"'H' cannot be both 8 and 9", id="square"),
    pytest.param(
        {"input_shapes": {"x": (1, 3, 8, 8), "z": (2, 4, 8, 8)}}, r"'N' cannot be both 1 and 2", id="batch"
    ),
]


@pytest.mark.parametrize(("options", "match"), WRONG_OF_TWO)
def test_wrong_of_two(options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        walk(TWO_INPUTS, **options)
    assert "x (Nx3xHxH), z (Nx4x8x8)" in str(caught.value)


def anonymous(name: str | None) -> ModelProto:
    """A convolution with a batch and a height that have no name, or one that means nothing."""
    source = conv("1,3,1,9")
    for axis in (0, 2):
        dim = source.graph.input[0].type.tensor_type.shape.dim[axis]
        dim.Clear()
        if name is not None:
            dim.dim_param = name
    return source


@pytest.mark.parametrize("name", [None, "", "?", "None", "-1", "-7"])
def test_anonymous_sizes_get_readable_names(name: str | None) -> None:
    network = walk(anonymous(name))
    assert as_text(network.inputs[0].shape) == "x_dim0x3xx_dim2x9"
    assert as_text(network.layers[0].output_shape) == "x_dim0x4x(ceil(x_dim2/2))x5"


def test_anonymous_sizes_can_be_fixed() -> None:
    assert only_layer(anonymous(None), dims={"x_dim0": 2, "x_dim2": 8}).output_shape == (2, 4, 4, 5)
    assert only_layer(anonymous(None), input_shapes={"x": (2, 3, 8, 9)}).output_shape == (2, 4, 4, 5)


# names that a computer algebra system, or a parser, would take for something else
NAMES = ["E", "I", "N", "S", "zoo", "lambda", "floor", "height in pixels", "p2o.Dynamic.0", "unk__0", "a-b"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_only_a_name(name: str) -> None:
    source = conv("1,3,8,1")
    source.graph.input[0].type.tensor_type.shape.dim[3].dim_param = name
    layer = only_layer(source, dims={})
    assert layer.output_shape is not None
    assert layer.output_shape[:3] == (1, 4, 4)
    width = layer.output_shape[3]
    # "a-b" is arithmetic of two sizes; all others are one name
    sizes = {"a": 14, "b": 5} if name == "a-b" else {name: 9}
    assert width.substitute(sizes) == 5  # type: ignore[union-attr]


def test_expression_as_a_size() -> None:
    source = conv("N,3,8,1")
    source.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "2*W"
    assert as_text(only_layer(source).output_shape) == "Nx4x4xW"
    assert only_layer(source, dims={"N": 1, "W": 4}).output_shape == (1, 4, 4, 4)
    with pytest.raises(UsageError, match="dimension 3 is fixed at 8"):
        walk(source, dims={"W": 4}, input_shapes={"x": (1, 3, 8, 9)})


def test_expression_that_turns_negative() -> None:
    source = conv("N,3,8,1")
    source.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "W - 9"
    with pytest.raises(UsageError, match=r"input 'x' cannot be Nx3x8x-5"):
        walk(source, dims={"W": 4})


def test_given_shape_beyond_any_memory() -> None:
    with pytest.raises(ShapeError, match=r"no memory holds a tensor of 1x3x4294967296x4294967296"):
        walk(conv(), input_shapes={"x": (1, 3, 2**32, 2**32)})


def test_input_without_a_shape() -> None:
    source = conv("1,3,8,8")
    source.graph.input[0].type.tensor_type.ClearField("shape")
    network = walk(source)
    assert network.inputs[0].shape is None
    assert network.layers[0].input_shape is None
    assert network.layers[0].weight_shape == (4, 3, 3, 3)
    assert only_layer(source, input_shapes={"x": (1, 3, 8, 8)}).output_shape == (1, 4, 4, 4)


def test_sequence_input() -> None:
    source = conv("1,3,8,8")
    source.graph.input.append(helper.make_tensor_sequence_value_info("s", 1, None))
    network = walk(source)
    assert (network.inputs[1].name, network.inputs[1].shape, network.inputs[1].dtype) == (
        "s",
        None,
        "sequence_type",
    )


def test_stale_claims_about_inner_tensors_do_not_win() -> None:
    # somebody has set the batch at the input only
    source = conv("5,3,8,8")
    source.graph.node.insert(0, helper.make_node("Relu", ["x"], ["r"]))
    source.graph.node[1].input[0] = "r"
    source.graph.value_info.append(helper.make_tensor_value_info("r", 1, [1, 3, 8, 8]))
    source.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(1, [1, 4, 4, 4]))
    assert only_layer(source).input_shape == (5, 3, 8, 8)


TILED = f"""
g (float[1,3,8,8] x, int64 n, bool flag, int64[1] lengths) => (float[n,c,h,l] y) <{W}> {{
    front = Constant<value_ints = [1, 1]>()
    width = Constant<value_ints = [1]>()
    zero = Constant<value_ints = [0]>()
    axis = Unsqueeze(n, zero)
    repeats = Concat<axis=0>(front, axis, width)
    t = Tile(x, repeats)
    y = Conv<pads=[1,1,1,1]>(t, w)
}}"""


@pytest.mark.parametrize(
    ("given", "value"),
    [
        pytest.param("3", 3, id="number"),
        pytest.param("value:3", 3, id="value"),
        pytest.param("3:int64", 3, id="typed"),
        pytest.param(3, 3, id="integer"),
    ],
)
def test_the_value_of_a_scalar_reaches_the_run_for_shapes(given: Any, value: int) -> None:
    network = walk(model(TILED), input_shapes={"n": given})
    assert network.layers[0].input_shape == (1, 3, 8 * value, 8)
    assert [(tensor.name, tensor.shape, tensor.value) for tensor in network.inputs][1:3] == [
        ("n", (), value),
        ("flag", (), None),
    ]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        pytest.param("flag", "true", ((), True), id="bool"),
        pytest.param("n", "-5", ((), -5), id="negative"),
        pytest.param("lengths", "1", ((1,), None), id="a-size-of-one-axis"),
        pytest.param("lengths", "value:7", ((1,), 7), id="every-element"),
    ],
)
def test_values_and_sizes(name: str, given: str, expected: object) -> None:
    network = walk(model(TILED), input_shapes={name: given}, allow_run=False)
    (tensor,) = (tensor for tensor in network.inputs if tensor.name == name)
    assert (tensor.shape, tensor.value) == expected


NO_VALUES = [
    pytest.param({"n": "0.5"}, r"input 'n' is int64, which cannot be 0.5; give it with --data", id="real"),
    pytest.param({"n": "value:5:int32"}, r"input 'n' is int64, not int32", id="type"),
    pytest.param({"x": "16000"}, r"'x' has 4 dimensions, but 16000 has 1", id="size"),
    pytest.param({"n": "1x2"}, r"'n' has 0 dimensions, but 1x2 has 2", id="shape"),
    pytest.param({"lengths": "16"}, r"dimension 0 is fixed at 1 in the model, so 16", id="other-size"),
]


@pytest.mark.parametrize(("given", "match"), NO_VALUES)
def test_a_value_or_type_that_the_input_does_not_have(given: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        walk(model(TILED), input_shapes=given)


def test_without_a_known_rank_a_number_is_refused_with_both_ways_to_write_it() -> None:
    proto = conv()
    proto.graph.input.append(helper.make_tensor_value_info("sr", TensorProto.INT64, None))
    with pytest.raises(UsageError, match=r"write sr=shape:16000 or sr=value:16000$"):
        walk(proto, input_shapes={"sr": "16000"})
    scalar, vector = (walk(proto, input_shapes={"sr": f"{kind}:16000"}) for kind in ("value", "shape"))
    assert [(n.inputs[1].shape, n.inputs[1].value) for n in (scalar, vector)] == [
        ((), 16000),
        ((16000,), None),
    ]
