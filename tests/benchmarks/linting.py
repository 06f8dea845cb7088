"""What ``convaudit lint`` costs as a whole process, beside the audit of the same file.

``python -m tests.benchmarks.linting FOLDER``; writes its models into FOLDER if they are not there.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.benchmarks.models import chain
from tests.benchmarks.processes import measure, table

NETWORKS = ("mobilenet_v2", "resnet50", "resnext50_32x4d")


def random_chain(path: Path, layers: int, channels: int) -> None:
    """A row of 3x3 convolutions and activations with random weights: nothing can be found in it."""
    values = np.random.default_rng(0)
    nodes, stored = [], []
    for index in range(layers):
        weight = values.standard_normal((channels, channels, 3, 3)).astype(np.float32)
        stored.append(numpy_helper.from_array(weight, f"w{index}"))
        operands, name = [f"x{index}", f"w{index}"], f"conv{index}"
        nodes.append(helper.make_node("Conv", operands, [f"y{index}"], name, pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"y{index}"], [f"x{index + 1}"], f"relu{index}"))
    shape = [1, channels, 8, 8]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def networks(folder: Path) -> None:
    """Networks as torch exports them, with untrained weights."""
    import torch

    import tests.conftest  # noqa: F401 - declares what torchvision misses

    for name in NETWORKS:
        if (folder / f"{name}.onnx").exists():
            continue
        module = getattr(import_module("torchvision.models"), name)().eval()
        with torch.no_grad():
            program = torch.onnx.export(module, (torch.randn(1, 3, 224, 224),), dynamo=True, verbose=False)
        program.save(folder / f"{name}.onnx", external_data=False)


def main() -> None:
    """Print one table per model."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    networks(folder)
    if not (folder / "random_10000.onnx").exists():
        random_chain(folder / "random_1000.onnx", 1000, 52)
        random_chain(folder / "random_10000.onnx", 10_000, 16)
        chain(folder / "zeros_10000.onnx", 10_000, 16)
    for name in (*NETWORKS, "random_1000", "random_10000", "zeros_10000"):
        path = str(folder / f"{name}.onnx")
        audit = [sys.executable, "-m", "convaudit", path, "--format", "json"]
        lint = [sys.executable, "-m", "convaudit", "lint", path, "--exit-zero"]
        print(table(name, measure({"lint": lint, "audit": audit}, repeat=3), "audit"), flush=True)


if __name__ == "__main__":
    main()
