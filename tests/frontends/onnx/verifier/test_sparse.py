"""Sparse weights: they are verified with the values that the model stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

import convaudit
from convaudit.frontends.onnx.verifier import in_situ, isolated, sparse, verify_in_situ, verify_isolated
from convaudit.records import Verification
from tests.frontends.onnx.models import model, walked

SHAPE = (6, 4, 3, 3)
PLACES = np.arange(0, 216, 5)
VALUES = np.random.default_rng(0).standard_normal(len(PLACES)).astype(np.float32)
DENSE = np.zeros(SHAPE, np.float32)
DENSE.reshape(-1)[PLACES] = VALUES
LINEAR = PLACES.astype(np.int64)
COORDINATES = np.stack(np.unravel_index(PLACES, SHAPE), axis=1).astype(np.int64)
RUNS = [
    pytest.param(verify_in_situ, in_situ, id="in-situ"),
    pytest.param(verify_isolated, isolated, id="isolated"),
]


def tensor(indices: np.ndarray[Any, Any], dims: tuple[int, ...] = SHAPE) -> onnx.SparseTensorProto:
    places = numpy_helper.from_array(indices, "w_indices")
    return helper.make_sparse_tensor(numpy_helper.from_array(VALUES, "w"), places, dims)


def initializer(indices: np.ndarray[Any, Any]) -> ModelProto:
    source = model("g (float[1,4,9,9] x) => (float[n,c,h,l] y) { y = Conv(x, w) }")
    source.graph.sparse_initializer.append(tensor(indices))
    return source


def in_a_body() -> ModelProto:
    source = model(
        "g (float[1,4,9,9] x) => (float[n,c,h,l] y) <bool c = {1}> {"
        " y = If (c) <then_branch = t () => (float[n,c,h,l] a) { a = Conv(x, w) },"
        " else_branch = e () => (float[n,c,h,l] b) { b = Relu(x) }> }"
    )
    (arm,) = [item.g for item in source.graph.node[0].attribute if item.name == "then_branch"]
    arm.sparse_initializer.append(tensor(LINEAR))
    return source


def constant() -> ModelProto:
    source = model("g (float[1,4,9,9] x) => (float[n,c,h,l] y) { y = Conv(x, w) }")
    source.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=tensor(LINEAR)))
    return source


FORMS = [
    pytest.param(lambda: initializer(LINEAR), id="linear"),
    pytest.param(lambda: initializer(COORDINATES), id="coordinates"),
    pytest.param(in_a_body, id="in-a-body"),
    pytest.param(constant, id="constant"),
]


@pytest.mark.parametrize("stored", [False, True], ids=["in-memory", "in-a-file"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("verify", "module"), RUNS)
def test_the_weight_is_the_real_one(
    verify: Any,
    module: Any,
    form: Callable[[], ModelProto],
    stored: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source: Any = form()
    if stored:
        onnx.save(source, tmp_path / "m.onnx")
        source = tmp_path / "m.onnx"
    found = walked(source)
    (verdict,) = verify(found).verdicts
    assert verdict.status == "within_rounding", verdict.reason
    weights = []

    def record(evidence: Any, **_: Any) -> Verification:
        weights.append(evidence.weight)
        return Verification(status="exact", reason="stub")

    monkeypatch.setattr(module, "judge", record)
    verify(found)
    np.testing.assert_array_equal(weights, [DENSE])


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        pytest.param(LINEAR + 200, "'w': its indices do not fit dims", id="beyond"),
        pytest.param(LINEAR - 3, "'w': its indices do not fit dims .*negative", id="negative"),
        pytest.param(
            COORDINATES[:, ::-1].copy(), "'w': its indices do not fit dims", id="coordinates-beyond"
        ),
        pytest.param(LINEAR[:-1], "'w': its indices do not fit dims", id="fewer"),
    ],
)
def test_indices_that_do_not_fit(indices: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(convaudit.LoadError, match=message):
        convaudit.audit(initializer(indices), verify=True)


def test_a_weight_that_is_too_large_to_be_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "_MOST_BYTES", DENSE.nbytes - 1)
    with pytest.raises(
        convaudit.ModelError, match=r"'w' of dims \[6, 4, 3, 3\] is too large to be made dense"
    ):
        convaudit.audit(initializer(LINEAR), verify="isolated")
