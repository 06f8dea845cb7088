"""ONNX's own conformance cases: every convolution's walked output shape is that of the expected output."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS
from tests.frontends.onnx.models import places, runtime_shapes, walk, walked


def has_convolution(model: ModelProto) -> bool:
    return any(node.op_type in CONV_OPS for node in model.graph.node)


def file_cases(kind: str) -> list[Path]:
    folders = [Path(case.model_dir) for case in load_model_tests(kind=kind)]
    return [folder for folder in folders if has_convolution(onnx.load(folder / "model.onnx"))]


FOLDERS = file_cases("pytorch-converted") + file_cases("pytorch-operator")


def test_no_case_is_missed() -> None:
    assert len(FOLDERS) == 30, "onnx has other cases than before: look at them, then change the number"


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_exported_case(folder: Path) -> None:
    (layer,) = walk(onnx.load(folder / "model.onnx")).layers
    expected = onnx.TensorProto.FromString((folder / "test_data_set_0" / "output_0.pb").read_bytes())
    assert layer.output_shape == numpy_helper.to_array(expected).shape


@pytest.fixture(scope="module")
def node_cases() -> list[TestCase]:
    # onnx makes its cases by running all of its generators, for seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of those overflow on purpose
        return collect_testcases()


def test_node_cases(node_cases: list[TestCase]) -> None:
    cases = [case for case in node_cases if has_convolution(case.model)]
    assert len(cases) == 50, "onnx has other cases than before: look at them, then change the number"
    for case in cases:
        inputs, outputs = case.data_sets[0]
        found = walked(case.model)
        (layer,), ((index,),) = found.network.layers, places(found)
        result = case.model.graph.node[int(index)].output[0]
        expected = dict(zip([value.name for value in case.model.graph.output], outputs, strict=True))
        if result in expected:
            shape = expected[result].shape
        else:  # an op written out as several nodes: the convolution's result is an inner tensor
            feeds = dict(zip([value.name for value in case.model.graph.input], inputs, strict=True))
            shape = runtime_shapes(case.model, feeds)[result]
        assert layer.output_shape == shape, case.name


def test_every_operator_is_walked(node_cases: list[TestCase]) -> None:
    """No operator of ONNX, with whatever types, trips the walker; the few that stay uncounted say why."""
    networks = {case.name: walk(case.model, allow_run=False) for case in node_cases}
    unknown = {other.op for network in networks.values() for other in network.other_ops if other.macs is None}
    uncounted = {op for op, row in MULTIPLYING_OPS.items() if isinstance(row.macs, str)}
    elsewhere = {op for op in uncounted if op.startswith(("ai.onnx.ml", "com.microsoft"))}
    assert unknown == uncounted - elsewhere | {"MatMul"}
    refused = [
        name for name, network in networks.items() if any("refuses" in text for text in network.warnings)
    ]
    assert refused == []
