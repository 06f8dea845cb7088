"""The models that the benchmarks run on, written into a folder.

``python -m tests.benchmarks.models FOLDER``. The large ones are sparse files: they take no room on the disk.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

RAW_DATA = bytes([9 << 3 | 2])
GRAPH, INITIALIZER = bytes([7 << 3 | 2]), bytes([5 << 3 | 2])


def torchvision_models(folder: Path) -> None:
    """Networks as torch exports them, with untrained weights."""
    import torch

    import tests.conftest  # noqa: F401 - declares what torchvision misses

    networks = import_module("torchvision.models")
    for name in ("mobilenet_v2", "resnet50"):
        module = getattr(networks, name)().eval()
        with torch.no_grad():
            program = torch.onnx.export(module, (torch.randn(1, 3, 224, 224),), dynamo=True, verbose=False)
        program.save(folder / f"{name}.onnx", external_data=False)


def chain(path: Path, layers: int, channels: int, *, external: bool = False) -> None:
    """A row of 3x3 convolutions and activations, whose weights are holes in the file."""
    weight = TensorProto(dims=[channels, channels, 3, 3], data_type=TensorProto.FLOAT)
    length = channels * channels * 9 * 4
    graph = GraphProto(name="chain")
    graph.input.append(helper.make_tensor_value_info("x0", TensorProto.FLOAT, [1, channels, 8, 8]))
    graph.output.append(helper.make_tensor_value_info(f"x{layers}", TensorProto.FLOAT, None))
    heads = []
    for index in range(layers):
        graph.node.extend(_layer(index))
        weight.name = f"w{index}"
        if external:
            kept = graph.initializer.add()
            kept.CopyFrom(weight)
            kept.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", f"{path.name}.data"), ("offset", str(index * length)), ("length", str(length)),
            ):  # fmt: skip
                kept.external_data.add(key=key, value=value)
        else:
            head = weight.SerializeToString() + RAW_DATA + _varint(length)
            heads.append(INITIALIZER + _varint(len(head) + length) + head)
    rest = graph.SerializeToString()
    model = ModelProto(ir_version=10, opset_import=[helper.make_opsetid("", 20)]).SerializeToString()
    size = len(rest) + sum(len(head) + length for head in heads)
    with path.open("wb") as file:
        file.write(model + GRAPH + _varint(size) + rest)
        for head in heads:
            file.write(head)
            file.seek(length, 1)
        file.truncate()
    if external:
        with Path(f"{path}.data").open("wb") as file:
            file.truncate(layers * length)


def _layer(index: int) -> list[NodeProto]:
    conv = helper.make_node(
        "Conv",
        [f"x{index}", f"w{index}"],
        [f"y{index}"],
        f"conv{index}",
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
    )
    return [conv, helper.make_node("Relu", [f"y{index}"], [f"x{index + 1}"], f"relu{index}")]


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def main() -> None:
    """Write all models that are not there yet."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "resnet50.onnx").exists():
        torchvision_models(folder)
    chain(folder / "embedded_1.9GB.onnx", 50, 1024)
    chain(folder / "external_3.1GB.onnx", 82, 1024, external=True)
    for layers in (100, 1000, 10_000):
        chain(folder / f"chain_{layers}.onnx", layers, 32)


if __name__ == "__main__":
    main()
