"""Layers whose sizes depend on data: the run that is verified need not have the sizes that were audited."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

import convaudit

MODEL = """<ir_version: 9, opset_import: ["" : 18]>
data_dependent (float[1,2,16] x) => (float[n,c,h] y)
<float[4,2,3] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6}>
{
  zero = Constant<value = float {0.0}>()
  positive = Greater(x, zero)
  ones = Cast<to=7>(positive)
  count = ReduceSum<keepdims=0>(ones)
  one = Constant<value_ints=[1]>()
  end = Reshape(count, one)
  start = Constant<value_ints=[0]>()
  axis = Constant<value_ints=[2]>()
  first = Slice(x, start, end, axis)
  y = Conv<ATTRIBUTES>(first, w)
}"""


@pytest.mark.parametrize("attributes", ["pads=[1,1]", 'auto_pad="SAME_UPPER", strides=[2]'])
@pytest.mark.parametrize("length", [3, 8, 9])
def test_other_sizes_than_the_audited_are_no_mismatch(attributes: str, length: int) -> None:
    model = onnx.parser.parse_model(MODEL.replace("ATTRIBUTES", attributes))
    x = np.where(np.arange(32).reshape(1, 2, 16) < length, 1.5, -1.0).astype(np.float32)
    report = convaudit.audit(model, verify="in-situ", data={"x": x})
    (layer,) = report.layers
    assert layer.shapes_from == ("run",)
    assert layer.verification is not None
    assert layer.verification.status in {"exact", "within_rounding"}
    assert layer.verification.executed_macs == (length if "pads" in attributes else -(-length // 2)) * 24


def test_sizes_that_the_structure_tells_are_not_called_sampled() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]>
        fixed (float[1,2,16] x) => (float[n,c,h] y)
        <float[4,2,3] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6}> { y = Conv(x, w) }"""
    )
    assert convaudit.audit(model).layers[0].notes == ()
