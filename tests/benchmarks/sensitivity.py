"""The smallest change of one weight that ``--verify`` finds, against the number of products a sum has.

One weight of typical size in one channel is multiplied by ``1 + change``; the layer runs in torch, and the
change shrinks until the verdict no longer names the channel. Writes the section "Sensitivity" of README.md.

    python -m tests.benchmarks.sensitivity
"""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import numpy as np

from convaudit.judge.verdict import judge
from tests.judge.kernels import Layer, by_torch, layer

README = Path(__file__).with_name("README.md")
SEEDS = range(5)
LAYERS = {  # inputs, outputs, kernel, size, groups
    "depthwise 3x3": (64, 64, 3, 28, 64),
    "dense 3x3, RGB": (3, 64, 3, 28, 1),
    "grouped 3x3": (64, 64, 3, 28, 16),
    "depthwise 7x7": (64, 64, 7, 28, 64),
    "pointwise": (64, 64, 1, 28, 1),
    "pointwise, wide": (512, 128, 1, 14, 1),
    "dense 3x3, 64": (64, 64, 3, 28, 1),
    "dense 3x3, 128": (128, 128, 3, 14, 1),
    "dense 3x3, 256": (256, 256, 3, 14, 1),
    "dense 3x3, 512": (512, 512, 3, 7, 1),
}


def main() -> None:
    rows = []
    for name, (inputs, outputs, kernel, size, groups) in LAYERS.items():
        layers = [layer(inputs, outputs, kernel, size, groups=groups, relu=True, seed=seed) for seed in SEEDS]
        changes = [smallest_change(each) for each in layers]
        bits = judge(layers[0].ran(by_torch(layers[0]))).bits
        output = f"{outputs} x {size} x {size}"
        rows.append(
            (layers[0].terms, name, output, f"{median(changes):.1e}", f"{max(changes):.1e}", f"{bits:.1f}")
        )
        print(*rows[-1], sep="\t")
    write(sorted(rows))


def smallest_change(honest: Layer) -> float:
    """Relative change of a typical weight below which it is no longer found, to a factor of 2**0.25."""
    channel = len(honest.weight) // 2
    weight = honest.weight[channel].reshape(-1)
    typical = int(np.abs(np.abs(weight) - np.sqrt(np.square(weight).mean())).argmin())
    finds, misses = 0, 96  # quarters of a power of two
    while misses - finds > 1:
        middle = (finds + misses) // 2
        if found(honest, channel, typical, 2 ** (-middle / 4)):
            finds = middle
        else:
            misses = middle
    return float(2 ** (-finds / 4))


def found(honest: Layer, channel: int, index: int, change: float) -> bool:
    """Whether the verdict is a mismatch in that channel and no other."""
    weight = honest.weight.copy()
    weight[channel].reshape(-1)[index] *= np.float32(1 + change)
    verdict = judge(honest.ran(by_torch(honest.but(weight=weight))))
    where = (verdict.location or "").split(";")[0]
    return verdict.status == "mismatch" and where == f"output channel {channel}"


def write(rows: list[tuple[object, ...]]) -> None:
    """Replace the section of the README, or append it."""
    header = ("products n", "layer", "output", "smallest change", "worst seed", "honest bits")
    table = ["| " + " | ".join(map(str, row)) + " |" for row in (header, ["---"] * len(header), *rows)]
    introduction = """## Sensitivity

The smallest relative change of one weight of typical size for which the verdict names its output
channel: median and worst of five random layers behind a ReLU, with torch's float32 kernels. "Honest bits"
is the accuracy of the unchanged layer. Written by `python -m tests.benchmarks.sensitivity`.
"""
    section = "\n".join([introduction, *table, ""])
    text = README.read_text(encoding="utf-8") if README.exists() else "# Benchmarks\n"
    before, found_, rest = text.partition("## Sensitivity\n")
    following = re.search(r"^## ", rest, re.MULTILINE)
    after = rest[following.start() :] if found_ and following else ""
    README.write_text(before.rstrip() + "\n\n" + section + ("\n" + after if after else ""), encoding="utf-8")


if __name__ == "__main__":
    main()
