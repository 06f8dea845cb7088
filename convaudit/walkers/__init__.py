"""Native models to ``Network`` records: the only rooms that know ONNX's or torch's attribute names."""
