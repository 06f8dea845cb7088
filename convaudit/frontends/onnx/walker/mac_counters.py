"""Multiply-accumulates of the multiplying ops beside convolutions, as functions of their operands' shapes.

A counter returns None where a shape it needs is unknown. As for convolutions the count
is nominal: masked or causal attention counts every position, and additions of a bias count nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from convaudit.formulas import Count, add, floor_divide, multiply, product
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.records import Shape

Counter: TypeAlias = Callable[[Node], "Count | None"]


def matmul_macs(node: Node, *, left: int = 0) -> Count | None:
    """``prod(output) * K``, where K is the contracted (last) axis of the left operand."""
    return multiply(product(node.output_shape()), _size(node.input_shape(left), -1))


def gemm_macs(node: Node) -> Count | None:
    """``M * N * K`` of a matrix product whose left operand may be transposed."""
    contracted = 0 if node.attributes.integer("transA", 0) else -1
    return multiply(product(node.output_shape()), _size(node.input_shape(0), contracted))


def fused_matmul_macs(node: Node) -> Count | None:
    """A batched matrix product; ``transA`` makes the last but one axis the contracted one.

    ``transBatchA`` moves the row axis in front of the batch axes.
    """
    attributes = node.attributes
    transposed = 0 if attributes.integer("transBatchA", 0) else -2
    return multiply(
        product(node.output_shape()),
        _size(node.input_shape(0), transposed if attributes.integer("transA", 0) else -1),
    )


def matmul_of_packed_macs(node: Node) -> Count | None:
    """The weight is packed: its attributes ``K`` and ``N`` hold the logical sizes."""
    rows = node.input_shape(0)
    size = node.attributes.size("K", default=0, minimum=0)
    columns = node.attributes.size("N", default=0, minimum=0)
    return None if rows is None else multiply(*rows[:-1], size, columns)


def recurrent_macs(node: Node) -> Count | None:
    """Every time step multiplies the input with W and the hidden state with R, in every direction."""
    x, w, r = node.input_shape(0), node.input_shape(1), node.input_shape(2)
    if x is None or len(x) != 3 or w is None or r is None:
        return None
    return multiply(x[0], x[1], add(product(w), product(r)))


def attention_macs(node: Node) -> Count | None:
    """ai.onnx Attention: ``Q @ K.T`` and the scores times V, over the past keys as well."""
    heads = node.attributes.integer("q_num_heads", 0)
    key_heads = node.attributes.integer("kv_num_heads", 0)
    query, key, value = (_heads(node.input_shape(i), heads if i == 0 else key_heads) for i in range(3))
    if query is None or key is None or value is None:
        return None
    keys = _with_past(node, 4, key[2])
    scores = multiply(query[0], query[1], query[2], keys)
    return multiply(scores, add(query[3], value[3]))


def multi_head_attention_macs(node: Node) -> Count | None:
    """com.microsoft.MultiHeadAttention with separate query, key and value of rank 3."""
    query, key, value = (node.input_shape(index) for index in range(3))
    if query is None or key is None or value is None or not len(query) == len(key) == len(value) == 3:
        return None
    keys = _with_past(node, 6, key[1])
    return multiply(query[0], query[1], keys, add(query[2], value[2]))


def projected_attention_macs(node: Node, *, weight: int = 1, past: int = 4) -> Count | None:
    """com.microsoft.Attention: the projections to Q, K and V, then the attention itself."""
    x, w = node.input_shape(0), node.input_shape(weight)
    if x is None or w is None or len(x) != 3 or len(w) != 2 or w[1] is None:
        return None
    declared = node.attributes.integers("qkv_hidden_sizes") or []
    if any(size < 0 for size in declared):
        return None
    hidden: list[Count] = list(declared) or [w[1] // 3] * 3
    projection = multiply(*x, w[1])
    scores = multiply(x[0], x[1], _with_past(node, past, x[1]), hidden[0] + hidden[2])
    return add(projection, scores)


def affine_grid_macs(node: Node) -> Count | None:
    """Every output coordinate is a product with one row of an affine matrix."""
    shape = node.output_shape()
    axes = _size(shape, -1)
    return multiply(product(shape), add(axes, 1))


def einsum(node: Node) -> Count | None:
    """Product of the sizes of all labels, once per operand beyond the first: the sum as it is written.

    A single operand is only summed or reordered: 0.
    """
    terms = node.attributes.string("equation", "").replace(" ", "").split("->")[0].split(",")
    if len(terms) != len(node.proto.input):
        return None
    if len(terms) == 1:
        return 0
    sizes: dict[str, Count | None] = {}
    for index, term in enumerate(terms):
        shape = node.input_shape(index)
        labels = None if shape is None else _labels(term, len(shape))
        if shape is None or labels is None:
            return None
        for label, size in zip(labels, shape, strict=True):
            # a size of 1 broadcasts against the label's other uses
            if sizes.get(label, 1) == 1 or size is None:
                sizes[label] = size
    return multiply(*sizes.values(), len(terms) - 1)


def _labels(term: str, rank: int) -> list[str] | None:
    """Labels of an operand's axes; those under an ellipsis are numbered from the right."""
    left, ellipsis, right = term.partition("...")
    hidden = rank - len(left) - len(right)
    if hidden < 0 or (hidden and not ellipsis):
        return None
    return [*left, *(f"...{hidden - axis}" for axis in range(hidden)), *right]


def _heads(shape: Shape | None, heads: int) -> Shape | None:
    """(batch, heads, length, head size) of an operand that may have its heads side by side."""
    if shape is None or len(shape) == 4:
        return shape
    if len(shape) != 3 or heads < 1:
        return None
    hidden = shape[2]
    return (shape[0], heads, shape[1], floor_divide(hidden, heads))


def _with_past(node: Node, index: int, length: Count | None) -> Count | None:
    """Number of keys: those given, and those of a past that the operand at ``index`` carries."""
    return add(length, _size(node.input_shape(index), -2)) if node.input(index) else length


def _size(shape: Shape | None, axis: int) -> Count | None:
    return None if shape is None or not -len(shape) <= axis < len(shape) else shape[axis]
