"""Names of ONNX element types, as NumPy and ml_dtypes call them."""

from __future__ import annotations

from onnx import TensorProto

_NAMES = {
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "STRING": "str",
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
    "FLOAT8E8M0": "float8_e8m0fnu",
    "FLOAT4E2M1": "float4_e2m1fn",
    "FLOAT6E2M3": "float6_e2m3fn",
    "FLOAT6E3M2": "float6_e3m2fn",
}
_BY_NUMBER: dict[int, str] = {
    number: _NAMES.get(name, name.lower()) for name, number in TensorProto.DataType.items() if number
}


def dtype_name(data_type: int) -> str:
    """``float32``, ``bfloat16``, ``int4``, ...; ``unknown`` for a number that ONNX does not define."""
    return _BY_NUMBER.get(data_type, "unknown")


def data_type(dtype: str) -> int:
    """The number of an element type; 0, which means undefined, for a name that ONNX does not have."""
    return next((number for number, name in _BY_NUMBER.items() if name == dtype), TensorProto.UNDEFINED)


def is_floating(dtype: str) -> bool:
    """Whether the type holds real numbers: float, bfloat, the 8-bit floats and below, complex."""
    return dtype.startswith(("float", "bfloat", "complex"))
