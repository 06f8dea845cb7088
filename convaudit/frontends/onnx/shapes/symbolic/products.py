"""Shapes of matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.formulas import Count, add, floor_divide
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown, broadcast, times
from convaudit.records import Shape


def product_shape(left: Shape, right: Shape) -> Shape:
    """Shape of ``left @ right``, as NumPy has it; Unknown for scalars."""
    if not left or not right:
        raise Unknown
    rows: tuple[Count | None, ...] = (left[-2],) if len(left) > 1 else ()
    columns: tuple[Count | None, ...] = (right[-1],) if len(right) > 1 else ()
    batch = broadcast(left[:-2], right[:-2])
    if batch is None:
        raise Unknown
    return (*batch, *rows, *columns)


def matmul(*, left: int = 0, right: int = 1, dtype_of: int = 0, dtype: int = 0) -> Rule:
    """The rule of a batched matrix product of the operands ``left`` and ``right``."""

    def rule(call: Call) -> Sequence[Tensor]:
        return [Tensor(dtype or call.dtype(dtype_of), product_shape(call.shape(left), call.shape(right)))]

    return rule


def gemm(call: Call, *, right: int = 1, dtype_of: int = 0) -> Sequence[Tensor]:
    """Gemm: both matrices may be transposed."""
    a, b = call.shape(), call.shape(right)
    if len(a) != 2 or len(b) != 2:
        raise Unknown
    rows = a[1] if call.attributes.integer("transA", 0) else a[0]
    columns = b[0] if call.attributes.integer("transB", 0) else b[1]
    return [Tensor(call.dtype(dtype_of), (rows, columns))]


def attention(call: Call) -> Sequence[Tensor]:
    """Attention: the result; keys and values with those of the past; the scores."""
    query, key, value = (_heads(call, index) for index in range(3))
    keys = add(_past(call), key[2])
    result: Shape = (query[0], query[1], query[2], value[3])
    if len(call.shape()) == 3:
        result = (query[0], query[2], times(query[1], value[3]))
    return [
        Tensor(call.dtype(), result),
        Tensor(call.dtype(1), (key[0], key[1], keys, key[3])),
        Tensor(call.dtype(2), (value[0], value[1], keys, value[3])),
        Tensor(call.dtype(), (query[0], query[1], query[2], keys)),
    ]


def _heads(call: Call, index: int) -> Shape:
    """Batch, heads, length and head size of an operand, which may have its heads side by side."""
    shape = call.shape(index)
    if len(shape) == 4:
        return shape
    heads = call.attributes.integer("kv_num_heads" if index else "q_num_heads", 0)
    if len(shape) != 3 or heads < 1:
        raise Unknown
    hidden = shape[2]
    return (shape[0], heads, shape[1], floor_divide(hidden, heads))


def _past(call: Call) -> Count | None:
    """Length of the keys before."""
    return call.shape(4)[2] if call.has(4) else 0
