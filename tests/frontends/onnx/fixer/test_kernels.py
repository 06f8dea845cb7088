"""Smaller kernels and hidden groups, written and run beside the original."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import convaudit

pytestmark = pytest.mark.usefixtures("trusted_runtime")

RNG = np.random.default_rng(5)


def network(
    weight: np.ndarray, size: tuple[int | str, ...] = (9, 9), op: str = "Conv", **attributes: Any
) -> ModelProto:
    """One convolution with a bias, and a Relu behind it."""
    groups = attributes.get("group", 1)
    first, second = weight.shape[:2]
    channels, outputs = (first, second * groups) if op == "ConvTranspose" else (second * groups, first)
    stored = {"w": weight, "b": RNG.standard_normal(outputs).astype(np.float32)}
    nodes = [
        helper.make_node(op, ["x", "w", "b"], ["t"], "conv", **attributes),
        helper.make_node("Relu", ["t"], ["y"], "relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def blocks(groups: int, outs: int, ins: int, *kernel: int, parts: int = 2, transposed: bool = False) -> Any:
    """A weight of ``groups`` that hides ``parts`` blocks in each, in an order of its own."""
    weight = np.zeros((groups, outs, ins, *kernel), np.float32)
    for group in weight:
        rows, columns = RNG.permutation(outs), RNG.permutation(ins)
        for part in range(parts):
            place = np.ix_(rows[part::parts], columns[part::parts])
            group[place] = RNG.standard_normal(group[place].shape)
    if transposed:
        weight = weight.swapaxes(1, 2)
    return np.ascontiguousarray(weight.reshape(-1, *weight.shape[2:]))


def cut(*shape: int, taps: Any) -> np.ndarray:
    """A weight that is zero but for some taps."""
    weight = np.zeros(shape, np.float32)
    weight[(slice(None), slice(None), *taps)] = RNG.standard_normal(shape)[(slice(None), slice(None), *taps)]
    return weight


HIDDEN = [
    pytest.param(blocks(1, 6, 4, 3, 3), {"pads": [1] * 4}, 2, id="dense"),
    pytest.param(blocks(1, 6, 9, 1, 1, parts=3), {}, 3, id="pointwise"),
    pytest.param(blocks(2, 4, 6, 3, 3), {"group": 2}, 4, id="grouped"),
    pytest.param(
        blocks(1, 4, 6, 2, 2, transposed=True), {"op": "ConvTranspose", "strides": [2, 2]}, 2, id="transposed"
    ),
    pytest.param(
        blocks(3, 4, 2, 2, 2, transposed=True),
        {"op": "ConvTranspose", "group": 3},
        6,
        id="transposed-grouped",
    ),
]


@pytest.mark.parametrize(("weight", "attributes", "groups"), HIDDEN)
def test_hidden_groups_are_written(weight: np.ndarray, attributes: dict[str, Any], groups: int) -> None:
    proto = network(weight, **attributes)
    (finding,) = convaudit.lint(proto)
    assert (finding.rule, finding.fixable) == ("CA204", True)
    smaller = convaudit.fix(proto)  # verified beside the original
    (layer,) = convaudit.audit(smaller).layers
    assert layer.groups == groups
    assert layer.params - layer.out_channels == np.count_nonzero(weight)
    assert convaudit.lint(smaller) == []


CROPPED = [
    pytest.param(
        cut(3, 2, 5, 5, taps=np.s_[1:4, 1:4]), (9, 9), {"pads": [2] * 4}, (3, 3), id="five-is-three"
    ),
    pytest.param(
        cut(3, 2, 5, 5, taps=np.s_[2:, :]),
        (9, 9),
        {"pads": [4, 1, 0, 1], "dilations": [2, 1]},
        (3, 5),
        id="dilated",
    ),
    pytest.param(
        cut(3, 2, 5, 5, taps=np.s_[1:4, 1:4]), ("h", "w"), {"auto_pad": "SAME_UPPER"}, (3, 3), id="same"
    ),
    pytest.param(cut(3, 2, 9, taps=np.s_[3:8,]), (30,), {"pads": [4, 4]}, (5,), id="one-dimension"),
    pytest.param(
        cut(2, 3, 4, 4, taps=np.s_[1:, 1:]),
        (5, 5),
        {"op": "ConvTranspose", "strides": [2, 2], "pads": [1] * 4},
        (3, 3),
        id="transposed",
    ),
    pytest.param(
        cut(3, 2, 5, taps=np.s_[:4,]), (7,), {"strides": [4], "pads": [0, 0]}, (4,), id="stride-skips-the-end"
    ),
    pytest.param(
        RNG.standard_normal((3, 2, 3, 3), np.float32), (1, 1), {"pads": [1] * 4}, (1, 1), id="padding"
    ),
    pytest.param(
        RNG.standard_normal((3, 2, 3, 3), np.float32),
        (1, 5),
        {"pads": [1] * 4},
        (1, 3),
        id="padding-of-one-axis",
    ),
    pytest.param(cut(3, 2, 5, taps=np.s_[2:,]), (2,), {"pads": [2, 2]}, (2,), id="both"),
]


@pytest.mark.parametrize(("weight", "size", "attributes", "kernel"), CROPPED)
def test_kernels_are_cropped(
    weight: np.ndarray, size: tuple[Any, ...], attributes: dict[str, Any], kernel: tuple[int, ...]
) -> None:
    proto = network(weight, size, **attributes)
    findings = convaudit.lint(proto)
    assert {finding.rule for finding in findings} <= {"CA201", "CA202"}
    assert all(finding.fixable for finding in findings)
    smaller = convaudit.fix(proto)
    (layer,) = convaudit.audit(smaller).layers
    assert layer.kernel_size == kernel
    assert convaudit.lint(smaller) == []


def test_a_border_that_no_padding_makes_up_for_stays() -> None:
    (finding,) = convaudit.lint(network(cut(3, 2, 5, 5, taps=np.s_[1:, :])))
    assert (finding.rule, finding.fixable) == ("CA201", False)
    assert finding.reason == "its padding is smaller than what would go of the kernel, or is not known"
