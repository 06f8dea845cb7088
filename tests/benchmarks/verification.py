"""What ``--verify`` costs as a whole process, beside polygraphy's layer-wise save-and-compare.

``python -m tests.benchmarks.verification FOLDER [POLYGRAPHY]``; FOLDER from ``tests.benchmarks.models``,
POLYGRAPHY the program of version 0.53.6.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.processes import measure, table


def main() -> None:
    """Print one table per model."""
    folder, polygraphy = Path(sys.argv[1]), sys.argv[2:3]
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("mobilenet_v2", "resnet50"):
            path = str(folder / f"{name}.onnx")
            verify = [sys.executable, "-m", "convaudit", path]
            commands = {
                "convaudit --verify": [*verify, "--verify"],
                "convaudit --verify-isolated": [*verify, "--verify-isolated"],
            }
            print(table(name, measure(commands, repeat=5), "convaudit --verify"))
            if polygraphy:
                saved = str(Path(scratch) / f"{name}.json")
                run = [polygraphy[0], "run", path, "--onnxrt", "--onnx-outputs", "mark", "all"]
                peers = {"save": [*run, "--save-outputs", saved], "compare": [*run, "--load-outputs", saved]}
                print(table(f"{name}, polygraphy", measure(peers, repeat=1), "save"))


if __name__ == "__main__":
    main()
