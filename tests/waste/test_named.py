"""Waste in the forms that networks have: what is found, and what the fixed network looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from onnx import numpy_helper

import convaudit
from tests.waste.compare import by_layer, wrong_outputs
from tests.waste.generator import BLOCKS
from tests.waste.network import Channels, Maker, Planted, Tensor

pytestmark = pytest.mark.usefixtures("trusted_runtime")

NONE: Channels = frozenset()


@dataclass
class Case:
    """A network, what is to be found in it, and the weights that are to be left."""

    constant: dict[str, set[int]] = field(default_factory=dict)
    unread: dict[str, set[int]] = field(default_factory=dict)
    weights: list[tuple[int, ...]] = field(default_factory=list)  # of the layers, in their order


class Plain(Maker):
    """Nothing is planted but what is asked for."""

    def __init__(self) -> None:
        super().__init__(0, waste=0.0)

    def start(self, out: int = 6, idle: Channels = NONE, zero: Channels = NONE) -> Tensor:
        return self.conv(Tensor("x", 3, (6, 6)), out, 3, pad=1, idle=idle, zero=zero)

    def end(self, x: Tensor) -> Planted:
        y = self.conv(x, 3, 1, idle=NONE, zero=NONE)
        return self.made({y.name: 4}, 2, 3, 6, 21)


def residual(net: Plain) -> tuple[Planted, Case]:
    """Both operands of the sum lose the channel."""
    x = net.start(idle=frozenset({2}))
    y = net.conv(x, 6, 3, pad=1, idle=frozenset({2}), zero=NONE)
    made = net.end(replace(x, name=net.node("Add", x.name, y.name)))
    first, second, _ = (layer.name for layer in made.layers)
    return made, Case(unread={first: {2}, second: {2}}, weights=[(5, 3, 3, 3), (5, 5, 3, 3), (3, 5, 1, 1)])


def read_besides(net: Plain) -> tuple[Planted, Case]:
    """The sum's channel is unread, but one operand is read elsewhere: both keep it."""
    x = net.start()
    y = net.conv(x, 6, 3, pad=1, idle=frozenset({2}), zero=NONE)
    made = net.end(replace(x, name=net.node("Add", x.name, y.name), idle=y.idle))
    return made, Case(unread={made.layers[1].name: {2}}, weights=[(6, 3, 3, 3), (6, 6, 3, 3), (3, 6, 1, 1)])


def shuffle(net: Plain) -> tuple[Planted, Case]:
    """One channel of each of two groups."""
    x = net.start(8, idle=frozenset({1, 5}))
    made = net.end(BLOCKS["shuffled"][0](net, x))
    return made, Case(unread={made.layers[0].name: {1, 5}}, weights=[(6, 3, 3, 3), (3, 6, 1, 1)])


def closed_gate(net: Plain) -> tuple[Planted, Case]:
    """A squeeze-excite scale that is always 0: nobody reads its channel, whatever it is."""
    x = net.start()
    mean = net.node("GlobalAveragePool", x.name)
    squeezed = net.conv(Tensor(mean, 6, (1, 1), frozenset({4})), 4, 1, idle=NONE, zero=NONE)
    bias = np.array([0.1, 0.2, 0.3, 0.4, -9, 0.5])
    squeezed = replace(squeezed, name=net.node("Relu", squeezed.name))
    scale = net.conv(squeezed, 6, 1, bias=bias, idle=NONE, zero=frozenset({4}))
    made = net.end(replace(x, name=net.node("Mul", x.name, net.node("HardSigmoid", scale.name))))
    first, _, third, _ = (layer.name for layer in made.layers)
    sizes = [(5, 3, 3, 3), (4, 5, 1, 1), (5, 4, 1, 1), (3, 5, 1, 1)]
    return made, Case(constant={third: {4}}, unread={first: {4}}, weights=sizes)


def scaled_zero(net: Plain) -> tuple[Planted, Case]:
    """A channel that is always 0: nobody reads its scale."""
    bias = np.array([0.1, 0, 0.3, -0.4, 0.5, 0.6])
    x = net.conv(Tensor("x", 3, (6, 6)), 6, 3, pad=1, bias=bias, idle=NONE, zero=frozenset({1}))
    mean = net.node("GlobalAveragePool", x.name)
    scale = net.conv(Tensor(mean, 6, (1, 1)), 6, 1, idle=NONE, zero=NONE)
    made = net.end(replace(x, name=net.node("Mul", x.name, net.node("Sigmoid", scale.name))))
    first, second, _ = (layer.name for layer in made.layers)
    return made, Case(
        constant={first: {1}}, unread={second: {1}}, weights=[(5, 3, 3, 3), (5, 5, 1, 1), (3, 5, 1, 1)]
    )


def concatenation(net: Plain) -> tuple[Planted, Case]:
    """Channels of both parts, and what is behind the Concat."""
    x = net.start()
    y = net.conv(x, 4, 1, idle=frozenset({0}), zero=NONE)
    z = net.conv(x, 5, 3, pad=1, idle=frozenset({4}), zero=NONE)
    joined = Tensor(net.node("Concat", y.name, z.name, axis=1), 9, x.size, frozenset({0, 8}))
    made = net.end(BLOCKS["batch_norm"][0](net, joined))
    _, second, third, _ = (layer.name for layer in made.layers)
    sizes = [(6, 3, 3, 3), (3, 6, 1, 1), (4, 6, 3, 3), (3, 7, 1, 1)]
    return made, Case(unread={second: {0}, third: {4}}, weights=sizes)


