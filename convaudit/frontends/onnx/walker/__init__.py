"""ONNX models to ``Network`` records.

A model is expanded (local functions), its inputs are fixed or named, shapes are inferred in stages, and its
graphs are walked as scopes; each convolution becomes a record, everything else a count.
"""

from __future__ import annotations

from convaudit.frontends.onnx.walker.walk import Walked, walk_onnx

__all__ = ["Walked", "walk_onnx"]
