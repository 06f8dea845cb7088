"""Rules of onnxruntime's own ops, which it writes when it optimises or quantises a model."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from convaudit.formulas import Count, floor_divide, multiply
from convaudit.frontends.onnx.shapes.symbolic import products, spatial
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule, normalized, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.gathering import without_axes
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown, agreed, broadcast
from convaudit.records import Shape

MICROSOFT, NCHWC, NHWC = "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"
_WIDEST_VECTOR = 16


def _same(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.dtype(), call.shape())]


def _broadcast_of(*operands: int, dtype_of: int = 0) -> Rule:
    return lambda call: [
        Tensor(call.dtype(dtype_of), broadcast(*(call.tensor(index).shape for index in operands)))
    ]


def _concat(call: Call) -> Sequence[Tensor]:
    """QLinearConcat: the result's scale and zero point, then each part with its own."""
    shapes = [call.shape(index) for index in range(2, len(call.node.input), 3)]
    if not shapes or len({len(shape) for shape in shapes}) != 1:
        raise Unknown
    axis = normalized(call.attributes.integer("axis", 0), len(shapes[0]))
    sizes: list[Count | None] = []
    for place, column in enumerate(zip(*shapes, strict=True)):
        known = [size for size in column if size is not None]
        added = sum(known) if len(known) == len(column) else None
        sizes.append(added if place == axis else agreed(column))
    return [Tensor(call.dtype(2), tuple(sizes))]


def _reduce_mean(call: Call) -> Sequence[Tensor]:
    shape = call.shape()
    given = call.attributes.integers("axes")
    axes = normalized_all(given, len(shape)) if given else list(range(len(shape)))
    keep = bool(call.attributes.integer("keepdims", 1))
    return [Tensor(call.dtype(), without_axes(shape, axes, keep))]


def _gemm_quantized(call: Call) -> Sequence[Tensor]:
    """QGemm: a float result unless the output's scale is given."""
    (result,) = products.gemm(call, right=3)
    return [result._replace(dtype=call.dtype(8) if call.has(8) else TensorProto.FLOAT)]


def _fused_matmul(call: Call) -> Sequence[Tensor]:
    attributes = call.attributes
    left = _turned(call.shape(), attributes.integer("transBatchA", 0), attributes.integer("transA", 0))
    right = _turned(call.shape(1), attributes.integer("transBatchB", 0), attributes.integer("transB", 0))
    return [Tensor(call.dtype(), products.product_shape(left, right))]


def _turned(shape: Shape, batch: int, last: int) -> Shape:
    """The logical shape of an operand of FusedMatMul."""
    if batch and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if last and len(shape) > 1 else shape


def _packed_matmul(call: Call) -> Sequence[Tensor]:
    columns = call.attributes.integer("N", 0)
    if columns < 1:
        raise Unknown
    return [Tensor(call.dtype(), (*call.shape()[:-1], columns))]


def _attention(call: Call) -> Sequence[Tensor]:
    """Attention with its projections: the result is as wide as the values."""
    shape, weight = call.shape(), call.shape(1)
    if len(shape) != 3 or len(weight) != 2:
        raise Unknown
    hidden = call.attributes.integers("qkv_hidden_sizes")
    width = hidden[2] if hidden and len(hidden) == 3 else floor_divide(weight[1], 3)
    return [Tensor(call.dtype(), (*shape[:2], width))]


def _multi_head_attention(call: Call) -> Sequence[Tensor]:
    query, value = call.shape(), call.shape(2)
    if not len(query) == len(value) == 3:
        raise Unknown
    return [Tensor(call.dtype(), (*query[:2], value[2]))]


def _reorder_input(call: Call) -> Sequence[Tensor]:
    """To channels filled up to a machine's vector width, which is 8 or 16."""
    shape = call.shape()
    if len(shape) < 3:
        raise Unknown
    last = bool(call.attributes.integer("channels_last", 0))
    channels, sizes = (shape[-1], shape[1:-1]) if last else (shape[1], shape[2:])
    kept = channels if isinstance(channels, int) and channels % _WIDEST_VECTOR == 0 else None
    return [Tensor(call.dtype(), (shape[0], kept, *sizes))]


