"""convaudit's own grouped convolution: arrays in, arrays out.

It knows no model format and imports neither torch nor onnx nor onnxruntime, so that it is independent of the
runtimes whose results it is compared with.

Every public function checks its ``operands``, resolves its ``geometry``, picks a method and hands it to
``tiles``, which runs it tile by tile on several ``threads``. The methods are ``columns`` (dense and grouped),
``bands`` (depthwise), ``transposed`` and ``deformable``.
"""

from __future__ import annotations

from convaudit.engine.convolution import causal_conv, conv, dense_weight
from convaudit.engine.deformable import deform_conv
from convaudit.engine.integers import conv_integer, conv_qlinear
from convaudit.engine.tiles import MacCounter
from convaudit.engine.transposed import conv_transpose

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
