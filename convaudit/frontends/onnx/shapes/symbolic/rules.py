"""The rules: which op's shape is known, and how. Whatever is in none of these tables is unknown.

Every row is compared with what onnxruntime computes, by ``python -m tests.fuzz.shapes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from onnx import TensorProto

from convaudit.frontends.onnx.ops import CONV_OPS, op_name
from convaudit.frontends.onnx.shapes.prepared import OURS
from convaudit.frontends.onnx.shapes.symbolic import contrib, cutting, gathering, products, reshaping, spatial
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule, constant_node
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, broadcast


def _same(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.dtype(), call.shape())]


def _same_as(dtype: int) -> Rule:
    return lambda call: [Tensor(dtype, call.shape())]


def _broadcast(call: Call) -> Sequence[Tensor]:
    if call.opset < 7:
        return _same(call)  # the second operand is stretched to the first
    shapes = [call.tensor(index).shape for index in range(len(call.node.input))]
    return [Tensor(call.dtype(), broadcast(*shapes))]


def _broadcast_truth(call: Call) -> Sequence[Tensor]:
    (result,) = _broadcast(call)
    return [result._replace(dtype=TensorProto.BOOL)]


def _broadcast_all(call: Call) -> Sequence[Tensor]:
    if call.opset < 8:
        return _same(call)  # all operands have one shape
    return _broadcast(call)


def _where(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.dtype(1), broadcast(*(call.tensor(index).shape for index in range(3))))]


def _cast(call: Call) -> Sequence[Tensor]:
    if call.node.op_type == "CastLike":
        return [Tensor(call.dtype(1), call.shape())]
    names = TensorProto.DataType
    to = call.attributes.string("to", "") if call.opset < 6 else ""
    return [Tensor(names.Value(to) if to in names.keys() else call.attributes.integer("to", 0), call.shape())]  # noqa: SIM118


def _dropout(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.dtype(), call.shape()), Tensor(TensorProto.BOOL, call.shape())]


def _quantize(call: Call) -> Sequence[Tensor]:
    declared = call.attributes.integer("output_dtype", 0)
    return [Tensor(declared or (call.dtype(2) if call.has(2) else TensorProto.UINT8), call.shape())]


def _dequantize(call: Call) -> Sequence[Tensor]:
    return [Tensor(call.attributes.integer("output_dtype", 0) or call.dtype(1), call.shape())]


def _quantize_dynamically(call: Call) -> Sequence[Tensor]:
    scalar: tuple[int, ...] = ()
    return [
        Tensor(TensorProto.UINT8, call.shape()),
        Tensor(TensorProto.FLOAT, scalar),
        Tensor(TensorProto.UINT8, scalar),
    ]


def _shape(call: Call) -> Sequence[Tensor]:
    rank = len(call.shape())
    start, end = call.attributes.integer("start", 0), call.attributes.integer("end", rank)
    length = len(range(*slice(start, end).indices(rank))) if call.opset >= 15 else rank
    return [Tensor(TensorProto.INT64, (length,))]


def _like(call: Call) -> Sequence[Tensor]:
    """RandomNormalLike and its like."""
    return [Tensor(call.attributes.integer("dtype", 0) or call.dtype(), call.shape())]


_UNARY = frozenset(
    {"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu"}
    | {"Clip", "Cos", "Cosh", "CumSum", "CumProd", "Elu", "Erf", "Exp", "Floor", "Gelu"}
    | {"HardSigmoid", "HardSwish", "Hardmax", "Identity", "LRN", "LeakyRelu", "Log", "LogSoftmax"}
    | {"LpNormalization", "Mish", "Neg", "MeanVarianceNormalization", "Not", "PRelu"}
    | {"RMSNormalization", "Reciprocal", "Relu", "Round", "Scatter", "ScatterElements"}
    | {"ScatterND", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus"}
    | {"Softsign", "Sqrt", "Swish", "Tan", "Tanh", "TensorScatter", "ThresholdedRelu", "Trilu"}
    | {"InstanceNormalization", "GroupNormalization", "BatchNormalization", "LayerNormalization"}
    | {"ReverseSequence"}
)
_ARITHMETIC = ["Add", "Sub", "Mul", "Div", "Pow", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"]
_COMPARISON = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"]
RULES: dict[tuple[str, str], Rule] = {
    **{("", op): _same for op in _UNARY},
    **{("", op): _broadcast for op in _ARITHMETIC},
    **{("", op): _broadcast_truth for op in _COMPARISON},
    **{("", op): _broadcast_all for op in ("Max", "Mean", "Min", "Sum")},
    **{("", op): rule for op, rule in (reshaping.RESHAPING | cutting.CUTTING | gathering.GATHERING).items()},
    **{("", op): spatial.pooling() for op in ("AveragePool", "LpPool", "MaxPool")},
    **{("", op): spatial.global_pooling() for op in ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")},
    ("", "AffineGrid"): spatial.affine_grid,
    ("", "Attention"): products.attention,
    ("", "BitCast"): _cast,
    ("", "Cast"): _cast,
    ("", "CastLike"): _cast,
    ("", "Constant"): lambda call: [constant_node(call)],
    ("", "DequantizeLinear"): _dequantize,
    ("", "Dropout"): _dropout,
    ("", "DynamicQuantizeLinear"): _quantize_dynamically,
    ("", "Gemm"): products.gemm,
    ("", "GridSample"): spatial.grid_sample,
    ("", "IsInf"): _same_as(TensorProto.BOOL),
    ("", "IsNaN"): _same_as(TensorProto.BOOL),
    ("", "MatMul"): products.matmul(),
    ("", "MatMulInteger"): products.matmul(dtype=TensorProto.INT32),
    ("", "MaxRoiPool"): spatial.roi_align,
    ("", "MaxUnpool"): spatial.max_unpool,
    ("", "QLinearMatMul"): products.matmul(right=3, dtype_of=7),
    ("", "QuantizeLinear"): _quantize,
    ("", "RandomNormalLike"): _like,
    ("", "RandomUniformLike"): _like,
    ("", "Resize"): spatial.resize,
    ("", "RoiAlign"): spatial.roi_align,
    ("", "STFT"): spatial.short_time_fourier,
    ("", "Shape"): _shape,
    ("", "Size"): lambda call: [Tensor(TensorProto.INT64, ())],
    ("", "Upsample"): spatial.upsample,
    ("", "Where"): _where,
    **contrib.CONTRIB_RULES,
}
"""By domain and op type; of convolutions see ``CONV_OPS``."""

STANDARD = frozenset(
    {"Bernoulli", "BlackmanWindow", "DFT", "Det", "Einsum", "EyeLike", "GRU", "HammingWindow"}
    | {"HannWindow", "LSTM", "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss"}
    | {"NonMaxSuppression", "RNN", "RandomNormal", "RandomUniform", "RotaryEmbedding", "Unique"}
    | {"SoftmaxCrossEntropyLoss", "StringNormalizer", "TfIdfVectorizer", "ImageDecoder"}
)
"""ONNX's own ops whose shape onnx's inference of the single node tells, formulas as names."""


def rule_of(domain: str, op: str) -> Rule | None:
    """The rule of an op; None if there is none."""
    domain = "" if domain in ("ai.onnx", OURS) else domain
    conv = CONV_OPS.get(op_name(domain, op))
    return RULES.get((domain, op)) if conv is None else partial(spatial.convolution, conv)
