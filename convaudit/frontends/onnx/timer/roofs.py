"""The most that the machine does: multiply-adds of a large product, bytes of a large copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.timer.contenders import Contender
from convaudit.records.timing import Roofs

_ROWS, _COLUMNS, _TERMS = 384, 512, 1024  # of a matrix product
_MACS = _ROWS * _COLUMNS * _TERMS
_COPIED = 2**25  # bytes, read and written: more than caches hold
_OPSET, _IR = 13, 8
COPY = "copy"


def roof_contenders(dtypes: Sequence[str]) -> dict[str, Contender]:
    """What to time for the roofs, by element type, and ``COPY``.

    Args:
        dtypes: Element types that the model convolves: of integers the product is of 8 bits.
    """
    generator = np.random.default_rng(0)
    products = {dtype: _product(dtype, generator) for dtype in dict.fromkeys(dtypes) if _has_product(dtype)}
    return {**products, COPY: _copy()}


def roofs_of(seconds: Mapping[str, Sequence[float]]) -> Roofs | None:
    """What the fastest rounds of each came to; None where no copy was timed.

    Args:
        seconds: By the contenders' names.
    """
    fastest = {name: min(samples) for name, samples in seconds.items() if samples}
    if COPY not in fastest:
        return None
    peaks = {name: _MACS / least for name, least in fastest.items() if name != COPY}
    return Roofs(macs_per_second=peaks, bytes_per_second=2 * _COPIED / fastest[COPY])


def _has_product(dtype: str) -> bool:
    return dtype in ("float16", "float32", "float64", "uint8", "int8")


def _product(dtype: str, generator: np.random.Generator) -> Contender:
    if dtype in ("uint8", "int8"):
        x = generator.integers(0, 100, (_ROWS, _TERMS)).astype(dtype)
        weight = generator.integers(-100, 100, (_TERMS, _COLUMNS)).astype(np.int8)
        return _contender("MatMulInteger", x, weight)
    x = generator.standard_normal((_ROWS, _TERMS)).astype(dtype)
    return _contender("MatMul", x, generator.standard_normal((_TERMS, _COLUMNS)).astype(dtype))


def _copy() -> Contender:
    return _contender("Flatten", np.ones((64, _COPIED // 4 // 64), np.float32))


def _contender(op: str, x: Array, *stored: Array) -> Contender:
    return Contender(partial(_model, op, x, stored), {"x": x})


def _model(op: str, x: Array, stored: Sequence[Array]) -> bytes:
    names = [f"stored.{index}" for index, _ in enumerate(stored)]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"])],
        "roof",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(array, name) for name, array in zip(names, stored, strict=True)],
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR
    )
    return bytes(model.SerializeToString())
