"""onnxruntime's own ops, as far as the walker must tell them apart."""

from __future__ import annotations

NOT_MULTIPLYING = frozenset(
    [
        "BiasAdd",
        "BiasDropout",
        "BiasGelu",
        "BiasSoftmax",
        "BiasSplitGelu",
        "BifurcationDetector",
        "BitmaskBiasDropout",
        "BitmaskDropout",
        "BranchwiseRMSNorm",
        "ComplexMul",
        "ComplexMulConj",
        "CropAndResize",
        "DequantizeBFP",
        "DequantizeLinear",
        "DequantizeWithOrder",
        "DynamicTimeWarping",
        "EmbedLayerNormalization",
        "ExpandDims",
        "FastGelu",
        "GatedAdd",
        "GatedRMSNorm",
        "GatherBlockQuantized",
        "GatherND",
        "Gelu",
        "GemmaRotaryEmbedding",
        "GridSample",
        "GroupNorm",
        "IsAllFinite",
        "MRotaryEmbedding",
        "MaxpoolWithMask",
        "MulInteger",
        "MurmurHash3",
        "NGramRepeatBlock",
        "NhwcMaxPool",
        "Pad",
        "QEmbedLayerNormalization",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QOrderedGelu",
        "QOrderedLayerNormalization",
        "QuantizeBFP",
        "QuantizeLinear",
        "QuantizeWithOrder",
        "QuickGelu",
        "Range",
        "ReduceSumInteger",
        "RemovePadding",
        "RestorePadding",
        "RotaryEmbedding",
        "SampleOp",
        "ScaledSiLU",
        "SkipGroupNorm",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "Tokenizer",
        "TorchEmbedding",
        "Trilu",
        "UnfoldTensor",
        "Unique",
    ]
)
"""Ops of com.microsoft that multiply nothing: activations, normalisations, layout, quantisation."""

STANDARD_DOMAIN = frozenset(
    {"Affine", "Crop", "DynamicSlice", "GivenTensorFill", "ImageScaler", "ParametricSoftplus", "Scale"}
    | {"ScaledTanh", "SimplifiedLayerNormalization", "MemcpyFromHost", "MemcpyToHost"}
    | {"EfficientNMS_TRT", "MultilevelCropAndResize_TRT", "PyramidROIAlign_TRT"}
)
"""Ops that onnxruntime writes into ONNX's own domain; they multiply-accumulate nothing either."""

REORDERING = frozenset({"ReorderInput", "ReorderOutput"})
"""Ops of com.microsoft.nchwc that no other domain has."""

NO_RULE = frozenset(
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
"""Ops of com.microsoft that may multiply, for which there is no count; none of them convolves."""
