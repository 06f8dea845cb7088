"""convaudit's own grouped convolution: arrays in, arrays out.

It knows no model format and imports neither torch nor onnx nor onnxruntime: that is its worth as a witness.

Every public function checks its ``operands``, resolves its ``geometry``, picks a method and hands it to
``execution``, which runs it tile by tile (``tiling``) on several ``threads``. The methods are ``columns``
(dense and grouped), ``bands`` (depthwise), ``scatter`` (transposed) and ``sampling`` (deformable).
"""

from __future__ import annotations

from convaudit.engine.causal import causal_conv
from convaudit.engine.convolution import conv
from convaudit.engine.counterpart import dense_weight
from convaudit.engine.counting import MacCounter
from convaudit.engine.deformable import deform_conv
from convaudit.engine.integers import conv_integer, conv_qlinear
from convaudit.engine.transposition import conv_transpose

__all__ = [
    "MacCounter",
    "causal_conv",
    "conv",
    "conv_integer",
    "conv_qlinear",
    "conv_transpose",
    "deform_conv",
    "dense_weight",
]
