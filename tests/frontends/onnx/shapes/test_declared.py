"""What a file declares of its inner tensors: the last thing to believe, and named as what it is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from onnx import ModelProto, TensorProto, helper

from convaudit.shapes import as_text
from tests.frontends.onnx.models import model, only_layer, walk

W = "float[4,4,3,3] w = {" + ",".join(["0"] * 144) + "}"


def declaring(text: str, claims: Mapping[str, list[int | str]], **options: int) -> ModelProto:
    """A model whose file claims shapes of inner tensors."""
    source = model(text, **options)
    for name, shape in claims.items():
        source.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return source


def chain(operator: str, batch: int | str = 8) -> str:
    return f"g (float[{batch},4,8,8] x) => (float[n,c,h,l] y) <{W}> {{ t = {operator} y = Conv(t, w) }}"


STALE = [
    pytest.param("com.microsoft.FusedConv<pads = [1, 1, 1, 1]>(x, w)", id="FusedConv"),
    pytest.param("com.microsoft.QuickGelu(x)", id="QuickGelu"),
    pytest.param("com.microsoft.Gelu(x)", id="Gelu"),
    pytest.param("Relu(x)", id="standard"),
]


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("operator", STALE)
def test_stale_claim_never_wins(operator: str, batch: int | str) -> None:
    layer = walk(declaring(chain(operator), {"t": [batch, 4, 8, 8]})).layers[-1]
    assert layer.input_shape == (8, 4, 8, 8)
    assert "declared" not in layer.shapes_from


@pytest.mark.parametrize(
    ("claim", "shape"),
    [
        pytest.param(["N", 4, 16, 16], "Nx4x16x16", id="named"),
        pytest.param(["2*N", 4, 16, 16], "(2*N)x4x16x16", id="formula"),
        pytest.param([1, 4, 16, 16], "1x4x16x16", id="integers"),
        pytest.param(["u0", 4, 16, 16], "?x4x16x16", id="name-that-no-input-has"),
        pytest.param([-3, 4, 16, 16], "?x4x16x16", id="negative"),
    ],
)
def test_claim_serves_where_nothing_else_is_known(claim: list[int | str], shape: str) -> None:
    network = walk(declaring(chain("custom.Foo(x)", batch="N"), {"t": claim}))
    (layer,) = network.layers
    assert as_text(layer.input_shape) == shape
    assert "declared" in layer.shapes_from
    assert any("declares" in warning for warning in network.warnings)


def test_names_in_claims_mean_what_the_user_gave() -> None:
    source = declaring(chain("custom.Foo(x)", batch="N"), {"t": ["N", 4, 16, 16]})
    assert only_layer(source, dims={"N": 3}).output_shape == (3, 4, 14, 14)
    assert only_layer(source, input_shapes={"x": [5, 4, 8, 8]}).output_shape == (5, 4, 14, 14)


def test_claim_of_a_standard_operator() -> None:
    source = declaring(
        f"g (float[1,64] x, int64[4] s) => (float[n,c,h,l] y) <{W}> {{ t = Reshape(x, s) y = Conv(t, w) }}",
        {"t": [1, 4, 4, 4]},
    )
    layer = only_layer(source, allow_run=False)
    assert layer.output_shape == (1, 4, 2, 2)
    assert "declared" in layer.shapes_from


def test_inference_goes_on_from_a_claim() -> None:
    source = declaring(
        f"g (float[N,4,8,8] x) => (float[n,c,h,l] y) <{W}>"
        "{ t = custom.Foo(x) r = Relu(x) a = Concat<axis = 2>(r, t)"
        "  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a) y = Conv(p, w) }",
        {"t": ["N", 4, 16, 8]},
    )
    layer = only_layer(source)
    assert as_text(layer.input_shape) == "Nx4x12x4"
    assert "declared" in layer.shapes_from


def test_only_layers_that_hang_on_a_claim_are_marked() -> None:
    source = declaring(
        f"g (float[1,4,8,8] x) => (float[n,c,h,l] y) <{W}>"
        "{ a = Conv(x, w) t = custom.Foo(a) y = Conv(t, w) }",
        {"t": [1, 4, 16, 16], "a": [1, 4, 99, 99]},
    )
    first, second = walk(source).layers
    assert first.output_shape == (1, 4, 6, 6)
    assert "declared" not in first.shapes_from
    assert "declared" in second.shapes_from


def test_claims_of_other_ops_are_counted_and_named() -> None:
    source = declaring(
        "g (float[1,4] x) => (float[n,k] y) <float[4,5] m = {" + ",".join(["0"] * 20) + "}>"
        "{ t = custom.Foo(x) y = MatMul(t, m) }",
        {"t": [7, 4]},
    )
    network = walk(source)
    assert [other.macs for other in network.other_ops if other.op == "MatMul"] == [7 * 20]
    assert any("declares" in warning for warning in network.warnings)


def test_claim_inside_a_function() -> None:
    """Expanded, a function's body still finds what the main graph claims."""
    source = declaring(
        "g (float[1,4,8,8] x) => (float[n,c,h,l] y) <" + W + "> { t = local.F(x) y = Conv(t, w) }"
        '<domain: "local", opset_import: ["" : 21, "custom" : 1]> F (a) => (b) { b = custom.Foo(a) }',
        {"t": [1, 4, 6, 6]},
    )
    assert only_layer(source).output_shape == (1, 4, 4, 4)


def test_run_comes_before_claims() -> None:
    """onnxruntime knows the operator, inference does not: its sizes are true, the file's are stale."""
    source = declaring(
        f"g (float[2,4,8,8] x) => (float[n,c,h,l] y) <{W}>"
        "{ u = com.microsoft.UnfoldTensor<dim = 3, size = 4, step = 4>(x)"
        "  t = ReduceMax<axes = [4], keepdims = 0>(u) y = Conv<pads = [1, 1, 1, 1]>(t, w) }",
        {"t": [2, 4, 8, 9]},
        opset=13,
    )
    assert only_layer(source).input_shape == (2, 4, 8, 2)


STATE = f"""
g (float[8,4,8,8] x) => (float[n,c,h,l] y) <{W}, int64 three = {{3}}, bool yes = {{1}}> {{
    y = Loop (three, yes, x) <
        body = b (int64 i, bool go, float[1,4,8,8] s) => (bool again, float[1,4,8,8] t) {{
            again = Identity(go)
            t = Conv<pads = [1, 1, 1, 1]>(s, w)
        }}
    >
}}"""


@pytest.mark.parametrize("allow_run", [True, False])
def test_stale_claim_of_a_bodys_input_never_wins(*, allow_run: bool) -> None:
    """The batch was edited to 8 at the model's input only."""
    layer = only_layer(STATE, allow_run=allow_run)
    assert layer.input_shape == (8, 4, 8, 8)
