"""Everything that knows ONNX: loader, shape inference, walker, verifier."""
