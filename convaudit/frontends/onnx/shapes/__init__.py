"""Sizes of every tensor of an ONNX model: from onnx, by rules over formulas, by one run."""
