"""The channel analysis: what is constant, read and needed in small graphs."""

from __future__ import annotations

import pytest

from tests.frontends.onnx.channels.facts import facts_of, known, wanted

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
