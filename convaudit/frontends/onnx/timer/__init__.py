"""How long each convolution of an ONNX model takes, in a run of the model and alone beside its dense twin."""

from __future__ import annotations

from convaudit.frontends.onnx.timer.from_files import times_from_files
from convaudit.frontends.onnx.timer.in_model import time_model

__all__ = ["time_model", "times_from_files"]
