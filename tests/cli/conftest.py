from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from convaudit.cli.group import cli

LIGHT_MODELS = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
"""Real networks without their weights, which the onnx package ships."""


def save_model(
    path: Path, batch: int | str = 1, name: str = "conv", groups: int = 2, extra: str = ""
) -> Path:
    """A Conv of 4 to 8 channels, 3x3, on 8x8; ``extra`` is the type of a node behind it."""
    weight = numpy_helper.from_array(np.ones((8, 4 // groups, 3, 3), np.float32), "weight")
    nodes = [helper.make_node("Conv", ["x", "weight"], ["y"], name, group=groups)]
    if extra:
        nodes.append(helper.make_node(extra, ["y"], ["z"], domain="custom"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4, 8, 8])],
        [helper.make_tensor_value_info("z" if extra else "y", TensorProto.FLOAT, None)],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(save_model(tmp_path / "model.onnx"))


@pytest.fixture
def run() -> Callable[..., Result]:
    """The command line with its standard output and error apart."""

    def invoke(*args: str, **keywords: object) -> Result:
        return CliRunner().invoke(cli, list(args), prog_name="convaudit", **keywords)

    return invoke
