"""What an audit costs as a whole process, beside importing its libraries and beside a peer.

``python -m tests.benchmarks.accounting FOLDER [PYTHON-WITH-ONNX-TOOL-1.0.1]``; FOLDER from
``tests.benchmarks.models``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.processes import measure, table

BARE = "import click, tabulate, onnx"


def main() -> None:
    """Print one table per model, one for growth, one for ``--help``."""
    folder, peer = Path(sys.argv[1]), sys.argv[2:3]
    bare = {BARE: [sys.executable, "-c", BARE]}
    for name in ("mobilenet_v2", "resnet50", "embedded_1.9GB", "external_3.1GB"):
        path = str(folder / f"{name}.onnx")
        commands = {"convaudit": [sys.executable, "-m", "convaudit", path], **bare}
        if peer and "GB" not in name:
            commands["onnx_tool -i"] = [peer[0], "-m", "onnx_tool", "-i", path]
        print(table(name, measure(commands), "convaudit"))
    growth = {
        f"{layers} convolutions": [
            *(sys.executable, "-m", "convaudit", str(folder / f"chain_{layers}.onnx")),
            *("--format", "json"),
        ]
        for layers in (100, 1000, 10_000)
    }
    print(table("growth with the number of nodes", measure(growth, repeat=3), "100 convolutions"))
    start = {
        "convaudit --help": [sys.executable, "-m", "convaudit", "--help"],
        "import click": [sys.executable, "-c", "import click"],
    }
    print(table("start", measure(start), "import click"))


if __name__ == "__main__":
    main()
