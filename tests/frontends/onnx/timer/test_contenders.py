"""Kernels in sessions of their own: what they are called."""

from __future__ import annotations

import pytest

from convaudit.frontends.onnx.timer.contenders import kernel_label
from convaudit.frontends.onnx.timer.profile import Event

LABELS = [
    pytest.param("conv", "Conv", "CPUExecutionProvider", "Conv", id="plain"),
    pytest.param("reorder_token_3_nchwc", "Conv", "CPUExecutionProvider", "Conv (NCHWc)", id="blocked"),
    pytest.param(
        "made", "OpenVINO-EP-subgraph_83", "OpenVINOExecutionProvider", "OpenVINO-EP-subgraph", id="compiled"
    ),
]


@pytest.mark.parametrize(("name", "op", "provider", "label"), LABELS)
def test_what_a_kernel_is_called_is_the_same_in_every_session(name, op, provider, label):
    assert (
        kernel_label(Event(name=name, op=op, provider=provider, seconds=1e-6, read=None, made=None)) == label
    )
