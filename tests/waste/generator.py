"""Random networks of all operators that the channel analysis knows, with planted waste."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from tests.waste.network import Maker, Planted, Tensor, ignore
from tests.waste.rearranging import REARRANGING

UNARY = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSwish", "HardSigmoid", "Softplus", "Gelu", "Abs",
         "Neg", "Identity", "Mish", "Softsign", "Erf", "Selu", "Celu", "Dropout")  # fmt: skip


def channels(net: Maker) -> int:
    return net.rng.choice([4, 4, 6, 8])


def conv(net: Maker, x: Tensor) -> Tensor:
    kernel = net.rng.choice([1, 1, 3, 3, 5])
    pad = net.rng.choice([kernel // 2, kernel // 2, 0])
    if kernel > min(x.size) + 2 * pad:
        kernel, pad = 1, 0
    return net.conv(x, channels(net), kernel, pad=pad, stride=net.rng.choice([1, 1, 1, 2]))


def grouped(net: Maker, x: Tensor) -> Tensor:
    return net.conv(x, channels(net), 3, pad=1, groups=2) if x.channels % 2 == 0 else conv(net, x)


def depthwise(net: Maker, x: Tensor) -> Tensor:
    pad = net.rng.choice([0, 1]) if min(x.size) > 2 else 1
    return net.conv(x, x.channels * net.rng.choice([1, 1, 2]), 3, pad=pad, groups=x.channels)


def transposed(net: Maker, x: Tensor) -> Tensor:
    if max(x.size) > 8:
        return conv(net, x)
    groups = 2 if x.channels % 2 == 0 and net.chance(0.4) else 1
    return net.conv(x, channels(net), 2, groups=groups, stride=2, transposed=True)


def quantised(net: Maker, x: Tensor) -> Tensor:
    form = net.rng.choice(["qdq", "qlinear"])
    return net.conv(x, channels(net), net.rng.choice([1, 3]), pad=1, form=form)


def batch_norm(net: Maker, x: Tensor) -> Tensor:
    scale, mean = net.numbers(x.channels), net.numbers(x.channels)
    operands = (scale, net.numbers(x.channels), mean, abs(net.numbers(x.channels)))
    name = net.node("BatchNormalization", x.name, *(net.store("norm", array) for array in operands))
    return replace(x, name=name)


def prelu(net: Maker, x: Tensor) -> Tensor:
    shape = net.rng.choice([(x.channels, 1, 1), (1,), (1, x.channels, 1, 1)])
    return replace(x, name=net.node("PRelu", x.name, net.store("slope", abs(net.numbers(*shape)))))


def unary(net: Maker, x: Tensor) -> Tensor:
    return replace(x, name=net.node(net.rng.choice(UNARY), x.name))


def swish(net: Maker, x: Tensor) -> Tensor:
    return replace(x, name=net.node("Mul", x.name, net.node("Sigmoid", x.name)))


def clip(net: Maker, x: Tensor) -> Tensor:
    return replace(x, name=net.node("Clip", x.name, net.store("low", -2), net.store("high", 6)))


def cast(net: Maker, x: Tensor) -> Tensor:
    wide = net.node("Cast", x.name, to=TensorProto.DOUBLE)
    return replace(x, name=net.node("Cast", wide, to=TensorProto.FLOAT))


def constant(net: Maker, x: Tensor) -> Tensor:
    """An element-wise operation with a constant."""
    op = net.rng.choice(["Add", "Mul", "Sub", "Div", "Max", "Min"])
    shape = net.rng.choice([(), (1, x.channels, 1, 1), (x.channels, 1, 1)])
    values = net.numbers(*shape)
    if op in ("Max", "Min"):
        values = abs(values) * (-1 if op == "Max" else 1)
    operands = [x.name, net.store("constant", values)]
    if op in ("Add", "Mul", "Sub") and net.chance(0.3):
        operands.reverse()
    return replace(x, name=net.node(op, *operands))


def masked(net: Maker, x: Tensor) -> Tensor:
    """Some channels times zero."""
    mask = np.ones((1, x.channels, 1, 1))
    mask[:, sorted(net.pick(x.channels, 0.25))] = 0
    return replace(x, name=net.node("Mul", x.name, net.store("mask", mask)))


def residual(net: Maker, x: Tensor) -> Tensor:
    y = net.conv(x, x.channels, 3, pad=1)
    if net.chance(0.5):
        y = unary(net, y)
        y = net.conv(y, x.channels, 1)
    op = net.rng.choice(["Add", "Add", "Sub", "Sum"])
    return replace(x, name=net.node(op, x.name, y.name), idle=x.idle | y.idle)


def squeeze_excite(net: Maker, x: Tensor) -> Tensor:
    """A product with a scale for each channel; where the scale is always zero, nobody reads the channel."""
    axes = net.store("axes", [2, 3], np.int64)
    mean = net.node("GlobalAveragePool", x.name) if net.chance(0.5) else net.node("ReduceMean", x.name, axes)
    kernel = net.rng.choice([1, 1, 3])
    hidden = net.conv(Tensor(mean, x.channels, (1, 1), x.idle), 4, kernel, pad=kernel // 2)
    hidden = replace(hidden, name=net.node("Relu", hidden.name))
    closed = net.pick(x.channels, 0.2)
    bias = net.numbers(x.channels) * 0.2
    bias[sorted(closed)] = -20
    scale = net.conv(hidden, x.channels, 1, bias=bias, zero=closed)
    gate = net.node("HardSigmoid" if closed else "Sigmoid", scale.name)
    return replace(x, name=net.node("Mul", x.name, gate), idle=x.idle | scale.idle)


def concatenated(net: Maker, x: Tensor) -> Tensor:
    y = net.conv(x, channels(net), 1)
    z = x if net.chance(0.5) else net.conv(x, channels(net), 3, pad=1)
    name = net.node("Concat", y.name, z.name, axis=net.rng.choice([1, -3]))
    return Tensor(name, y.channels + z.channels, x.size, y.idle | {y.channels + c for c in z.idle})


def split(net: Maker, x: Tensor) -> Tensor:
    if x.channels < 4:
        return x
    sizes = [x.channels // 2, x.channels - x.channels // 2]
    first, second = net.node("Split", x.name, net.store("sizes", sizes, np.int64), outputs=2, axis=1)
    low = Tensor(first, sizes[0], x.size, frozenset(c for c in x.idle if c < sizes[0]))
    high = Tensor(second, sizes[1], x.size, frozenset(c - sizes[0] for c in x.idle if c >= sizes[0]))
    high = net.conv(high, sizes[1], 3, pad=1)
    name = net.node("Concat", low.name, high.name, axis=1)
    return Tensor(name, x.channels, x.size, low.idle | {sizes[0] + c for c in high.idle})


def _taken(x: Tensor, name: str, indices: list[int]) -> Tensor:
    idle = frozenset(place for place, index in enumerate(indices) if index in x.idle)
    return Tensor(name, len(indices), x.size, idle)


def sliced(net: Maker, x: Tensor) -> Tensor:
    start, step = net.rng.randrange(2), net.rng.choice([1, 1, 2, -1])
    start, stop = (x.channels - 1, 0) if step < 0 else (start, x.channels)
    indices = list(range(start, stop, step))
    if len(indices) < 2:
        return x
    stored = (net.store("slice", [value], np.int64) for value in (start, stop, 1, step))
    return _taken(x, net.node("Slice", x.name, *stored), indices)


def gathered(net: Maker, x: Tensor) -> Tensor:
    indices = net.rng.sample(range(x.channels), net.rng.randint(max(2, x.channels // 2), x.channels))
    return _taken(x, net.node("Gather", x.name, net.store("indices", indices, np.int64), axis=1), indices)


def shuffled(net: Maker, x: Tensor) -> Tensor:
    if x.channels % 2:
        return x
    half = x.channels // 2
    parts = net.store("shape", [0, 2, half, *x.size], np.int64)
    turned = net.node("Transpose", net.node("Reshape", x.name, parts), perm=[0, 2, 1, 3, 4])
    name = net.node("Reshape", turned, net.store("shape", [0, x.channels, *x.size], np.int64))
    return _taken(x, name, np.arange(x.channels).reshape(2, half).T.ravel().tolist())


def padded(net: Maker, x: Tensor) -> Tensor:
    behind = net.rng.choice([0, 0, 1])
    pads = [0, 0, 1, 0, 0, behind, 0, 1]
    operands = [net.store("pads", pads, np.int64), *([net.store("value", 0.5)] if net.chance(0.5) else [])]
    size = (x.size[0] + 1, x.size[1] + 1)
    return Tensor(net.node("Pad", x.name, *operands), x.channels + behind, size, x.idle)


def pooled(net: Maker, x: Tensor) -> Tensor:
    if min(x.size) < 2:
        return x
    kernel, pad, stride = net.rng.choice([(2, 0, 2), (3, 1, 1), (2, 0, 1)])
    geometry = {"kernel_shape": [kernel] * 2, "pads": [pad] * 4, "strides": [stride] * 2}
    if net.chance(0.5):
        name = net.node("MaxPool", x.name, **geometry)
    else:
        name = net.node("AveragePool", x.name, count_include_pad=net.rng.randrange(2), **geometry)
    return replace(x, name=name, size=tuple((s + 2 * pad - kernel) // stride + 1 for s in x.size))


def resized(net: Maker, x: Tensor) -> Tensor:
    if max(x.size) > 8:
        return x
    mode = net.rng.choice(["nearest", "linear"])
    name = net.node("Resize", x.name, "", net.store("scales", [1, 1, 2, 2]), mode=mode)
    return replace(x, name=name, size=(2 * x.size[0], 2 * x.size[1]))


def centred(net: Maker, x: Tensor) -> Tensor:
    op = net.rng.choice(["ReduceMean", "ReduceMax", "ReduceSum"])
    mean = net.node(op, x.name, net.store("axes", [2, 3], np.int64))
    return replace(x, name=net.node("Sub" if op != "ReduceSum" else "Add", x.name, mean))


def chosen(net: Maker, x: Tensor) -> Tensor:
    """An If: one of two convolutions."""
    if net.inside:
        return x
    net.flags, out, arms = True, channels(net), {}
    outer, results = net.nodes, []
    for arm in ("then_branch", "else_branch"):
        net.nodes, net.inside = [], True
        kernel = net.rng.choice([1, 3]) if arm == "then_branch" else 1
        y = net.conv(x, out, kernel, pad=kernel // 2)
        y = replace(y, name=net.node("Relu", y.name)) if net.chance(0.5) else y
        gives = [helper.make_tensor_value_info(y.name, TensorProto.FLOAT, [None] * 4)]
        arms[arm] = helper.make_graph(net.nodes, arm, [], gives)
        results.append(y)
    net.nodes, net.inside = outer, False
    return Tensor(net.node("If", "flag", **arms), out, x.size, results[0].idle | results[1].idle)


def twice(net: Maker, x: Tensor) -> Tensor:
    """The same weights in two layers."""
    idle, zero = net.pick(x.channels, 0.15), net.pick(x.channels, 0.15)
    ignored = x.idle | idle
    first = net.conv(x, x.channels, 3, pad=1, idle=idle, zero=zero, ignored=ignored)
    made = net.layers[-1]
    between = replace(first, name=net.node("Tanh", first.name))
    second = net.conv(between, x.channels, 3, pad=1, idle=idle, zero=zero, ignored=ignored)
    again = net.layers[-1]
    bias = made.bias
    net.stored[again.weight] = net.stored[made.weight].copy()
    again.border, again.latent, again.twins, again.denormal = (
        made.border,
        made.latent,
        made.twins,
        made.denormal,
    )
    net.shared[again.weight] = made.weight
    if bias is not None and again.bias is not None:
        net.stored[again.bias] = net.stored[bias].copy()
        net.shared[again.bias] = bias
    elif again.twins:  # their biases differ, or not: nothing is claimed of these
        again.twins = frozenset()
    return second


BLOCKS: dict[str, tuple[Callable[[Maker, Tensor], Tensor], int]] = {
    "conv": (conv, 6), "grouped": (grouped, 2), "depthwise": (depthwise, 3), "transposed": (transposed, 2),
    "quantised": (quantised, 1), "batch_norm": (batch_norm, 2), "prelu": (prelu, 1), "unary": (unary, 5),
    "swish": (swish, 1), "clip": (clip, 1), "cast": (cast, 1), "constant": (constant, 3),
    "masked": (masked, 1), "residual": (residual, 3), "squeeze_excite": (squeeze_excite, 3),
    "concatenated": (concatenated, 3),
    "split": (split, 2), "sliced": (sliced, 1), "gathered": (gathered, 1), "shuffled": (shuffled, 2),
    "padded": (padded, 1), "pooled": (pooled, 2), "resized": (resized, 1), "centred": (centred, 1),
    "chosen": (chosen, 2), "twice": (twice, 1), **REARRANGING,
}  # fmt: skip
"""What makes a tensor of another, and how often."""


def _head(net: Maker, x: Tensor) -> dict[str, int]:
    kind = net.rng.choice(["conv", "gemm", "pooled", "matmul"])
    net.blocks.append(f"head_{kind}")
    if kind == "conv":
        return {net.conv(x, 3, 1, idle=frozenset()).name: 4}
    rows = x.channels
    if kind == "pooled":
        flat = net.node("Flatten", net.node("GlobalAveragePool", x.name))
        weight = net.numbers(3, rows)
    else:
        flat = net.node("Flatten", x.name)
        weight = net.numbers(3, rows, *x.size)
    ignore(weight, x.idle)
    weight = weight.reshape(3, -1)
    if kind == "matmul":
        return {net.node("MatMul", flat, net.store("weight", weight.T)): 2}
    bias = net.store("bias", net.numbers(3))
    if net.chance(0.5):
        return {net.node("Gemm", flat, net.store("weight", weight), bias, transB=1): 2}
    return {net.node("Gemm", flat, net.store("weight", weight.T), bias): 2}


def planted(seed: int, waste: float = 1.0, only: str | None = None) -> Planted:
    """A random network.

    Args:
        seed: The same seed gives the same network.
        waste: How much of it is waste; 0: none.
        only: A block that it must have.
    """
    net = Maker(seed, waste)
    count, size, batch = net.rng.choice([2, 3, 4]), net.rng.choice([5, 6, 8]), 3
    x = net.conv(Tensor("x", count, (size, size)), channels(net), 3, pad=1)
    names = net.rng.choices(list(BLOCKS), [weight for _, weight in BLOCKS.values()], k=net.rng.randint(2, 6))
    if only is not None:
        names[net.rng.randrange(len(names))] = only
    outputs = {}
    for name in names:
        x = BLOCKS[name][0](net, x)
        net.blocks.append(name)
        if net.chance(0.05):
            outputs[net.conv(x, 2, 1, idle=frozenset()).name] = 4
    outputs |= _head(net, x)
    return net.made(outputs, batch, count, size, opset=net.rng.choice([20, 21]))
