"""Peak memory of ``--verify`` beside onnxruntime's own, with the default ``--memory``, as whole processes.

``python -m tests.benchmarks.memory [SIZE...]``, by default 1024, 2048 and 4096: three 3x3 convolutions of 32
channels on 1x32xSIZExSIZE float32, of which each activation takes 2 GiB at 4096.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.processes import measure

LAYERS, CHANNELS = 3, 32


def write(path: Path, size: int) -> None:
    """The three convolutions as a model."""
    import numpy as np
    from onnx import helper, numpy_helper, save

    rng = np.random.default_rng(0)
    shape = [1, CHANNELS, size, size]
    weights = [rng.standard_normal((CHANNELS, CHANNELS, 3, 3), dtype=np.float32) / 17 for _ in range(LAYERS)]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [f"x{at}", f"w{at}"], [f"x{at + 1}"], pads=[1, 1, 1, 1])
            for at in range(LAYERS)
        ],
        "convolutions",
        [helper.make_tensor_value_info("x0", 1, shape)],
        [helper.make_tensor_value_info(f"x{LAYERS}", 1, shape)],
        [numpy_helper.from_array(weight, f"w{at}") for at, weight in enumerate(weights)],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def run(path: str) -> None:
    """The model in onnxruntime alone, on random input."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    x = np.random.default_rng(0).standard_normal(given.shape, dtype=np.float32)
    session.run(None, {given.name: x})


def main() -> None:
    """Print one row for each size."""
    sizes = [int(size) for size in sys.argv[1:]] or [1024, 2048, 4096]
    print("| size | onnxruntime alone | `convaudit --verify` | beside it |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.onnx"
            python = [sys.executable, "-m"]
            measure({"write": [*python, "tests.benchmarks.memory", "write", str(path), str(size)]}, repeat=1)
            costs = measure(
                {
                    "alone": [*python, "tests.benchmarks.memory", "run", str(path)],
                    "verify": [*python, "convaudit", str(path), "--verify"],
                },
                repeat=1,
            )
            alone, verify = costs["alone"], costs["verify"]
            print(
                f"| {size} | {alone.seconds:.1f} s, {alone.peak_mb:.0f} MB "
                f"| {verify.seconds:.1f} s, {verify.peak_mb:.0f} MB "
                f"| {verify.peak_mb - alone.peak_mb:+.0f} MB |"
            )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", path, size]:
            write(Path(path), int(size))
        case ["run", path]:
            run(path)
        case _:
            main()
