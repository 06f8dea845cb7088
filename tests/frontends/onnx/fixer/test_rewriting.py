"""A network rewritten as a plan asks that was made by hand: what each op needs to be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

from convaudit.feeds import open_sizes, random_feeds
from convaudit.frontends.onnx.channels.facts import Facts, KnownElements
from convaudit.frontends.onnx.channels.plan import Plan
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError
from convaudit.frontends.onnx.fixer.rewriting import rewritten
from convaudit.frontends.onnx.variant.spill import Spill
from tests.frontends.onnx.models import model, values, walk, walked

ZERO = (1, 4)
"""Filters that are all zero, of 6: their bias is what they give."""
STAY = np.setdiff1d(np.arange(6), ZERO)
X, Y = "float[1,3,6,6] x", "float[1,4,a,b] y"
W, B = values("w", 6, 3, 3, 3), values("b", 6, scale=0.3)
CONV = "[c] t = Conv <pads=[1,1,1,1]> (x, w, b)"


def idle(text: str, *, opset: int = 21) -> ModelProto:
    """A model in which some filters of ``w`` are zero."""
    proto = model(text, opset=opset)
    tensor = next(item for item in proto.graph.initializer if item.name == "w")
    weight = numpy_helper.to_array(tensor).copy()
    weight[list(ZERO)] = 0
    tensor.CopyFrom(numpy_helper.from_array(weight, "w"))
    return proto


def shrunk(
    proto: ModelProto, tmp_path: Path, kept: dict[str, dict[int, np.ndarray]], known: dict[str, np.ndarray]
) -> ModelProto:
    """The model without those filters, by a plan: what stays of each tensor, and what its channels are."""
    mask = np.zeros(6, np.bool_)
    mask[list(ZERO)] = True
    facts = {
        ((), name): KnownElements(mask.reshape([-1 if size > 1 else 1 for size in array.shape]), array)
        for name, array in known.items()
    }
    plan = Plan(kept={((), name): axes for name, axes in kept.items()})
    made = rewritten(walked(proto), Facts(known=facts), plan, Spill(tmp_path / "spill"))
    onnx.checker.check_model(made.proto, full_check=True)
    return made.proto


def run(proto: ModelProto) -> list[np.ndarray]:
    network = walk(proto)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, random_feeds(network, open_sizes(network), 3))


FIRST = {"w": {0: STAY}, "b": {0: STAY}, "t": {1: STAY}}
V = values("v", 4, 6, 1, 1)
GRAPHS = [
    pytest.param(f"{CONV} r = Relu (t) [d] y = Conv (r, v)", V, {"r": {1: STAY}, "v": {1: STAY}}, id="relu"),
    pytest.param(
        f"{CONV} r = Relu (t) [d] y = Conv (r, v, e)",
        f"{V}, {values('e', 4)}",
        {"r": {1: STAY}, "v": {1: STAY}},
        id="bias",
    ),
]


@pytest.mark.parametrize(("nodes", "stored", "more"), GRAPHS)
def test_outputs_stay(nodes: str, stored: str, more: dict, tmp_path: Path) -> None:
    proto = idle(f"g ({X}) => ({Y}) <{W}, {B}, {stored}> {{ {nodes} }}")
    bias = numpy_helper.to_array(proto.graph.initializer[1]).reshape(1, 6, 1, 1)
    known = {"t": bias, "r": np.maximum(bias, 0)}
    smaller = shrunk(proto, tmp_path, {**FIRST, **more}, known)
    first, *_ = smaller.graph.initializer
    assert (first.name, tuple(first.dims)) == ("w", (4, 3, 3, 3))
    for ours, theirs in zip(run(smaller), run(proto), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_what_is_read_and_not_constant_does_not_go(tmp_path: Path) -> None:
    proto = idle(f"g ({X}) => ({Y}) <{W}, {B}, {V}> {{ {CONV} r = Relu (t) [d] y = Conv (r, v) }}")
    with pytest.raises(CannotRewriteError, match=r"^d: it reads a channel that is to go, and that is not c"):
        shrunk(proto, tmp_path, {**FIRST, "r": {1: STAY}, "v": {1: STAY}}, {})
