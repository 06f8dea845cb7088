"""Stored values that cannot be what they say: refused by the tensor's name, or counted as unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

import convaudit
from tests.frontends.onnx.models import model, walk

LOOP = """
g (float[1,4,8,8] x) => (float[n,c,h,l] y) <int64 count = {3}, float[4,4,1,1] w = {
    0,0,0,0, 0,0,0,0, 0,0,0,0, 0,0,0,0}> {
    y = Loop (count, "", x) <body = body (int64 i, bool go, float[1,4,8,8] v) => (bool on, float[1,4,8,8] u) {
        on = Identity(go)
        u = Conv(v, w)
    }>
}"""
DAMAGED = [
    pytest.param({"raw_data": b"\1\2\3"}, "do not fit", id="three-bytes"),
    pytest.param({}, "do not fit", id="no-data"),
    pytest.param({"dims": [2, 3], "raw_data": b"\1" * 8}, "do not fit", id="too-few"),
    pytest.param({"data_type": 99, "raw_data": b"\1" * 8}, "element type 99 is unknown", id="type"),
    pytest.param({"data_type": -5, "raw_data": b"\1" * 8}, "element type -5 is unknown", id="negative-type"),
    pytest.param({"data_type": 8, "string_data": [b"\xff"]}, "do not fit", id="text"),
    pytest.param({"segment": TensorProto.Segment(begin=0, end=1)}, "do not fit", id="segment"),
]


@pytest.mark.parametrize(("fields", "match"), DAMAGED)
def test_a_damaged_trip_count_is_refused_by_name(fields: dict[str, Any], match: str) -> None:
    proto = model(LOOP)
    assert walk(proto).layers[0].calls == 3
    (count,) = (tensor for tensor in proto.graph.initializer if tensor.name == "count")
    count.CopyFrom(TensorProto(**{"name": "count", "data_type": TensorProto.INT64, **fields}))
    with pytest.raises(convaudit.LoadError, match=rf"'count'.*{match}"):
        walk(proto)


@pytest.mark.parametrize("data_type", [99, -5, 0])
def test_whether_a_tensor_of_unknown_type_is_a_parameter_is_unknown(data_type: int) -> None:
    proto = model("g (float[1,4,8,8] x) => (float[n,c,h,l] y) { y = Conv(x, w) }")
    weight = numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "w")
    weight.data_type = data_type
    proto.graph.initializer.append(weight)
    report = convaudit.audit(proto)
    assert (report.totals.params, report.totals.model_params) == (8 * 4 * 9, None)
    assert "of the model's 0" not in str(report)