def shared(net: Plain) -> tuple[Planted, Case]:
    """Two layers with one weight lose the same filter."""
    x = net.start(idle=frozenset({3}))
    first = net.conv(x, 6, 3, pad=1, idle=frozenset({3}), zero=NONE)
    weight = net.layers[-1].weight
    second = net.conv(first, 6, 3, pad=1, idle=frozenset({3}), zero=NONE)
    net.stored[net.layers[-1].weight] = net.stored[weight].copy()
    net.shared[net.layers[-1].weight] = weight
    made = net.end(second)
    unread = {layer.name: {3} for layer in made.layers[:3]}
    return made, Case(unread=unread, weights=[(5, 3, 3, 3), (5, 5, 3, 3), (5, 5, 3, 3), (3, 5, 1, 1)])


def body(net: Plain) -> tuple[Planted, Case]:
    """Filters inside of an If, and outside what only the body reads."""
    x = net.start(idle=frozenset({5}))
    net.pick = lambda count, share: frozenset({1})  # type: ignore[method-assign]
    made = net.end(BLOCKS["chosen"][0](net, x))
    first, then, otherwise, _ = (layer.name for layer in made.layers)
    constant, unread = {then: {1}, otherwise: {1}}, {first: {5}, then: {1}, otherwise: {1}}
    return made, Case(constant=constant, unread=unread)


def fully_connected(net: Plain) -> tuple[Planted, Case]:
    """Unread behind Flatten: a channel is six by six columns of the Gemm."""
    x = net.start(idle=frozenset({0}))
    flat = net.node("Flatten", net.node("Relu", x.name))
    weight = net.numbers(6, 36, 4)
    weight[0] = 0
    y = net.node("Gemm", flat, net.store("weight", weight.reshape(-1, 4)), net.store("bias", net.numbers(4)))
    made = net.made({y: 2}, 2, 3, 6, 21)
    return made, Case(unread={made.layers[0].name: {0}}, weights=[(5, 3, 3, 3)])


CASES = [
    residual,
    read_besides,
    shuffle,
    closed_gate,
    scaled_zero,
    concatenation,
    shared,
    body,
    fully_connected,
]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_case(make: Callable[[Plain], tuple[Planted, Case]]) -> None:
    net, case = make(Plain())
    findings = convaudit.lint(net.model)
    constant, unread = by_layer(findings, "CA101"), by_layer(findings, "CA102")
    named = constant.keys() | unread.keys()
    assert named == case.constant.keys() | case.unread.keys()
    for name in named:
        assert constant.get(name, set()) <= case.constant.get(name, set())
        assert unread.get(name, set()) <= case.unread.get(name, set())
        both = case.constant.get(name, set()) | case.unread.get(name, set())
        assert constant.get(name, set()) | unread.get(name, set()) == both
    if make is read_besides:
        assert all(finding.reason and not finding.fixable for finding in findings)
        with pytest.raises(convaudit.UsageError):
            convaudit.fix(net.model)
        return
    assert all(finding.fixable for finding in findings)
    smaller = convaudit.fix(net.model)
    if case.weights:
        stored = {tensor.name: tuple(tensor.dims) for tensor in smaller.graph.initializer}
        convolutions = [node for node in smaller.graph.node if node.op_type == "Conv"]
        assert [stored[node.input[1]] for node in convolutions] == case.weights
    assert list(wrong_outputs(net, smaller)) == []
    assert [finding for finding in convaudit.lint(smaller) if finding.fixable] == []


def test_the_layer_that_thousands_deploy() -> None:
    """A detector's: 491 of 768 filters are zero, and behind Gelu their columns are next to denormal."""
    net = Plain()
    x = net.conv(Tensor("x", 3, (6, 6)), 96, 3, pad=1, idle=NONE, zero=NONE)
    zero = frozenset(int(c) for c in np.random.default_rng(0).permutation(768)[:491])
    bias = net.numbers(768) * 0.3
    wide = net.conv(x, 768, 1, bias=bias, idle=NONE, zero=zero)
    gelu = net.node("Gelu", wide.name)
    narrow = net.conv(replace(wide, name=gelu), 96, 1, bias=net.numbers(96), idle=NONE, zero=NONE)
    columns = net.stored[net.layers[-1].weight]
    places = sorted(zero)
    columns[:, places, 0, 0] = net.numbers(96, 491) * 10.0 ** net.values.uniform(-39, -33, (96, 491))
    made = net.end(narrow)
    findings = convaudit.lint(made.model)
    rules = {(finding.rule, finding.layer): finding for finding in findings}
    wide_layer, narrow_layer = made.layers[1].name, made.layers[2].name
    assert rules["CA101", wide_layer].channels == tuple(places)
    assert rules["CA101", wide_layer].fixable
    assert ("CA301", narrow_layer) in rules
    assert findings.totals.removable_params == findings.totals.fixable_params == 491 * (96 + 1 + 96)
    smaller = convaudit.fix(made.model)
    shapes = [numpy_helper.to_array(tensor).shape for tensor in smaller.graph.initializer]
    assert (277, 96, 1, 1) in shapes
    assert (96, 277, 1, 1) in shapes
    assert list(wrong_outputs(made, smaller)) == []
