"""The table of the multiplying ops beside convolutions, and the list of those that multiply nothing.

A row says what one costs, and which of its operands hold parameters. Convolutions are in ``ops``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

from onnx import defs

from convaudit.frontends.onnx.ops import CONV_OPS, op_name
from convaudit.frontends.onnx.walker import mac_counters
from convaudit.frontends.onnx.walker.mac_counters import Counter

_NONE: frozenset[int] = frozenset()
_NO_RULE = "no counting rule"
_FFT = "depends on the FFT algorithm"


@dataclass(frozen=True, slots=True)
class MultiplyingOp:
    """One row; operands are named by their position."""

    macs: Counter | str  # how one is counted, or why it cannot be
    settings: frozenset[int] = _NONE  # operands that are scales, zero points, states: no parameters
    integer_parameters: frozenset[int] = _NONE  # operands that are parameters although they are integers
    added: frozenset[int] = _NONE  # operands that are biases: added, not multiplied
    packed: int | None = None  # the weight that is packed: the attributes K and N are its sizes


_RECURRENT = MultiplyingOp(mac_counters.recurrent_macs, settings=frozenset({4, 5}), added=frozenset({3}))
_MATMUL = MultiplyingOp(mac_counters.matmul_macs)
_GEMM = MultiplyingOp(mac_counters.gemm_macs, added=frozenset({2}))
_FUSED_MATMUL = MultiplyingOp(mac_counters.fused_matmul_macs)
_UNCOUNTED = MultiplyingOp(_NO_RULE)

# Ops of com.microsoft that may multiply, for which there is no count; none of them convolves.
_UNCOUNTED_OF_MICROSOFT = frozenset(
    {"AttnLSTM", "BeamSearch", "CDist", "DecoderAttention", "DecoderMaskedMultiHeadAttention"}
    | {"DecoderMaskedSelfAttention", "DynamicSparseAttention", "EngramGate", "GatedDeltaNet"}
    | {"GatedRelativePositionBias", "GreedySearch", "GroupQueryAttention", "HyperConnectionPostMix"}
    | {"HyperConnectionPreMix", "Inverse", "Irfft", "LinearAttention", "LinearAttentionGate"}
    | {"LongformerAttention", "MatMulBlockQuantizedFp4Weight", "MatMulBlockQuantizedFp8Weight"}
    | {"MatMulNBitsMlp", "MatMulNBitsQkv", "MoE", "NGramHashMapping", "PackedAttention"}
    | {"PackedMultiHeadAttention", "PackedSparseAttentionIndexer", "PagedAttention", "QMoE"}
    | {"QOrderedAttention", "QOrderedLongformerAttention", "QOrderedMatMul", "RelativePositionBias", "Rfft"}
    | {"Sampling", "SparseAttention", "SparseAttentionIndexer", "SparsePagedAttention"}
    | {"SparseToDenseMatMul", "VarlenNGramHashMapping", "WhisperBeamSearch"}
)

MULTIPLYING_OPS: dict[str, MultiplyingOp] = {
    "AffineGrid": MultiplyingOp(mac_counters.affine_grid_macs),
    "Attention": MultiplyingOp(mac_counters.attention_macs, added=frozenset({3}), settings=frozenset({4, 5})),
    "DFT": MultiplyingOp(_FFT),
    "Det": MultiplyingOp("depends on the algorithm"),
    "Einsum": MultiplyingOp(mac_counters.einsum),
    "GRU": _RECURRENT,
    "Gemm": _GEMM,
    "LSTM": MultiplyingOp(mac_counters.recurrent_macs, added=frozenset({3}), settings=frozenset({4, 5, 6})),
    "LinearAttention": MultiplyingOp(_NO_RULE, settings=frozenset({3})),
    "MatMul": _MATMUL,
    "MatMulInteger": MultiplyingOp(
        mac_counters.matmul_macs, settings=frozenset({2, 3}), integer_parameters=frozenset({0, 1})
    ),
    "QLinearMatMul": MultiplyingOp(
        mac_counters.matmul_macs,
        settings=frozenset({1, 2, 4, 5, 6, 7}),
        integer_parameters=frozenset({0, 3}),
    ),
    "RNN": _RECURRENT,
    "STFT": MultiplyingOp(_FFT),
    "ai.onnx.ml.LinearClassifier": _UNCOUNTED,
    "ai.onnx.ml.LinearRegressor": _UNCOUNTED,
    "ai.onnx.ml.SVMClassifier": _UNCOUNTED,
    "ai.onnx.ml.SVMRegressor": _UNCOUNTED,
    "ai.onnx.preview.FlexAttention": _UNCOUNTED,
    "com.microsoft.Attention": MultiplyingOp(
        mac_counters.projected_attention_macs, added=frozenset({2, 5}), settings=frozenset({4, 6})
    ),
    "com.microsoft.DynamicQuantizeLSTM": MultiplyingOp(
        mac_counters.recurrent_macs,
        added=frozenset({3}),
        settings=frozenset({4, 5, 6, 8, 9, 10, 11}),
        integer_parameters=frozenset({1, 2}),
    ),
    "com.microsoft.DynamicQuantizeMatMul": MultiplyingOp(
        mac_counters.matmul_macs,
        added=frozenset({4}),
        settings=frozenset({2, 3}),
        integer_parameters=frozenset({1}),
    ),
    "com.microsoft.FusedGemm": _GEMM,
    "com.microsoft.FusedMatMul": _FUSED_MATMUL,
    "com.microsoft.FusedMatMulActivation": _FUSED_MATMUL,
    "com.microsoft.GemmFastGelu": MultiplyingOp(mac_counters.matmul_macs, added=frozenset({2})),
    "com.microsoft.GemmFloat8": MultiplyingOp(
        mac_counters.gemm_macs, added=frozenset({2}), settings=frozenset({3, 4, 5})
    ),
    "com.microsoft.MatMulBnb4": MultiplyingOp(
        mac_counters.matmul_of_packed_macs, settings=frozenset({2}), packed=1
    ),
    "com.microsoft.MatMulFpQ4": _MATMUL,
    "com.microsoft.MatMulInteger16": _MATMUL,
    "com.microsoft.MatMulIntegerToFloat": MultiplyingOp(
        mac_counters.matmul_macs,
        added=frozenset({6}),
        settings=frozenset({2, 3, 4, 5}),
        integer_parameters=frozenset({1}),
    ),
    "com.microsoft.MatMulNBits": MultiplyingOp(
        mac_counters.matmul_of_packed_macs, added=frozenset({5}), settings=frozenset({2, 3}), packed=1
    ),
    "com.microsoft.MultiHeadAttention": MultiplyingOp(
        mac_counters.multi_head_attention_macs, added=frozenset({3, 5}), settings=frozenset({6, 7, 8})
    ),
    "com.microsoft.QAttention": MultiplyingOp(
        partial(mac_counters.projected_attention_macs, past=8),
        added=frozenset({2}),
        settings=frozenset({3, 4, 6, 7, 8}),
        integer_parameters=frozenset({1}),
    ),
    "com.microsoft.QGemm": MultiplyingOp(
        mac_counters.gemm_macs,
        added=frozenset({6}),
        settings=frozenset({1, 2, 4, 5, 7, 8}),
        integer_parameters=frozenset({3, 6}),
    ),
    "com.microsoft.TransposeMatMul": _FUSED_MATMUL,
    **{f"com.microsoft.{name}": _UNCOUNTED for name in _UNCOUNTED_OF_MICROSOFT},
}
"""By op, as in ``CONV_OPS``."""

# Activations, normalisations, layout, quantisation.
_OF_MICROSOFT = frozenset(
    {"BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BifurcationDetector"}
    | {"BitmaskBiasDropout", "BitmaskDropout", "BranchwiseRMSNorm", "ComplexMul", "ComplexMulConj"}
    | {"CropAndResize", "DequantizeBFP", "DequantizeLinear", "DequantizeWithOrder", "DynamicTimeWarping"}
    | {"EmbedLayerNormalization", "ExpandDims", "FastGelu", "GatedAdd", "GatedRMSNorm"}
    | {"GatherBlockQuantized", "GatherND", "Gelu", "GemmaRotaryEmbedding", "GridSample", "GroupNorm"}
    | {"IsAllFinite", "MRotaryEmbedding", "MaxpoolWithMask", "MulInteger", "MurmurHash3"}
    | {"NGramRepeatBlock", "NhwcMaxPool", "Pad", "QEmbedLayerNormalization", "QLinearAdd"}
    | {"QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu"}
    | {"QLinearMul", "QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere"}
    | {"QOrderedGelu", "QOrderedLayerNormalization", "QuantizeBFP", "QuantizeLinear"}
    | {"QuantizeWithOrder", "QuickGelu", "Range", "ReduceSumInteger", "RemovePadding"}
    | {"RestorePadding", "RotaryEmbedding", "SampleOp", "ScaledSiLU", "SkipGroupNorm"}
    | {"SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Tokenizer", "TorchEmbedding"}
    | {"Trilu", "UnfoldTensor", "Unique"}
)
NOT_MULTIPLYING = frozenset(
    {f"com.microsoft.{name}" for name in _OF_MICROSOFT}
    | {"com.microsoft.nchwc.ReorderInput", "com.microsoft.nchwc.ReorderOutput"}
    # onnxruntime writes these into ONNX's own domain
    | {"Affine", "Crop", "DynamicSlice", "GivenTensorFill", "ImageScaler", "MemcpyFromHost"}
    | {"MemcpyToHost", "ParametricSoftplus", "Scale", "ScaledTanh", "SimplifiedLayerNormalization"}
    | {"EfficientNMS_TRT", "MultilevelCropAndResize_TRT", "PyramidROIAlign_TRT"}
)
"""Ops that multiply-accumulate nothing, beside those of ONNX's own that are in neither table."""

_REORDERED = frozenset({"com.microsoft.nchwc", "com.ms.internal.nhwc"})
"""Domains of known ops in another layout."""


@lru_cache(maxsize=4096)
def multiplies_nothing(domain: str, op_type: str) -> bool:
    """Whether an op is known to multiply-accumulate nothing."""
    op = op_name(domain, op_type)
    if op in MULTIPLYING_OPS or op in CONV_OPS:
        return False
    if op in NOT_MULTIPLYING or defs.has(op_type, domain="" if domain == "ai.onnx" else domain):
        return True
    return domain in _REORDERED and any(multiplies_nothing(known, op_type) for known in ("", "com.microsoft"))
