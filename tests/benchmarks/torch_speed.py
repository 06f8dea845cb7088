"""Auditing torch modules beside torch's FlopCounterMode and torchinfo, and what verification adds.

    python -m tests.benchmarks.torch_speed [--rounds 7] [--all]

Each tool gets a process of its own, which imports torch, builds the network and counts; they take turns, and
the medians of the wall times are printed. ``counting`` is the audit alone in a warm process, ``verify`` what
``verify=True`` takes there. torchinfo is not a dependency of the tests: ``pip install torchinfo`` first.
``--all`` also checks every classification network of torchvision against its published numbers.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

NETWORKS = ("mobilenet_v2", "resnet50")
IMAGE = (1, 3, 224, 224)

BUILD = """
import torch
import tests.conftest  # declares what torchvision misses beside a CPU-only torch
import torchvision
net = torchvision.models.{name}(weights=None).eval()
image = torch.zeros{image}
"""
TOOLS = {
    "convaudit": """
import convaudit
print(convaudit.audit("torchvision:{name}", input_shape={image}))
""",
    "FlopCounterMode": BUILD
    + """
from torch.utils.flop_counter import FlopCounterMode
with torch.no_grad(), FlopCounterMode(display=True):
    net(image)
""",
    "torchinfo": BUILD
    + """
import torchinfo
print(torchinfo.summary(net, input_size={image}, depth=10, verbose=0))
""",
}
WARM = """
import time
import convaudit
from convaudit.frontends.torch.loader.source import load_torch_source
net = load_torch_source("torchvision:{name}")
def seconds(**how):
    start = time.perf_counter()
    convaudit.audit(net, input_shape={image}, **how)
    return time.perf_counter() - start
seconds(), seconds(verify=True)
print(min(seconds() for _ in range(5)), min(seconds(verify=True) for _ in range(3)))
"""


def run(script: str, name: str) -> tuple[float, str]:
    """Wall time of a process, in seconds, and what it printed."""
    start = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-c", script.format(name=name, image=IMAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def compare(name: str, rounds: int) -> None:
    times: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    for _ in range(rounds):
        for tool, script in TOOLS.items():
            times[tool].append(run(script, name)[0])
    ours = statistics.median(times["convaudit"])
    for tool, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:14}  {tool:16}  {median:6.2f} s  {median / ours:5.2f}x")
    counting, verify = map(float, run(WARM, name)[1].split())
    print(f"{name:14}  counting alone    {counting:6.2f} s\n{name:14}  with verify=True  {verify:6.2f} s")


def published() -> None:
    """Every classification network of torchvision against what its weights' metadata publish."""
    import convaudit
    from convaudit.frontends.torch.loader.source import load_torch_source

    load_torch_source("torchvision:alexnet", weights=False)  # makes torchvision importable
    import torchvision

    agreeing = []
    for name in torchvision.models.list_models(module=torchvision.models):
        weights = torchvision.models.get_model_weights(name)
        smallest = min(weights, key=lambda each: each.transforms.keywords["crop_size"])
        meta, crop = smallest.meta, smallest.transforms.keywords["crop_size"]
        totals = convaudit.audit(f"torchvision:{name}", input_shape=(1, 3, crop, crop)).totals
        macs = totals.model_macs if isinstance(totals.model_macs, int) else 0
        agrees = totals.model_params == meta["num_params"], round(macs / 1e9, 3) == meta["_ops"]
        agreeing.append(all(agrees))
        if not all(agrees):
            print(f"{name}: {totals.model_params} parameters for {meta['num_params']}", end=", ")
            print(f"{macs:,} MACs for {meta['_ops']} G")
    print(f"{sum(agreeing)} of {len(agreeing)} networks: parameters and MACs as published, to the last digit")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    for name in NETWORKS:
        compare(name, arguments.rounds)
    if arguments.all:
        published()


if __name__ == "__main__":
    main()
