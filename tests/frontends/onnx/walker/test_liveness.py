"""Which tensors of an ONNX model live at once."""

from __future__ import annotations

import pytest

from convaudit.records import LiveActivations
from tests.frontends.onnx.models import values, walk

K = values("k", 4, 4, 1, 1)


def live(graph: str) -> LiveActivations:
    return walk(graph, allow_run=False).live_activations


# float[1,4,8,8] takes 1024 bytes
CASES = [
    pytest.param("t = Conv(x, k) u = Relu(t) y = Conv(u, k)", 2048, id="relu-in-place"),
    pytest.param("t = Conv(x, k) u = Conv(t, k) y = Add(u, x)", 3072, id="residual"),
    pytest.param("s = Shape(x) r = Reshape(x, s) t = Conv(r, k) y = Add(t, x)", 2048, id="reshape-is-a-view"),
    pytest.param(
        "r = Transpose<perm=[0,1,3,2]>(x) t = Conv(r, k) y = Add(t, x)", 2048, id="transpose-is-a-view"
    ),
    pytest.param("d = Cast<to=1>(x) t = Conv(d, k) y = Add(t, x)", 3072, id="cast-is-not"),
    pytest.param(
        "a, b = Split<axis=1, num_outputs=2>(x) c = MatMul(a, b) y = Concat<axis=1>(c, c)",
        1024 + 512,
        id="parts-of-what-is-gone",
    ),
    pytest.param(
        "w = Identity(k) v = Mul(w, w) t = Conv(x, v) y = Relu(t)", 2048, id="constants-are-not-activations"
    ),
    pytest.param("u = Conv(x, k) y = Relu(x)", 1024, id="nobody-reads-it"),
]


@pytest.mark.parametrize(("nodes", "most"), CASES)
def test_the_most_at_once(nodes: str, most: int) -> None:
    assert live(f"g (float[1,4,8,8] x) => (float[a,b,c,d] y) <{K}> {{ {nodes} }}").bytes == most


MATRICES = [
    pytest.param("y = Gemm(x, x, c)", 128, id="over-what-is-added"),
    pytest.param("s = Reshape(c, i) y = Gemm(x, x, s)", 128, id="over-a-view-of-it"),
    pytest.param("t = Gemm(x, x, c) y = Add(t, c)", 192, id="not-if-it-is-read-later"),
    pytest.param("y = Gemm(x, c, c)", 192, id="not-if-it-is-multiplied"),
    pytest.param('t = Einsum<equation="ij->ji">(x) y = Add(t, c)', 128, id="einsum-of-one"),
]


@pytest.mark.parametrize(("nodes", "most"), MATRICES)
def test_the_most_at_once_of_matrices(nodes: str, most: int) -> None:
    graph = f"g (float[4,4] x, float[4,4] c) => (float[a,b] y) <int64[2] i = {{4, 4}}> {{ {nodes} }}"
    assert live(graph).bytes == most


def test_where_it_is_most() -> None:
    found = live(f"g (float[N,4,8,8] x) => (float[a,b,c,d] y) <{K}> {{ t = Relu(x) [head] y = Conv(t, k) }}")
    assert (str(found.bytes), found.step, found.reason) == ("2048*N", "head", None)


def test_a_size_that_nobody_knows() -> None:
    found = live("g (float[4] x) => (int64[a,b] y) { t = NonZero(x) y = Relu(t) }")
    assert (found.bytes, found.reason) == (None, "the size of 't' is unknown")


def test_the_costlier_branch_beside_what_is_needed_later() -> None:
    found = live(f"""
    g (bool c, float[1,4,8,8] x) => (float[a,b,d,e] y) <{K}> {{
        z = If (c) <
            then_branch = t () => (float[1,4,8,8] p) {{ p = Relu(x) }},
            else_branch = e () => (float[1,4,8,8] q) {{
                h = Conv(x, k) i = Concat<axis=2>(h, h, h) j = Conv(i, k)
                q = MaxPool<kernel_shape=[3,1], strides=[3,1]>(j)
            }}
        >
        y = Add(z, x)
    }}""")
    assert found.bytes == 1024 + 2 * 3 * 1024  # beside x
    assert found.step == "If_0/else_branch/Conv_2"


def test_a_branch_that_never_runs_takes_nothing() -> None:
    found = live(f"""
    g (float[1,4,8,8] x) => (float[a,b,d,e] y) <{K}, bool c = {{1}}> {{
        y = If (c) <
            then_branch = t () => (float[1,4,8,8] p) {{ p = Relu(x) }},
            else_branch = e () => (float[1,4,8,8] q) {{ h = Conv(x, k) q = Add(h, x) }}
        >
    }}""")
    assert found.bytes == 1024


def test_a_loop_takes_what_one_iteration_does() -> None:
    found = live(f"""
    g (int64 n, float[1,4,8,8] x) => (float[a,b,d,e] y) <{K}> {{
        z = Loop (n, "", x) <
            body = l (int64 i, bool c, float[1,4,8,8] u) => (bool c2, float[1,4,8,8] v)
                {{ c2 = Identity(c) h = Concat<axis=2>(u, x) w = Conv(h, k)
                   v = MaxPool<kernel_shape=[2,1], strides=[2,1]>(w) }}
        >
        y = Add(z, x)
    }}""")
    assert found.bytes == 1024 + 2 * 2048
