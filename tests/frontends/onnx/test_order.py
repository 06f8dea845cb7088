"""Graphs whose nodes are not in the order in which they run: onnxruntime takes them, and so do we."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto

from convaudit.frontends.onnx.order import in_order, is_in_order
from convaudit.frontends.onnx.verifier import verify_in_situ
from tests.frontends.onnx.models import model, places, walk, walked

W = "float[4,4,3,3] w = {" + ",".join(["1"] * 144) + "}"

CHAIN = f"""
g (float16[1,4,8,8] x) => (float[n,c,h,l] y) <{W}> {{
    [first] a = Conv(cast, w)
    [second] y = Conv(r, w)
    r = Relu(a)
    cast = Cast<to = 1>(x)
}}"""

BODIES = f"""
g (bool[1] c, float[1,4,8,8] x) => (float[n,k,h,l] y) <{W}> {{
    [last] y = Conv(chosen, w)
    chosen = If (c) <
        then_branch = a () => (float[n,k,h,l] p) {{ [inner] p = Conv(s, w) s = Sigmoid(r) }},
        else_branch = b () => (float[n,k,h,l] q) {{ q = Identity(r) }}
    >
    r = Relu(x)
}}"""

FUNCTION = f"""
g (float[1,4,8,8] x) => (float[n,c,h,l] y) <{W}> {{ y = local.F(r, w) r = Relu(x) }}
<domain: "local", opset_import: ["" : 21]> F (i, w) => (o) {{ [f] o = Conv(t, w) t = Relu(i) }}"""


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        pytest.param(CHAIN, {"first": (1, 4, 6, 6), "second": (1, 4, 4, 4)}, id="chain"),
        pytest.param(BODIES, {"inner": (1, 4, 6, 6), "last": (1, 4, None, None)}, id="bodies"),
        pytest.param(FUNCTION, {"F_0/f": (1, 4, 6, 6)}, id="function"),
    ],
)
def test_shapes_do_not_depend_on_the_order(text: str, outputs: dict[str, tuple[int | None, ...]]) -> None:
    network = walk(text, allow_run=False)
    assert not is_in_order(model(text))
    assert {layer.name: layer.output_shape for layer in network.layers} == outputs


def test_addresses_are_those_of_the_file() -> None:
    found = walked(BODIES)
    assert [layer.name for layer in found.network.layers] == ["inner", "last"]
    assert places(found) == [(1, "then_branch", 0), (0,)]


def test_unsorted_model_is_verified() -> None:
    verdicts = verify_in_situ(walked(CHAIN.replace("float16", "float"))).verdicts
    assert [verdict.status for verdict in verdicts] == ["within_rounding"] * 2


def test_cycle_does_not_hang() -> None:
    cyclic = f"g (float[1,4,8,8] x) => (float y) <{W}> {{ a = Add(b, x) b = Relu(a) y = Conv(x, w) }}"
    order = [index for index, _ in in_order(model(cyclic).graph.node)]
    assert order == [2, 0, 1]
    assert walk(cyclic, allow_run=False).layers[0].output_shape == (1, 4, 6, 6)


@pytest.mark.parametrize("text", [CHAIN, BODIES, FUNCTION], ids=["chain", "bodies", "function"])
def test_any_order_gives_the_same_layers(text: str) -> None:
    expected = {layer.output_shape for layer in walk(text, allow_run=False).layers}
    for seed in range(5):
        shuffled = model(text)
        for graph in _graphs(shuffled):
            nodes = list(graph.node)
            random.Random(seed).shuffle(nodes)
            del graph.node[:]
            graph.node.extend(nodes)
        assert {layer.output_shape for layer in walk(shuffled, allow_run=False).layers} == expected


def _graphs(source: ModelProto) -> Iterator[GraphProto | FunctionProto]:
    for graph in (source.graph, *source.functions):
        yield graph
        for node in graph.node:
            yield from (item.g for item in node.attribute if item.type == AttributeProto.GRAPH)
