"""Blocks that move channels to other axes and places, and such as read all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from tests.waste.network import Channels, Maker, Tensor, ignore

NONE: Channels = frozenset()


def layout(net: Maker, x: Tensor) -> Tensor:
    """Channels last, and back."""
    y = net.node("Transpose", x.name, perm=[0, 2, 3, 1])
    y = net.node(net.rng.choice(["Mul", "Add"]), y, net.store("constant", net.numbers(x.channels)))
    y = net.node("Sigmoid", y) if net.chance(0.5) else y
    return replace(x, name=net.node("Transpose", y, perm=[0, 3, 1, 2]))


def tokens(net: Maker, x: Tensor) -> Tensor:
    """A linear layer at every position, as transformers write it."""
    out = net.rng.choice([4, 6])
    flat = net.node("Reshape", x.name, net.store("shape", [0, x.channels, -1], np.int64))
    turned = net.node("Transpose", flat, perm=[0, 2, 1])
    weight = net.numbers(out, x.channels)
    ignore(weight, x.idle)
    y = net.node("MatMul", turned, net.store("weight", weight.T))
    y = net.node("Add", net.store("bias", net.numbers(out)), y)
    y = (
        net.node("LayerNormalization", y, net.store("norm", net.numbers(out)), axis=-1)
        if net.chance(0.3)
        else y
    )
    y = net.node("Transpose", y, perm=[0, 2, 1])
    name = net.node("Reshape", y, net.store("shape", [0, out, *x.size], np.int64))
    return Tensor(name, out, x.size)


def spread(net: Maker, x: Tensor) -> Tensor:
    """Four channels to four positions, or back."""
    if x.channels % 8 == 0 and max(x.size) <= 8:
        mode = net.rng.choice(["DCR", "CRD"])
        name = net.node("DepthToSpace", x.name, blocksize=2, mode=mode)
        out = x.channels // 4
        idle = frozenset(c % out if mode == "DCR" else c // 4 for c in x.idle)
        return Tensor(name, out, (2 * x.size[0], 2 * x.size[1]), idle) if len(idle) < out else x
    if x.size[0] % 2 or x.size[1] % 2 or x.channels > 8:
        return x
    name = net.node("SpaceToDepth", x.name, blocksize=2)
    idle = frozenset(place * x.channels + c for place in range(4) for c in x.idle)
    return Tensor(name, 4 * x.channels, (x.size[0] // 2, x.size[1] // 2), idle)


def normalised(net: Maker, x: Tensor) -> Tensor:
    operands = (net.store("norm", net.numbers(x.channels)) for _ in range(2))
    return replace(x, name=net.node("InstanceNormalization", x.name, *operands))


def everything(net: Maker, x: Tensor) -> Tensor:
    """Each of its outputs depends on all channels."""
    if x.idle:
        x = net.conv(x, x.channels, 1, idle=NONE)
    kind = net.rng.choice(["Softmax", "LRN", "CumSum", "mean", "argmax", "LpNormalization"])
    if kind == "LRN":
        return replace(x, name=net.node("LRN", x.name, size=3, alpha=0.5))
    if kind == "CumSum":
        return replace(x, name=net.node("CumSum", x.name, net.store("axis", 1, np.int64)))
    if kind == "mean":
        mean = net.node("ReduceMean", x.name, net.store("axes", [1], np.int64))
        return replace(x, name=net.node("Mul", x.name, mean))
    if kind == "argmax":
        place = net.node("Cast", net.node("ArgMax", x.name, axis=1), to=TensorProto.FLOAT)
        return replace(x, name=net.node("Add", x.name, place))
    return replace(x, name=net.node(kind, x.name, axis=1))


def selected(net: Maker, x: Tensor) -> Tensor:
    """A Where on the values themselves."""
    zero = net.store("zero", 0)
    low = net.node("Mul", x.name, net.store("constant", 0.1))
    return replace(x, name=net.node("Where", net.node("Greater", x.name, zero), x.name, low))


def product(net: Maker, x: Tensor) -> Tensor:
    """Of two convolutions: what one of them is does not matter where the other is zero."""
    zero, idle = net.pick(x.channels, 0.2), net.pick(x.channels, 0.1)
    bias = net.numbers(x.channels)
    bias[sorted(zero)] = 0
    y = net.conv(x, x.channels, 1, bias=bias, zero=zero, idle=idle)
    z = net.conv(x, x.channels, 3, pad=1)
    return replace(x, name=net.node("Mul", y.name, z.name), idle=y.idle | z.idle)


def squeezed(net: Maker, x: Tensor) -> Tensor:
    """A scale through a vector."""
    axes = net.store("axes", [2, 3], np.int64)
    vector = net.node("Squeeze", net.node("GlobalMaxPool", x.name), axes)
    vector = net.node("Sigmoid", net.node("Mul", vector, net.store("constant", net.numbers(x.channels))))
    return replace(x, name=net.node("Mul", x.name, net.node("Unsqueeze", vector, axes)))


def repeated(net: Maker, x: Tensor) -> Tensor:
    """Channels twice, by Tile or by Concat of a tensor with itself."""
    if x.channels > 8:
        return x
    if net.chance(0.5):
        name = net.node("Tile", x.name, net.store("repeats", [1, 2, 1, 1], np.int64))
    else:
        name = net.node("Concat", x.name, x.name, axis=1)
    return Tensor(name, 2 * x.channels, x.size, x.idle | {x.channels + c for c in x.idle})


def looped(net: Maker, x: Tensor) -> Tensor:
    """A convolution, and others, two times in a Loop."""
    if net.inside:
        return x
    idle = x.idle | net.pick(x.channels, 0.15)
    outer, net.nodes, net.inside = net.nodes, [], True
    state = net.name("state")
    y = net.conv(Tensor(state, x.channels, x.size, idle), x.channels, 3, pad=1, idle=idle)
    y = replace(y, name=net.node("Tanh", y.name))
    go = net.node("Identity", "go_in")
    inputs = [
        helper.make_tensor_value_info("turn", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
        helper.make_tensor_value_info(state, TensorProto.FLOAT, [None] * 4),
    ]
    gives = [
        helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        helper.make_tensor_value_info(y.name, TensorProto.FLOAT, [None] * 4),
    ]
    body = helper.make_graph(net.nodes, "body", inputs, gives)
    net.nodes, net.inside = outer, False
    turns, go_on = net.store("turns", 2, np.int64), net.store("go", True, np.bool_)
    return replace(x, name=net.node("Loop", turns, go_on, x.name, body=body), idle=idle)


REARRANGING = {
    "layout": (layout, 1), "tokens": (tokens, 1), "spread": (spread, 1), "normalised": (normalised, 1),
    "everything": (everything, 1), "selected": (selected, 1), "product": (product, 1),
    "squeezed": (squeezed, 1),
    "repeated": (repeated, 1), "looped": (looped, 1),
}  # fmt: skip
