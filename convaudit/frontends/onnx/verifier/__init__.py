"""ONNX models re-executed: what onnxruntime was given and returned for each convolution, judged."""

from __future__ import annotations

from convaudit.frontends.onnx.verifier.in_situ import verify_in_situ
from convaudit.frontends.onnx.verifier.isolated import verify_isolated

__all__ = ["verify_in_situ", "verify_isolated"]
