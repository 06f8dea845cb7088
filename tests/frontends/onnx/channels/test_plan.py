"""What stays of small graphs, which findings say so, and why the others cannot be fixed."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import anywhere_along
from convaudit.frontends.onnx.channels.plan import Plan, make_plan
from tests.frontends.onnx.models import walked
from tests.waste.generator import planted


def weight(name, *shape, zero=(), columns=()):
    """An initializer without zeros but in these filters and columns."""
    values = (np.arange(prod(shape)).reshape(shape) * 7 % 23 - 11.5) * 0.1
    values[list(zero)] = 0
    if columns:
        values[:, list(columns)] = 0
    texts = ", ".join(str(round(float(value), 3)) for value in values.ravel())
    return f"float[{','.join(map(str, shape))}] {name} = {{{texts}}}"


def plan_of(text: str, selected=None, **options) -> Plan:
    found = walked(text, **options)
    return make_plan(found, analyse(found), selected)


def gone(plan: Plan, sizes: dict[str, dict[int, int]]) -> dict[str, list[int]]:
    """Indices that go, by tensor, of the axes of these sizes."""
    kept = {name: axes for (_, name), axes in plan.kept.items()}
    return {
        name: sorted(set(range(size)) - set(map(int, kept.get(name, {}).get(axis, range(size)))))
        for name, axes in sizes.items()
        for axis, size in axes.items()
    }


def told(plan: Plan):
    return [(one.rule, one.layer, one.channels, one.reason) for one in plan.claims]


CHAIN = f"""m (float[1,3,8,8] x) => (float[1,4,6,6] y)
<{weight("w1", 6, 3, 1, 1, zero=[2])}, {weight("b1", 6)}, {weight("wd", 6, 1, 3, 3, zero=[4])},
 {weight("bd", 6)}, {weight("w2", 4, 6, 1, 1, columns=[5])}, {weight("b2", 4)}>
{{ a = Conv(x, w1, b1)
   r = Relu(a)
   d = Conv<group=6>(r, wd, bd)
   s = Sigmoid(d)
   y = Conv(s, w2, b2) }}"""


def test_filters_go_with_their_bias_their_depthwise_filters_and_the_columns_that_read_them():
    plan = plan_of(CHAIN)
    assert told(plan) == [
        ("CA101", "Conv_0", (2,), None),
        ("CA102", "Conv_0", (4, 5), None),
        ("CA101", "Conv_2", (2, 4), None),
        ("CA102", "Conv_2", (5,), None),
    ]
    sizes = {"w1": {0: 6}, "b1": {0: 6}, "wd": {0: 6}, "bd": {0: 6}, "w2": {1: 6}, "a": {1: 6}, "s": {1: 6}}
    assert gone(plan, sizes) == {name: [2, 4, 5] for name in sizes}
    regions = [[(one.layer, one.outputs, one.inputs) for one in claim.regions] for claim in plan.claims]
    assert regions == [
        [("Conv_0", (2,), None), ("Conv_4", None, (2,))],
        [("Conv_0", (4, 5), None), ("Conv_4", None, (4, 5))],
        [("Conv_2", (2, 4), None)],
        [("Conv_2", (5,), None)],
    ]


def test_only_what_is_selected_goes():
    plan = plan_of(CHAIN, {("CA102", "Conv_2", (5,))})
    assert gone(plan, {"w1": {0: 6}, "wd": {0: 6}}) == {"w1": [5], "wd": [5]}
    assert [claim.fixable for claim in plan.claims] == [False, False, False, True]


def between(body: str, *, zero=(2,), columns=(), out="float[1,4,8,8]", more="", kernel=1, ins=6) -> str:
    """A layer with zero filters, something, and a layer that reads it."""
    pads = f"<pads=[{', '.join([str(kernel // 2)] * 4)}]>"
    return f"""m (float[1,3,8,8] x) => ({out} y)
