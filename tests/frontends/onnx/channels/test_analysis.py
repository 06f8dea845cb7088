"""The channel analysis: what is constant, read and needed in small graphs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from onnx import numpy_helper

from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.compressed import squeezed_known
from convaudit.frontends.onnx.channels.facts import KnownElements
from tests.frontends.onnx.channels.facts import facts_of, known, wanted
from tests.frontends.onnx.models import model, walked

IDLE = "float[3,2,1,1] w = {0,0, 1,2, 3,4}, float[3] b = {5,-6,7}"
"""A 1x1 convolution whose first filter is all zero, with bias 5."""
SKIPS = "float[1,3,1,1] v = {1,0,1}"
"""One that does not read its second input."""
A = "a = Conv(x, w, b)"


def graph(nodes: str, stored: str = "", given: str = "float[1,2,4,4] x", outputs: str = "float y") -> str:
    """A graph behind ``IDLE``."""
    return f"g ({given}) => ({outputs}) <{IDLE}{', ' * bool(stored)}{stored}> {{ {nodes} }}"


KNOWN = [
    pytest.param("y = Conv(x, w, b)", "", [5, None, None], id="bias"),
    pytest.param("a = Conv(x, w) y = Relu(a)", "", [0, None, None], id="no-bias"),
    pytest.param(f"{A} y = Conv(a, v)", "float[1,3,1,1] v = {2,0,0}", [10], id="constant-into-1x1"),
    pytest.param(
        f"{A} y = Conv<pads=[0,1,0,1]>(a, v)",
        "float[1,3,1,3] v = {2,2,2,0,0,0,0,0,0}",
        None,
        id="constant-into-padding",
    ),
    pytest.param(f"{A} y = Concat<axis=1>(a, a)", "", [5, None, None, 5, None, None], id="concat"),
    pytest.param(f"{A} y = Add(a, s)", "float[3,1,1] s = {1,2,3}", [6, None, None], id="add-constants"),
    pytest.param(f"{A} c = Conv(x, w) y = Mul(c, a)", "", [0, None, None], id="times-zero"),
]


@pytest.mark.parametrize(("nodes", "stored", "expected"), KNOWN)
def test_constants(nodes, stored, expected):
    assert known(facts_of(graph(nodes, stored)), "y") == expected


def test_constant_through_an_op_that_is_a_function_of_its_operands_type():
    value, *others = known(facts_of(graph(f"{A} y = Gelu(a)")), "y")
    assert value == pytest.approx(5, abs=1e-4)
    assert others == [None, None]


WANTED = [
    pytest.param(
        f"{A} r = Relu(a) y = Conv(r, v)",
        SKIPS,
        "float y",
        {"a": ("101", "001"), "r": ("101", "001"), "x": ("1", "1")},
        id="folds-and-skips",
    ),
    pytest.param(
        f"{A} r = Relu(a) y = Conv(r, v)",
        SKIPS,
        "float y, float r",
        {"a": ("1", "1"), "r": ("1", "1")},
        id="output-that-is-read",
    ),
]


@pytest.mark.parametrize(("nodes", "stored", "outputs", "expected"), WANTED)
def test_what_is_read_and_needed(nodes, stored, outputs, expected):
    facts = facts_of(graph(nodes, stored, outputs=outputs))
    found = {name: (wanted(facts.read, name), wanted(facts.needed, name)) for name in expected}
    assert found == expected


VARYING = [
    pytest.param(
        f"g (float[1,2,4,4] x, float[3,2,1,1] w) => (float y) <{IDLE}> {{ y = Conv(x, w, b) }}", id="given"
    ),
    pytest.param(
        f"g (float[1,2,4,4] x, float[3] b) => (float y) <{IDLE}> {{ y = Conv(x, w, b) }}", id="bias-given"
    ),
    pytest.param(
        f"g (float[1,2,4,4] x) => (float y) <{IDLE}>"
        "{ v = RandomNormal<shape=[3,2,1,1]>() z = Sub(v, v) y = Conv(x, z, b) }",
        id="random",
    ),
]


@pytest.mark.parametrize("text", VARYING)
def test_what_a_caller_or_chance_decides_is_not_constant(text):
    facts = facts_of(text)
    assert (known(facts, "y"), wanted(facts.read, "x")) == (None, "1")


def test_before_ir_version_4_all_initializers_are_inputs():
    source = model(
        f"g (float[1,2,4,4] x, float[3,2,1,1] w, float[3] b) => (float y) <{IDLE}> {{ {A} y = Neg(a) }}"
    )
    source.ir_version = 3
    assert known(facts_of(source), "y") == [-5, None, None]


def test_open_sizes_cost_nothing():
    facts = facts_of(graph(f"{A} y = Neg(a)", given="float[N,C,H,W] x"))
    assert known(facts, "y") == [-5, None, None]
    assert facts.known[(), "y"].mask.shape == (1, 3, 1, 1)


def test_a_loop_sees_what_is_around_it():
    text = (
        f"g (float[1,2,4,4] x, int64 n, bool t) => (float y) <{IDLE}, float[2,3,1,1] v = {{1,0,0, 0,1,0}}>"
        f"{{ {A}"
        " y = Loop(n, t, x) <body = l (int64 i, bool c, float s) => (bool d, float r)"
        " { d = Identity(c) k = Conv(a, v) r = Add(s, k) }> }"
    )
    facts = facts_of(text)
    assert known(facts, "k", (1, "body")) == [5, None]
    assert known(facts, "y") is None
    assert wanted(facts.read, "a") == "110"
    assert wanted(facts.needed, "a") == "010"


def test_what_has_no_rank_is_noted():
    facts = facts_of(
        f"g (float x) => (float y) <{IDLE}> {{ r = NoSuchOp(x) a = Conv(r, w, b) y = Mul(a, a) }}"
    )
    assert facts.known == {}
    assert any("unknown rank" in note for note in facts.notes)


def test_old_attributes():
    text = graph(
        f"{A} p = Pad<pads=[0,0,0,0, 0,1,0,0]>(a) q = Slice<axes=[1], starts=[0], ends=[-2]>(p)"
        "r = Clip<min=0.0, max=3.0>(q) s = Unsqueeze<axes=[0]>(r) t = Squeeze<axes=[0]>(s)"
        "u = ReduceMean<axes=[2,3], keepdims=0>(t) y = Softmax<axis=1>(u)"
    )
    facts = facts_of(text, opset=9)
    assert known(facts, "u") == [3, None]
    assert (wanted(facts.read, "a"), wanted(facts.needed, "a")) == ("110", "110")


def test_kernels_that_are_ignored_are_zero():
    source = graph("y = Conv(x, w, b)")
    name = walked(source).network.layers[0].name
    ignored = {name: np.array([[[False, False], [True, True], [False, True]]])}
    facts = analyse(walked(source), ignored)
    assert known(facts, "y") == [5, -6, None]
    assert wanted(facts.read, "x") == "10"


HOSTILE = [
    pytest.param("y = Tile(a, s)", "int64[4] s = {1, 1099511627776, 1, 1}", id="tile"),
    pytest.param("y = Pad(a, s)", "int64[8] s = {0, 1099511627776, 0, 0, 0, 0, 0, 0}", id="pad"),
    pytest.param("f = Flatten(a) y = Neg(f)", "", id="flatten"),
    pytest.param(
        "f = Expand(s, t) y = Flatten(f)", "float[1,1] s = {1}, int64[2] t = {1048576, 1048576}", id="expand"
    ),
    pytest.param("y = SpaceToDepth<blocksize=1048576>(a)", "", id="space-to-depth"),
    pytest.param("v = ConstantOfShape(s) y = Conv(a, v)", "int64[4] s = {1048576, 3, 512, 512}", id="weight"),
]


@pytest.mark.parametrize(("nodes", "stored"), HOSTILE)
def test_sizes_that_a_file_claims_are_not_allocated(nodes, stored):
    facts = facts_of(graph(f"{A} {nodes}", stored, given="float[1,2,1048576,1048576] x"), allow_run=False)
    assert known(facts, "a") == [5, None, None]


def test_numbers_that_an_integer_does_not_hold_are_not_known():
    assert known(facts_of(graph(f"{A} i = Cast<to=2>(a) y = Cast<to=1>(i)")), "y") == [5, None, None]
    stored = "float[3,1,1] s = {99, 1, 1}"
    assert (
        known(facts_of(graph(f"{A} m = Mul(a, s) i = Cast<to=2>(m) y = Cast<to=1>(i)", stored)), "y") is None
    )


def test_a_constant_of_crossing_axes_is_not_multiplied_out():
    axes = [np.arange(256).reshape([256 if axis == place else 1 for axis in range(4)]) for place in range(4)]
    mask = (axes[0] > 3) & (axes[1] > 3)
    tracemalloc.start()
    assert squeezed_known(KnownElements(mask, (axes[2] + axes[3]).astype(np.float32))) is None
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_several_readers_read_of_crossing_axes_is_not_multiplied_out():
    proto = model(
        "g (float[1,700,700,1] x) => (float y, float z) <float[1,700,1,1] p = {0}, float[1,1,700,1] q = {0}> "
        "{ a = Relu(x) y = Mul(a, p) z = Mul(a, q) }"
    )
    for tensor in proto.graph.initializer:
        ones = np.arange(700, dtype=np.float32).reshape(tensor.dims)
        tensor.CopyFrom(numpy_helper.from_array(ones, tensor.name))
    assert all(mask.size <= 700 for mask in analyse(walked(proto)).read.values())
