"""Random graphs full of zeros: each op of the table with operands that are constant here and there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


class Builder:
    """A graph that grows node by node; all its tensors are (batch, channels, height, width)."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.stored: list[TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"x": (2, 3, 6, 6)}

    def pick(self, *options: Any) -> Any:
        return options[int(self.random.integers(len(options)))]

    def store(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"s{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def numbers(self, *shape: int) -> np.ndarray:
        """Small whole numbers, half of them 0."""
        return self.random.integers(-2, 3, shape) * self.random.integers(0, 2, shape).astype(float)

    def kernels(self, *shape: int) -> np.ndarray:
        """A weight of which whole kernels, filters and columns are zero."""
        weight = self.numbers(*shape)
        weight[self.random.random(shape[:1]) < 0.3] = 0
        weight[:, self.random.random(shape[1]) < 0.3] = 0
        return weight

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        self.shapes[name] = shape
        return name

    def tensor(self) -> str:
        names = list(self.shapes)
        return names[int(self.random.integers(max(len(names) - 4, 0), len(names)))]

    def model(self) -> ModelProto:
        last = list(self.shapes)[-1]
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shapes["x"])],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
            self.stored,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _conv(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    groups = b.pick(1, 1, c, *(g for g in (2, 3) if c % g == 0))
    out = groups * b.pick(1, 2, 3) if groups < c else c
    kernel, pad = b.pick((1, 0), (1, 0), (3, 1), (3, 0) if min(h, w) > 2 else (1, 0))
    weight = b.store(b.kernels(out, c // groups, kernel, kernel))
    bias = [b.store(b.numbers(out))] * b.pick(0, 1)
    grown = 2 * pad - kernel + 1
    b.add("Conv", [x, weight, *bias], (n, out, h + grown, w + grown), group=groups, pads=[pad] * 4)


def _transposed(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    weight = b.store(b.kernels(c, 2, 2, 2))
    b.add("ConvTranspose", [x, weight, b.store(b.numbers(2))], (n, 2, h + 1, w + 1))


def _unary(b: Builder, x: str) -> None:
    b.add(b.pick("Relu", "Sigmoid", "Tanh", "HardSwish", "Neg", "Identity", "Abs", "Floor"), [x], b.shapes[x])


def _scaled(b: Builder, x: str) -> None:
    c = b.shapes[x][1]
    op = b.pick("Add", "Mul", "Sub", "Min", "Max", "PRelu")
    b.add(op, [x, b.store(b.numbers(c, 1, 1))], b.shapes[x])


def _binary(b: Builder, x: str) -> None:
    y = next(name for name in [b.tensor(), b.tensor(), x] if b.shapes[name] == b.shapes[x] or name == x)
    b.add(b.pick("Add", "Mul", "Max"), [x, y], b.shapes[x])


def _where(b: Builder, x: str) -> None:
    c = b.shapes[x][1]
    chosen = b.store(b.random.integers(0, 2, (c, 1, 1)), np.bool_)
    b.add("Where", [chosen, x, b.store(b.numbers(c, 1, 1))], b.shapes[x])


def _squeeze_excite(b: Builder, x: str) -> None:
    n, c, _, _ = b.shapes[x]
    pooled = b.add(b.pick("GlobalAveragePool", "GlobalMaxPool"), [x], (n, c, 1, 1))
    b.add(
        "Mul",
        [x, b.add("HardSigmoid", [pooled], (n, c, 1, 1), alpha=0.5, beta=b.pick(0.0, 0.5))],
        b.shapes[x],
    )


def _norm(b: Builder, x: str) -> None:
    c = b.shapes[x][1]
    scale, bias, mean = (b.store(b.numbers(c)) for _ in range(3))
    if b.pick(True, False):
        b.add("BatchNormalization", [x, scale, bias, mean, b.store(np.ones(c))], b.shapes[x])
    else:
        b.add("InstanceNormalization", [x, scale, bias], b.shapes[x])


def _concat(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    y = next(name for name in [b.tensor(), b.tensor(), x] if b.shapes[name][2:] == (h, w) or name == x)
    b.add("Concat", [x, y], (n, c + b.shapes[y][1], h, w), axis=b.pick(1, -3))


def _slice(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    start, step = int(b.random.integers(0, c)), b.pick(1, 2)
    where = [b.store([number], np.int64) for number in (start, 99, 1, step)]
    b.add("Slice", [x, *where], (n, len(range(start, c, step)), h, w))


def _gather(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    indices = b.random.integers(-c, c, c + 1)
    b.add("Gather", [x, b.store(indices, np.int64)], (n, c + 1, h, w), axis=1)


def _split(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    if c > 1:
        first = int(b.random.integers(1, c))
        b.nodes.append(
            helper.make_node(
                "Split",
                [x, b.store([first, c - first], np.int64)],
                names := [f"p{len(b.nodes)}", f"q{len(b.nodes)}"],
                axis=1,
            )
        )
        b.shapes.update({names[0]: (n, first, h, w), names[1]: (n, c - first, h, w)})


def _shuffle(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    parts = next(size for size in (3, 2, 1) if c % size == 0)
    wide = b.store([b.pick(0, n, -1), parts, c // parts, h, w], np.int64)
    order = b.pick([0, 2, 1, 3, 4], [0, 1, 2, 4, 3])
    names = [f"{role}{len(b.nodes)}" for role in "uv"]
    b.nodes.append(helper.make_node("Reshape", [x, wide], names[:1]))
    b.nodes.append(helper.make_node("Transpose", names[:1], names[1:], perm=order))
    b.add("Reshape", [names[1], b.store([n, -1, h, w], np.int64)], b.shapes[x])


def _pad(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    low, high, space = (*b.pick((0, 0), (1, 0), (0, 2)), b.pick(0, 0, 1))
    pads = b.store([0, low, space, 0, 0, high, space, 0], np.int64)
    b.add("Pad", [x, pads, b.store(b.pick(0, 0, 2))], (n, c + low + high, h + 2 * space, w))


def _pool(b: Builder, x: str) -> None:
    options = (
        {"count_include_pad": b.pick(0, 1)} if (op := b.pick("MaxPool", "AveragePool")) != "MaxPool" else {}
    )
    b.add(op, [x], b.shapes[x], kernel_shape=[3, 3], pads=[1] * 4, **options)


def _resize(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    if h < 20:
        scales = b.store([1, 1, 2, 1])
        b.add("Resize", [x, "", scales], (n, c, 2 * h, w), mode=b.pick("nearest", "linear", "cubic"))


def _reduce(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    op = b.pick("ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2")
    axes, shape = b.pick(([2, 3], (n, c, 1, 1)), ([-1], (n, c, h, 1)), ([1], (n, 1, h, w)))
    b.add(op, [x, b.store(axes, np.int64)], shape)


def _matmul(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    names = [f"{role}{len(b.nodes)}" for role in "mn"]
    b.nodes.append(helper.make_node("Transpose", [x], names[:1], perm=[0, 2, 3, 1]))
    b.nodes.append(helper.make_node("MatMul", [names[0], b.store(b.kernels(c, 4))], names[1:]))
    b.add("Transpose", [names[1]], (n, 4, h, w), perm=[0, 3, 1, 2])


def _flatten(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    names = [f"{role}{len(b.nodes)}" for role in "fg"]
    weight = np.repeat(b.kernels(c, 5), h * w, axis=0)
    b.nodes.append(helper.make_node("Flatten", [x], names[:1]))
    b.nodes.append(
        helper.make_node("Gemm", [names[0], b.store(weight), b.store(b.numbers(5))], names[1:], alpha=0.5)
    )
    b.add("Reshape", [names[1], b.store([n, 5, 1, 1], np.int64)], (n, 5, 1, 1))


def _spread(b: Builder, x: str) -> None:
    n, c, h, w = b.shapes[x]
    if c % 4 == 0:
        b.add("DepthToSpace", [x], (n, c // 4, 2 * h, 2 * w), blocksize=2, mode=b.pick("DCR", "CRD"))
    elif h % 2 == w % 2 == 0:
        b.add("SpaceToDepth", [x], (n, 4 * c, h // 2, w // 2), blocksize=2)


def _quantised(b: Builder, x: str) -> None:
    c = b.shapes[x][1]
    scale, zero = (
        (b.store(0.25), b.store(3, np.int8))
        if b.pick(True, False)
        else (b.store(np.full(c, 0.5)), b.store(np.zeros(c), np.int8))
    )
    name = f"k{len(b.nodes)}"
    b.nodes.append(helper.make_node("QuantizeLinear", [x, scale, zero], [name], axis=1))
    b.add("DequantizeLinear", [name, scale, zero], b.shapes[x], axis=1)


def _softmax(b: Builder, x: str) -> None:
    b.add(b.pick("Softmax", "LogSoftmax"), [x], b.shapes[x], axis=b.pick(1, -1))


STEPS: tuple[Callable[[Builder, str], None], ...] = (
    *(_conv, _conv, _conv, _transposed, _unary, _unary, _scaled, _scaled, _binary, _where),
    *(_squeeze_excite, _norm, _concat, _slice, _gather, _split, _shuffle, _pad, _pool, _resize),
    *(_reduce, _matmul, _flatten, _spread, _quantised, _softmax),
)


def random_model(seed: int, steps: int = 12) -> ModelProto:
    """A model of about so many ops; the last tensor is its output."""
    builder = Builder(seed)
    _conv(builder, "x")
    for _ in range(steps):
        builder.pick(*STEPS)(builder, builder.tensor())
    return builder.model()
