"""Sources to ONNX models in memory, without their weights."""