<{weight("w1", 6, 3, 1, 1, zero=zero)}, {weight("b1", 6)},
 {weight("w2", 4, ins, kernel, kernel, columns=columns)}{more}>
{{ a = Conv(x, w1, b1)
   {body}
   y = Conv{pads}(s, w2) }}"""


ONE, LAST = {"w1": {0: 6}}, {"w2": {1: 6}}
GOING = [
    pytest.param(between("s = Relu(a)"), {**ONE, **LAST}, [2], id="element-wise"),
    pytest.param(between("t = Relu(a)\n s = Add(a, t)"), {**ONE, **LAST}, [2], id="residual of itself"),
    pytest.param(
        between("s = BatchNormalization(a, g, g, g, v)", more=f", {weight('g', 6)}, {weight('v', 6)}"),
        {**ONE, "g": {0: 6}, "v": {0: 6}, **LAST},
        [2],
        id="batch norm",
    ),
    pytest.param(
        between("s = MaxPool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(a)"), {**ONE, **LAST}, [2], id="pool"
    ),
    pytest.param(
        between("s = Relu(a)").replace("float[1,3,8,8] x", "float[N,C,8,8] x"),
        {**ONE, **LAST},
        [2],
        id="an input of open channels",
    ),
    pytest.param(
        between("t = Transpose<perm=[0, 2, 3, 1]>(a)\n s = Transpose<perm=[0, 3, 1, 2]>(t)"),
        {**ONE, "t": {3: 6}, **LAST},
        [2],
        id="transposed and back",
    ),
    pytest.param(
        between("p = GlobalAveragePool(a)\n q = Sigmoid(p)\n s = Mul(a, q)"),
        {**ONE, "q": {1: 6}, **LAST},
        [2],
        id="squeeze-excite",
    ),
    pytest.param(
        between("s = PRelu(a, slope)", more=f", {weight('slope', 6, 1, 1)}"),
        {**ONE, "slope": {0: 6}, **LAST},
        [2],
        id="prelu",
    ),
]


@pytest.mark.parametrize(("text", "sizes", "expected"), GOING)
def test_a_constant_goes_through(text, sizes, expected):
    plan = plan_of(text)
    assert told(plan) == [("CA101", "Conv_0", (2,), None)]
    assert gone(plan, sizes) == dict.fromkeys(sizes, expected)


SHRUNK = [
    pytest.param(
        between("s = Concat<axis=1>(x, a)", ins=9), {"w1": {0: 6}, "w2": {1: 9}}, [[2], [5]], id="concat"
    ),
    pytest.param(
        between("s, t = Split<axis=1>(a, sizes)", ins=4, more=", int64[2] sizes = {4, 2}"),
        {"w1": {0: 6}, "s": {1: 4}, "t": {1: 2}, "w2": {1: 4}},
        [[2, 5], [2], [1], [2]],
        id="split of which a half is unread",
    ),
    pytest.param(
        between("s = Gather<axis=1>(a, order)", more=", int64[6] order = {5, 4, 3, 2, 1, 0}", zero=[1]),
        {**ONE, **LAST},
        [[1], [4]],
        id="gather",
    ),
    pytest.param(
        between(
            "p = Reshape(a, split)\n q = Transpose<perm=[0, 2, 1, 3, 4]>(p)\n s = Reshape(q, join)",
            more=", int64[5] split = {1, 2, 3, 8, 8}, int64[4] join = {1, 6, 8, 8}",
        ),
        {**ONE, **LAST},
        [[2], [4]],
        id="channel shuffle",
    ),
    pytest.param(
        between("s = Conv<group=2>(a, g)", more=f", {weight('g', 6, 3, 1, 1)}", zero=[0, 1, 2]),
        {**ONE, "g": {0: 6}, **LAST},
        [[0, 1, 2]] * 3,
        id="a whole group",
    ),
    pytest.param(
        between("s = Conv<group=2>(a, g)", more=f", {weight('g', 4, 3, 1, 1)}", zero=[1, 4], ins=4),
        {**ONE, "g": {1: 3}, "w2": {1: 4}},
        [[1, 4], [1], []],
        id="the same place of all groups",
    ),
    pytest.param(
        between(
            "s = Conv<group=2>(a, g)", more=f", {weight('g', 4, 3, 1, 1)}", columns=[0, 2], zero=(), ins=4
        ),
        {**ONE, "g": {0: 4}, "w2": {1: 4}},
        [[], [0, 2], [0, 2]],
        id="the same output of all groups",
    ),
    pytest.param(
        between("s = Conv<group=6>(a, g)", more=f", {weight('g', 12, 1, 1, 1)}", ins=12),
        {**ONE, "g": {0: 12}, "w2": {1: 12}},
        [[2], [4, 5], [4, 5]],
        id="depthwise with a multiplier",
    ),
]


@pytest.mark.parametrize(("text", "sizes", "expected"), SHRUNK)
def test_indices_are_followed(text, sizes, expected):
    assert gone(plan_of(text), sizes) == dict(zip(sizes, expected, strict=True))


def test_columns_of_a_matrix_product_go_with_the_channels_that_were_flattened():
    text = f"""m (float[1,3,2,2] x) => (float[1,4] y)
    <{weight("w1", 6, 3, 1, 1, zero=[2])}, {weight("w2", 24, 4)}>
    {{ a = Conv(x, w1)
       f = Flatten(a)
       y = Gemm(f, w2) }}"""
    assert gone(plan_of(text), {"w1": {0: 6}, "f": {1: 24}, "w2": {0: 24}}) == {
        "w1": [2],
        "f": [8, 9, 10, 11],
        "w2": [8, 9, 10, 11],
    }


STAYING = [
    pytest.param(
        f"""m (float[1,3,8,8] x) => (float[1,6,8,8] y) <{weight("w1", 6, 3, 1, 1, zero=[2])}>
        {{ y = Conv(x, w1) }}""",
        "output 'y' of the network has fixed sizes",
        id="an output",
    ),
    pytest.param(between("s = Softmax<axis=1>(a)"), "Softmax_1 needs it", id="an op that reads all channels"),
    pytest.param(
        between("s = Relu(a)", kernel=3),
        "Conv_2 pads with zeros, so a constant of 's' cannot be folded there",
        id="padding around a constant",
    ),
    pytest.param(
        between("s = Conv<group=2>(a, g)", more=f", {weight('g', 6, 3, 1, 1)}"),
        "the group sizes of Conv_1 would become uneven",
        id="one channel of a group",
    ),
    pytest.param(
        between("t, u = Split<axis=1>(a, halves)\n s = Add(t, u)", ins=3, more=", int64[2] halves = {3, 3}"),
        "Add_2 joins it with what is needed",
        id="a constant that is added to what is not one",
    ),
    pytest.param(
        between("t = custom.Mystery(a)\n s = ReduceMean<keepdims=1>(t, axes)", more=", int64[1] axes = {3}"),
        "Mystery_1 needs it",
        id="a tensor of unknown rank",
    ),
]


def test_messages_speak_of_one_or_of_several_and_of_the_bias_only_where_there_is_one():
    text = between("c = Conv(x, w3)\n s = Add(a, c)", more=f", {weight('w3', 6, 3, 1, 1, zero=[4, 5])}")
    assert [claim.message for claim in plan_of(text).claims] == [
        "1 of 6 filters is all zero: its output is the bias",
        "2 of 6 filters are all zero: their outputs are zero",
    ]


def test_each_reason_is_that_of_its_own_channels():
    """Of a sum some channels are constant: the others are not said to be."""
    more = f", {weight('w3', 6, 3, 1, 1, zero=[4])}"
    text = between("c = Conv(x, w3)\n s = Add(a, c)", zero=(2, 4), kernel=3, more=more)
    padded = "Conv_3 pads with zeros, so a constant of 's' cannot be folded there"
    assert told(plan_of(text)) == [
        ("CA101", "Conv_0", (2,), "Add_2 joins it with what is needed"),
        ("CA101", "Conv_0", (4,), padded),
        ("CA101", "Conv_1", (4,), padded),
    ]


@pytest.mark.parametrize(("text", "reason"), STAYING)
def test_what_cannot_go_says_why(text, reason):
    plan = plan_of(text)
    assert told(plan) == [("CA101", "Conv_0", (2,), reason)]
    assert not plan.kept


def test_a_dead_layer_keeps_one_channel():
    plan = plan_of(between("s = Relu(a)", columns=range(6), zero=()))
    assert gone(plan, {**ONE, **LAST}) == {"w1": [1, 2, 3, 4, 5], "w2": [1, 2, 3, 4, 5]}
    assert told(plan) == [
        ("CA102", "Conv_0", (0,), "one channel of the tensor must stay"),
        ("CA102", "Conv_0", (1, 2, 3, 4, 5), None),
        ("CA101", "Conv_2", (0, 1, 2, 3), "output 'y' of the network has fixed sizes"),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_takes_what_nobody_needs_and_what_its_findings_say(seed):
    found = walked(planted(seed, waste=2.0).model)
    facts = analyse(found)
    plan = make_plan(found, facts)
    for key, axes in plan.kept.items():
        for axis, kept in axes.items():
            assert len(kept) > 0
            assert (np.diff(kept) > 0).all()
            if key in facts.needed:
                size = found.inferred.shape(*key)[axis]
                assert set(np.flatnonzero(anywhere_along(facts.needed[key], axis, size))) <= set(kept)
    layers = {layer.name: layer for layer in found.network.layers}
    for claim in plan.claims:
        if claim.fixable and claim.rule in ("CA101", "CA102"):
            graphs = found.expanded.graphs
            address = found.addresses[claim.layer]
            (axes,) = [plan.kept[address[:-1], name] for name in graphs.node(address).output]
            assert not set(axes[1].tolist()) & set(claim.channels)
            assert max(claim.channels) < layers[claim.layer].out_channels


def test_a_layer_that_leads_nowhere_goes_as_a_whole():
    plan = plan_of(between("d = Conv(x, w1)\n e = Relu(d)\n s = Relu(a)", zero=()))
    assert told(plan) == [("CA102", "Conv_1", tuple(range(6)), None)]
    assert (plan.dropped, plan.kept) == ({"Conv_1"}, {})
