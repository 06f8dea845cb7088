"""Control flow and local functions: where a convolution sits, how often it runs, whose tensors it uses."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

from convaudit.analyzer import analyze
from convaudit.errors import ModelError
from convaudit.formulas import Count, symbol
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import Branch, ConvLayer
from tests.frontends.onnx.models import model, only_layer, places, walk, walked

W = "float[4,2,3] w = {" + ",".join(["0"] * 24) + "}"
V = "float[2,2,3] w = {" + ",".join(["0"] * 12) + "}"

BRANCHES = f"""
g (bool c, float[1,2,9] x) => (float[n,k,l] y) <{W}> {{
    r = Relu(x)
    y = If (c) <
        then_branch = a () => (float[n,k,l] p) {{ [first] p = Conv(r, w) }},
        else_branch = b () => (float[n,k,l] q) {{ t = Conv<strides=[2]>(r, w) u = Conv(t, e)  q = Relu(u) }}
    >
}}"""


def branches() -> ModelProto:
    source = model(BRANCHES)
    for attribute in source.graph.node[1].attribute:
        if attribute.name == "else_branch":
            attribute.g.initializer.append(helper.make_tensor("e", 1, [4, 4, 1], [0.0] * 16))
    return source


def test_if() -> None:
    found = walked(branches())
    network = found.network
    first, second, third = network.layers
    assert [layer.name for layer in network.layers] == ["first", "Conv_0", "Conv_1"]
    assert first.branches == (Branch(choice="If_1", arm="then_branch"),)
    assert second.branches == third.branches == (Branch(choice="If_1", arm="else_branch"),)
    assert [layer.scope for layer in network.layers] == [
        "If_1/then_branch",
        "If_1/else_branch",
        "If_1/else_branch",
    ]
    assert places(found) == [
        (1, "then_branch", 0),
        (1, "else_branch", 0),
        (1, "else_branch", 1),
    ]
    # the outer graph's weight is one tensor for both branches; the inner one's name says where it is
    assert [layer.weight_name for layer in network.layers] == ["w", "w", "If_1/else_branch/e"]
    assert [layer.output_shape for layer in network.layers] == [(1, 4, 7), (1, 4, 4), (1, 4, 4)]
    # 4*2*3 weights at 7 positions; or at 4, and 16 at 4
    assert analyze(network).totals.macs == max(24 * 7, 24 * 4 + 16 * 4)
    assert network.model_params == 24 + 16


def test_arms_have_the_same_order_in_any_file() -> None:
    source = branches()
    node = source.graph.node[1]
    swapped = [node.attribute[1], node.attribute[0]]
    reordered = ModelProto()
    reordered.CopyFrom(source)
    del reordered.graph.node[1].attribute[:]
    reordered.graph.node[1].attribute.extend(swapped)
    assert walk(reordered).layers == walk(source).layers


def test_nested_if() -> None:
    found = walked(f"""
    g (bool c, float[1,2,9] x) => (float[n,k,l] y) <{W}> {{
        y = If (c) <
            then_branch = a () => (float[n,k,l] p) {{
                [inner] p = If (c) <
                    then_branch = d () => (float[n,k,l] s) {{ s = Conv(x, w) }},
                    else_branch = e () => (float[n,k,l] t) {{ t = Relu(x) }}
                >
            }},
            else_branch = b () => (float[n,k,l] q) {{ q = Relu(x) }}
        >
    }}""")
    (layer,) = found.network.layers
    assert layer.branches == (
        Branch(choice="If_0", arm="then_branch"),
        Branch(choice="If_0/then_branch/inner", arm="then_branch"),
    )
    assert places(found) == [(0, "then_branch", 0, "then_branch", 0)]
    assert layer.scope == "If_0/then_branch/inner/then_branch"


def loop(count: str, condition: str, body_condition: str, stored: str = "") -> str:
    return f"""
    g (float[1,2,9] x, int64 m, bool c) => (float[i,n,k,l] y) <{W}{stored}> {{
        y = Loop ({count}, {condition}) <
            body = b (int64 i, bool go) => (bool again, float[n,k,l] p) {{
                again = {body_condition}
                p = Conv(x, w)
            }}
        >
    }}"""


FIVE = ", int64 five = {5}, bool yes = {1}, bool no = {0}"

LOOPS = [
    pytest.param(loop("five", "yes", "Identity(go)", FIVE), 5, id="constant"),
    pytest.param(loop("five", '""', "Identity(go)", FIVE), 5, id="no-condition"),
    pytest.param(loop("five", "yes", "Identity(yes)", FIVE), 5, id="outer-constant"),
    pytest.param(loop("five", "yes", "Constant<value = bool {1}>()", FIVE), 5, id="inner-constant"),
    pytest.param(loop("m", "yes", "Identity(go)", FIVE), None, id="count-is-data"),
    pytest.param(loop("five", "c", "Identity(go)", FIVE), None, id="condition-is-data"),
    pytest.param(loop("five", "yes", "Not(go)", FIVE), None, id="condition-is-computed"),
    pytest.param(loop("five", "yes", "Identity(no)", FIVE), None, id="ends-early"),
    pytest.param(loop('""', "yes", "Identity(go)", FIVE), None, id="no-count"),
]


@pytest.mark.parametrize(("text", "calls"), LOOPS)
def test_loop(text: str, calls: int | None) -> None:
    found = walked(text)
    (layer,) = found.network.layers
    assert layer.calls == calls
    assert layer.output_shape == (1, 4, 7)
    assert places(found) == [(0, "body", 1)]


def test_negative_count_never_runs() -> None:
    assert only_layer(loop("five", "yes", "Identity(go)", FIVE.replace("{5}", "{-5}"))).calls == 0


def test_other_ops_of_an_endless_loop_are_unknown() -> None:
    network = walk(
        loop("m", "yes", "Identity(go)", FIVE)
        .replace("Conv(x, w)", "MatMul(x, k)")
        .replace(W, "float[9,3] k = {" + ",".join(["0"] * 27) + "}")
    )
    (other,) = network.other_ops
    assert (other.op, other.macs, other.reason) == ("MatMul", None, "in a loop of unknown length")


def test_loop_carried_weight_is_dynamic() -> None:
    layer = only_layer(f"""
    g (float[1,2,9] x) => (float[n,k,l] y) <{W}, int64 five = {{5}}> {{
        y = Loop (five, "", w) <
            body = b (int64 i, bool go, float[4,2,3] v) => (bool again, float[4,2,3] v2) {{
                again = Identity(go)
                p = Conv(x, v)
                v2 = Relu(v)
            }}
        >
    }}""")
    assert layer.weight_name is None
    assert layer.weight_shape == (4, 2, 3)
    assert layer.calls == 5


SCANS = [
    pytest.param("7,2,9", "", 7, id="first-axis"),
    pytest.param("T,2,9", "", symbol("T"), id="open-length"),
    pytest.param("2,6,9", "scan_input_axes = [1],", 6, id="other-axis"),
    pytest.param("2,9,5", "scan_input_axes = [-1],", 5, id="last-axis"),
]


@pytest.mark.parametrize(("x", "axes", "calls"), SCANS)
def test_scan(x: str, axes: str, calls: Count) -> None:
    layer = only_layer(f"""
    g (float[{x}] x) => (float[t,n,k,l] y) <{W}, int64[1] zero = {{0}}> {{
        y = Scan (x) <
            num_scan_inputs = 1, {axes}
            body = b (float[2,9] s) => (float[n,k,l] p) {{ u = Unsqueeze(s, zero) p = Conv(u, w) }}
        >
    }}""")
    assert layer.calls == calls
    assert layer.input_shape == (1, 2, 9)


def test_scan_of_opset_8_has_an_unknown_length() -> None:
    source = model(
        f"""
    g (float[3,7,2,9] x) => (float[t,n,k,l] y) <{W}> {{
        y = Scan ("", x) <
            num_scan_inputs = 1,
            body = b (float[2,9] s) => (float[n,k,l] p) {{ u = Unsqueeze<axes=[0]>(s) p = Conv(u, w) }}
        >
    }}""",
        opset=8,
    )
    assert only_layer(source).calls is None


def test_nested_loops_multiply() -> None:
    inner = """
        body = d (int64 j, bool on) => (bool more, float[n,k,l] s) { more = Identity(on) s = Conv(x, w) }"""
    layer = only_layer(f"""
    g (float[1,2,9] x) => (float[i,j,n,k,l] y) <{W}, int64 five = {{5}}, int64 three = {{3}}> {{
        y = Loop (five, "") <
            body = b (int64 i, bool go) => (bool again, float[j,n,k,l] p) {{
                again = Identity(go)
                p = Loop (three, "") <{inner}>
            }}
        >
    }}""")
    assert layer.calls == 15


def test_branches_of_nodes_with_one_name_do_not_mix() -> None:
    arms = """<
            then_branch = a () => (float[n,k,l] p) { p = Conv(x, w) },
            else_branch = b () => (float[n,k,l] q) { q = Relu(x) }
        >"""
    network = walk(f"""
    g (bool c, float[1,2,9] x) => (float[n,k,l] y, float[n,k,l] z) <{W}> {{
        [choose] y = If (c) {arms}
        [choose] z = If (c) {arms}
    }}""")
    assert [layer.branches[0].choice for layer in network.layers] == ["choose", "choose#2"]
    assert analyze(network).totals.macs == 2 * 24 * 7


# --- local functions ------------------------------------------------------------------------------------

BLOCK = """
<domain: "local", opset_import: ["" : 21]>
block <s> (x, w) => (y) { [conv] t = Conv<strides: ints = @s, pads = [1, 1]>(x, w) y = Relu(t) }
"""


def test_function_is_expanded_at_every_call() -> None:
    found = walked(f"""
    g (float[1,2,9] x) => (float[n,k,l] z) <{V}> {{
        [one] y = local.block<s = [2]>(x, w)
        z = local.block<s = [1]>(y, w)
    }}
    {BLOCK}""")
    network = found.network
    first, second = network.layers
    assert [layer.name for layer in network.layers] == ["one/conv", "block_1/conv"]
    assert [layer.scope for layer in network.layers] == ["one", "block_1"]
    assert places(found) == [(0, "function", 0), (1, "function", 0)]
    assert [layer.stride for layer in network.layers] == [(2,), (1,)]
    assert [layer.output_shape for layer in network.layers] == [(1, 2, 5), (1, 2, 5)]
    assert first.weight_name == second.weight_name == "w"
    assert network.uncounted_ops == (("Relu", 2),)
    assert network.model_params == 12


def calling(call: str, function: str, stored: str = V) -> Walked:
    return walked(
        f"g (float[1,2,9] x) => (float[n,k,l] y) <{stored}> {{ {call} }}"
        f' <domain: "local", opset_import: ["" : 21]> {function}'
    )


def function_layers(call: str, function: str, stored: str = V) -> tuple[ConvLayer, ...]:
    return calling(call, function, stored).network.layers


def test_attribute_left_out_is_absent() -> None:
    (layer,) = function_layers(
        "y = local.f(x, w)", "f <s> (x, w) => (y) { y = Conv<strides: ints = @s>(x, w) }"
    )
    assert layer.stride == (1,)


OTHER_OPSET = [
    pytest.param("t = Squeeze<axes = [2]>(x)", 11, 21, "Squeeze", id="attribute-gone"),
    pytest.param(
        "s = Constant<value = int64[1] {2}>() t = Squeeze(x, s)", 13, 11, "Squeeze", id="operand-new"
    ),
    pytest.param(
        "s = Constant<value_floats = [1.0,1.0,1.0,2.0,2.0]>() u = Resize(x, s) t = Squeeze(u)",
        10,
        13,
        "Resize",
        id="operand-moved",
    ),
]


@pytest.mark.parametrize(("nodes", "opset", "of_model", "op"), OTHER_OPSET)
def test_function_of_another_opset_whose_operators_differ_is_refused(
    nodes: str, opset: int, of_model: int, op: str
) -> None:
    source = f"""g (float[1,2,1,9,9] x) => (float[n,k,h,l] y) <float[2,2,1,1] w = {{0,0,0,0}}> {{
            y = local.f(x, w)
        }}
        <domain: "local", opset_import: ["" : {opset}]> f (x, w) => (y) {{ {nodes} y = Conv(t, w) }}"""
    with pytest.raises(ModelError, match=f"local.f.* {op} of opset {opset} .* opset {of_model}"):
        walk(source, opset=of_model)


def test_function_of_another_opset_whose_operators_are_the_same_is_expanded() -> None:
    source = f"""g (float[1,2,9] x) => (float[n,k,l] y) <{V}> {{ y = local.f(x, w) }}
        <domain: "local", opset_import: ["" : 9]> f (x, w) => (y) {{
            t = MaxPool<kernel_shape = [2]>(x) y = Conv(t, w)
        }}"""
    assert only_layer(source).output_shape == (1, 2, 6)


def test_attribute_default() -> None:
    (layer,) = function_layers(
        "y = local.f(x, w)",
        "f <group: int = 2> (x, w) => (y) { y = Conv<group: int = @group>(x, w) }",
        V.replace("2,2,3", "4,1,3"),
    )
    assert layer.groups == 2


def test_operand_left_out_is_absent() -> None:
    (layer,) = function_layers("y = local.f(x, w)", "f (x, w, b) => (y) { y = Conv(x, w, b) }")
    assert not layer.bias


def test_constant_of_a_function_is_one_tensor() -> None:
    zeros = "{" + ",".join(["0"] * 12) + "}"
    layers = function_layers(
        "t = local.f(x) y = local.f(t)",
        f"f (x) => (y) {{ w = Constant<value = float[2,2,3] {zeros}>() y = Conv(x, w) }}",
    )
    assert [layer.weight_name for layer in layers] == ["local.f/w"] * 2


def test_functions_in_functions() -> None:
    found = calling(
        "y = local.outer(x, w)",
        "outer (x, w) => (y) { t = local.inner(x, w) y = local.inner(t, w) }"
        ' <domain: "local", opset_import: ["" : 21]> inner (x, w) => (y) { y = Conv(x, w) }',
    )
    layers = found.network.layers
    assert [layer.name for layer in layers] == ["outer_0/inner_0/Conv_0", "outer_0/inner_1/Conv_0"]
    assert places(found) == [
        (0, "function", 0, "function", 0),
        (0, "function", 1, "function", 0),
    ]
    assert [layer.output_shape for layer in layers] == [(1, 2, 7), (1, 2, 5)]


def test_names_of_caller_and_function_do_not_mix() -> None:
    # the body's own "t" and "w" have nothing to do with the caller's
    layers = function_layers(
        "t = Relu(x) y = local.f(t, w)", "f (w, t) => (y) { x = Conv(w, t) y = Identity(x) }"
    )
    assert layers[0].input_shape == (1, 2, 9)
    assert layers[0].weight_name == "w"


def test_function_that_hands_an_input_out() -> None:
    layers = function_layers("a, b = local.f(x, w) y = Conv(a, b)", "f (x, w) => (x, w) { }")
    assert layers[0].weight_name == "w"
    assert layers[0].output_shape == (1, 2, 7)


def test_branch_in_a_function() -> None:
    found = calling(
        "s = Size(x) c = Cast<to = 9>(s) y = local.f(x, w, c)",
        """f (x, w, c) => (y) {
            y = If (c) <
                then_branch = a () => (float[n,k,l] p) { p = Conv(x, w) },
                else_branch = b () => (float[n,k,l] q) { q = Relu(x) }
            >
        }""",
    )
    (layer,) = found.network.layers
    assert layer.weight_name == "w"
    assert layer.input_shape == (1, 2, 9)
    assert layer.branches == (Branch(choice="f_2/If_0", arm="then_branch"),)
    assert places(found) == [(2, "function", 0, "then_branch", 0)]


def test_function_called_in_a_branch() -> None:
    found = walked(f"""
    g (bool c, float[1,2,9] x) => (float[n,k,l] y) <{V}> {{
        y = If (c) <
            then_branch = a () => (float[n,k,l] p) {{ p = local.block<s = [2]>(x, w) }},
            else_branch = b () => (float[n,k,l] q) {{ q = Relu(x) }}
        >
    }}
    {BLOCK}""")
    (layer,) = found.network.layers
    assert layer.name == "If_0/then_branch/block_0/conv"
    assert places(found) == [(0, "then_branch", 0, "function", 0)]
    assert layer.output_shape == (1, 2, 5)


def test_function_of_a_standard_op_wins() -> None:
    network = walk(f"""
    g (float[1,2,9] x) => (float[n,k,l] y) <{V}> {{ y = Relu(x) }}
    <domain: "", opset_import: ["" : 21]> Relu (x) => (y) {{ y = Sigmoid(x) }}""")
    assert network.uncounted_ops == (("Sigmoid", 1),)


# --- names ----------------------------------------------------------------------------------------------


def test_names_are_unique_and_stable() -> None:
    text = f"""
    g (bool c, float[1,2,9] x) => (float[n,k,l] y) <{V}> {{
        [same] a = Conv(x, w)
        [same] b = Conv(a, w)
        d = Conv(b, w)
        y = If (c) <
            then_branch = t () => (float[n,k,l] p) {{ [same] p = Conv(d, w) }},
            else_branch = e () => (float[n,k,l] q) {{ [Conv_2] q = Conv(d, w) }}
        >
    }}"""
    names = [layer.name for layer in walk(text).layers]
    assert names == ["same", "same#2", "Conv_2", "If_3/then_branch/same", "If_3/else_branch/Conv_2"]
    assert walk(text) == walk(text)


CONSTANT_IF = """
g (float[1,2,9] x, bool[1] c) => (float[n,k,l] y) <{W}, bool yes = {{{value}}}> {{
    y = If ({condition}) <
        then_branch = a () => (float[n,k,l] p) {{ [small] p = Conv<strides=[3]>(x, w) }},
        else_branch = b () => (float[n,k,l] q) {{ [large] q = Conv(x, w) r = Gemm(m, m) }}
    >
}}"""


@pytest.mark.parametrize(
    ("condition", "value", "calls", "macs"),
    [
        pytest.param("yes", 1, {"small": 1, "large": 0}, 24 * 3, id="then"),
        pytest.param("yes", 0, {"small": 0, "large": 1}, 24 * 7, id="else"),
        pytest.param("c", 0, {"small": 1, "large": 1}, 24 * 7, id="open"),
    ],
)
def test_only_the_arm_that_a_constant_condition_chooses_is_counted(
    condition: str, value: int, calls: dict[str, int], macs: int
) -> None:
    source = model(CONSTANT_IF.format(W=W, value=value, condition=condition))
    source.graph.initializer.append(helper.make_tensor("m", 1, [1, 1], [0.0]))
    network = walk(source)
    assert {layer.name: layer.calls for layer in network.layers} == calls
    assert analyze(network).totals.macs == macs
    assert analyze(network).totals.model_macs == macs + (value == 0)
    never = {layer.name for layer in network.layers if any("never runs" in note for note in layer.notes)}
    assert never == {name for name, number in calls.items() if number == 0}
    assert bool(network.layers[0].branches) == (condition == "c")
    assert network.model_params == 24 + 1


def chosen_weight(then_branch: str, else_branch: str) -> ModelProto:
    return model(f"""
    g (bool[1] c, float[1,2,9] x) => (float[n,k,l] y) <{W}, float[4,2,3] v = {{{",".join(["0"] * 24)}}}> {{
        chosen = If (c) <
            then_branch = a () => (float[n,k,l] p) {{ {then_branch} }},
            else_branch = b () => (float[n,k,l] q) {{ {else_branch} }}
        >
        turned = Identity(chosen)
        y = Conv(x, turned)
    }}""")


CHOSEN = [
    pytest.param("p = Identity(w)", "q = Identity(v)", 48, id="two"),
    pytest.param("p = Identity(w)", "r = Identity(w) q = Identity(r)", 24, id="one-and-the-same"),
    pytest.param("p = Identity(w)", "q = Relu(v)", 48, id="one-calculated"),
    pytest.param(
        "p = If (c) < then_branch = d () => (float[n,k,l] s) { s = Identity(w) },"
        " else_branch = e () => (float[n,k,l] t) { t = Identity(v) } >",
        "q = Identity(w)",
        48,
        id="nested",
    ),
]


@pytest.mark.parametrize(("then_branch", "else_branch", "params"), CHOSEN)
def test_weights_that_an_if_chooses_are_parameters(then_branch: str, else_branch: str, params: int) -> None:
    network = walk(chosen_weight(then_branch, else_branch))
    assert network.model_params == params
    assert network.layers[0].weight_shape == (4, 2, 3)


def test_chosen_weights_that_are_stored_in_the_arms() -> None:
    source = chosen_weight("p = Identity(w)", "q = Identity(v)")
    for attribute in source.graph.node[0].attribute:
        del attribute.g.node[:]
        weight = helper.make_tensor(attribute.g.output[0].name, 1, [4, 2, 3], [0.0] * 24)
        attribute.g.initializer.append(weight)
    assert walk(source, allow_run=False).model_params == 48


def test_weight_that_makes_itself_does_not_hang() -> None:
    source = chosen_weight("p = Identity(chosen)", "q = Identity(chosen)")
    assert walk(source, allow_run=False).model_params == 0


@pytest.mark.parametrize(
    ("node", "what"),
    [
        pytest.param(
            "y = Conv(x, nowhere)", "its weight 'nowhere' is not defined: no init.*export", id="weight"
        ),
        pytest.param("y = Conv(x, w, nowhere)", "its bias 'nowhere' is not defined", id="bias"),
        pytest.param("y = Conv(nowhere, w)", "nothing defines its input 'nowhere'", id="input"),
        pytest.param("y = Gemm(x, nowhere)", "nothing defines its input 'nowhere'", id="another-op"),
        pytest.param(
            "t = Identity(nowhere) y = Conv(x, t)", "nothing defines its input 'nowhere'", id="behind-another"
        ),
    ],
)
def test_undefined_operands_are_refused(node: str, what: str) -> None:
    with pytest.raises(ModelError, match=what):
        walk(f"g (float[1,2,9] x) => (float[n,k,l] y) <{W}> {{ {node} }}")