def _upsample_reordered(call: Call) -> Sequence[Tensor]:
    shape, scales = call.shape(), call.attributes.integers("scales") or []
    if len(scales) != len(shape) or any(scale < 1 for scale in scales):
        raise Unknown
    return [Tensor(call.dtype(), tuple(map(multiply, shape, scales)))]


def _reorder_output(call: Call) -> Sequence[Tensor]:
    """Back to plain channels, without those that filled a vector up."""
    shape = call.shape()
    channels = call.attributes.integer("channels", 0)
    if channels < 1 or len(shape) < 3:
        raise Unknown
    if call.attributes.integer("channels_last", 0):
        return [Tensor(call.dtype(), (shape[0], *shape[2:], channels))]
    return [Tensor(call.dtype(), (shape[0], channels, *shape[2:]))]


_LIKE_FIRST = frozenset(
    {"BiasGelu", "FastGelu", "Gelu", "GroupNorm", "QLinearLeakyRelu", "QLinearSigmoid"}
    | {"QLinearSoftmax", "QuickGelu", "RotaryEmbedding", "SkipLayerNormalization"}
    | {"SkipSimplifiedLayerNormalization", "Trilu", "BiasSoftmax", "BiasAdd"}
)


def _quantize(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.dtype(2) if call.has(2) else TensorProto.UINT8, call.shape())]


def _dequantize(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.dtype(1), call.shape())]


CONTRIB_RULES: dict[tuple[str, str], Rule] = {
    ("", "SimplifiedLayerNormalization"): _same,
    **{(MICROSOFT, op): _same for op in _LIKE_FIRST},
    (MICROSOFT, "Attention"): _attention,
    (MICROSOFT, "DequantizeLinear"): _dequantize,
    (MICROSOFT, "DynamicQuantizeMatMul"): products.matmul(),
    (MICROSOFT, "FusedGemm"): products.gemm,
    (MICROSOFT, "FusedMatMul"): _fused_matmul,
    (MICROSOFT, "GemmFastGelu"): products.matmul(),
    (MICROSOFT, "GridSample"): spatial.grid_sample,
    (MICROSOFT, "MatMulIntegerToFloat"): products.matmul(dtype_of=2),
    (MICROSOFT, "MatMulNBits"): _packed_matmul,
    (MICROSOFT, "MultiHeadAttention"): _multi_head_attention,
    (MICROSOFT, "NhwcMaxPool"): spatial.pooling(last=True),
    (MICROSOFT, "QGemm"): _gemm_quantized,
    (MICROSOFT, "QLinearAdd"): _broadcast_of(0, 3),
    (MICROSOFT, "QLinearAveragePool"): spatial.pooling(),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearGlobalAveragePool"): spatial.global_pooling(),
    (MICROSOFT, "QLinearMul"): _broadcast_of(0, 3),
    (MICROSOFT, "QLinearReduceMean"): _reduce_mean,
    (MICROSOFT, "QLinearWhere"): _broadcast_of(0, 1, 4, dtype_of=1),
    (MICROSOFT, "QuantizeLinear"): _quantize,
    (NCHWC, "AveragePool"): spatial.pooling(),
    (NCHWC, "GlobalAveragePool"): spatial.global_pooling(),
    (NCHWC, "GlobalMaxPool"): spatial.global_pooling(),
    (NCHWC, "MaxPool"): spatial.pooling(),
    (NCHWC, "ReorderInput"): _reorder_input,
    (NCHWC, "ReorderOutput"): _reorder_output,
    (NCHWC, "Upsample"): _upsample_reordered,
    (NHWC, "AveragePool"): spatial.pooling(last=True),
    (NHWC, "GlobalAveragePool"): spatial.global_pooling(last=True),
    (NHWC, "GlobalMaxPool"): spatial.global_pooling(last=True),
    (NHWC, "MaxPool"): spatial.pooling(last=True),
}
