"""The engine's convolutions of whole networks, beside torch's eager forward of those networks.

    python -m tests.benchmarks.engine_speed [--rounds 15] [--reference]

torch and the engine have a process of their own each, 2 threads both, and take turns: a round is one forward
of the network in torch, and one pass over its convolutions in the engine (and in torch, for the layers'
table). A convolution's input is written right before it runs, as the layer before would have done.
``--reference`` also times onnx's ReferenceEvaluator, once a distinct layer.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

NETWORKS = ("mobilenet_v2", "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0", "convnext_tiny")
THREADS = 2
Row: TypeAlias = tuple[str, float, float]  # layer, seconds in the engine, seconds in torch


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Torch:
    """Times a whole network, and each of its convolutions alone."""

    def __init__(self) -> None:
        from tests.conftest import TORCHVISION_OPERATORS

        self.operators = (
            TORCHVISION_OPERATORS  # without them torchvision does not import beside CPU-only torch
        )
        import torch
        import torchvision

        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        self.torch, self.models = torch, torchvision.models

    def load(self, name: str) -> list[dict[str, Any]]:
        self.net = getattr(self.models, name)(weights=None).eval()
        self.image = self.torch.randn(1, 3, 224, 224)
        self.calls: list[tuple[Any, Any]] = []

        def record(module: Any, inputs: Any, _output: Any) -> None:
            self.calls.append((module, inputs[0].clone()))

        convs = [module for module in self.net.modules() if isinstance(module, self.torch.nn.Conv2d)]
        hooks = [module.register_forward_hook(record) for module in convs]
        self.forward()
        for hook in hooks:
            hook.remove()
        return [
            {
                "x": list(x.shape),
                "weight": list(module.weight.shape),
                "bias": module.bias is not None,
                "stride": list(module.stride),
                "padding": list(module.padding),
                "dilation": list(module.dilation),
                "groups": module.groups,
            }
            for module, x in self.calls
        ]

    def forward(self) -> None:
        with self.torch.inference_mode():
            self.net(self.image)

    def round(self) -> dict[str, Any]:
        whole = seconds(self.forward)
        layers = []
        with self.torch.inference_mode():
            for module, x in self.calls:
                x.neg_()  # as the layer before would have written it just now
                layers.append(seconds(lambda: module(x)))  # noqa: B023  # called at once
        return {"whole": whole, "layers": layers}


class Engine:
    """Times each convolution of a network in convaudit's engine."""

    def load(self, layers: list[dict[str, Any]]) -> None:
        import numpy as np

        rng = np.random.default_rng(0)
        self.layers = []
        for layer in layers:
            x = rng.standard_normal(layer["x"], dtype=np.float32)
            weight = rng.standard_normal(layer["weight"], dtype=np.float32)
            bias = rng.standard_normal(len(weight), dtype=np.float32) if layer["bias"] else None
            options = {key: layer[key] for key in ("stride", "padding", "dilation", "groups")}
            self.layers.append((x, weight, bias, options))

    def round(self) -> dict[str, Any]:
        import numpy as np

        from convaudit.engine import conv

        times = []
        for x, weight, bias, options in self.layers:
            np.negative(x, out=x)  # as the layer before would have written it just now
            times.append(seconds(lambda: conv(x, weight, bias, threads=THREADS, **options)))  # noqa: B023
        return {"layers": times}

    def reference(self) -> list[float]:
        """Seconds that onnx's ReferenceEvaluator takes for each layer; equal layers are timed once."""
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        known: dict[str, float] = {}
        times = []
        for x, weight, _, options in self.layers:
            key = json.dumps([x.shape, weight.shape, options])
            if key not in known:
                node = helper.make_node(
                    "Conv",
                    ["x", "w"],
                    ["y"],
                    strides=options["stride"],
                    pads=options["padding"] * 2,
                    dilations=options["dilation"],
                    group=options["groups"],
                )
                values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xwy"]
                evaluator = ReferenceEvaluator(
                    helper.make_model(helper.make_graph([node], "conv", values[:2], values[2:]))
                )
                known[key] = seconds(lambda: evaluator.run(None, {"x": x, "w": weight}))  # noqa: B023
            times.append(known[key])
        return times


class Worker:
    """A process that answers calls of one of the classes above, one line of JSON each way."""

    def __init__(self, kind: str) -> None:
        threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        command = [sys.executable, "-m", "tests.benchmarks.engine_speed", "--worker", kind]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | threads
        )

    def __call__(self, method: str, *arguments: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    @staticmethod
    def serve(kind: str) -> None:
        subject = {"torch": Torch, "engine": Engine}[kind]()
        for line in sys.stdin:
            method, *arguments = json.loads(line)
            print(json.dumps(getattr(subject, method)(*arguments)), flush=True)


def layer_name(layer: dict[str, Any]) -> str:
    _, channels, *size = layer["x"]
    filters, _, *kernel = layer["weight"]
    sizes = f"{channels}->{filters} {'x'.join(map(str, kernel))} on {'x'.join(map(str, size))}"
    return f"{sizes} stride {layer['stride'][0]} groups {layer['groups']}"


def measure(name: str, torch: Worker, engine: Worker, rounds: int) -> tuple[float, float, list[Row]]:
    """Median seconds of the network in torch and of its convolutions in the engine, and a row for each."""
    layers = torch("load", name)
    engine("load", layers)
    pairs = [(torch("round"), engine("round")) for _ in range(rounds + 2)][2:]
    whole = statistics.median(theirs["whole"] for theirs, _ in pairs)
    ours = statistics.median(sum(mine["layers"]) for _, mine in pairs)
    rows = []
    for index, layer in enumerate(layers):
        theirs = statistics.median(their["layers"][index] for their, _ in pairs)
        mine = statistics.median(my["layers"][index] for _, my in pairs)
        rows.append((f"{name}: {layer_name(layer)}", mine, theirs))
    return whole, ours, rows


def print_layers(rows: list[Row]) -> None:
    """Equal layers of a network as one line, the slowest against torch first."""
    equal = collections.defaultdict(list)
    for name, mine, theirs in rows:
        equal[name].append((mine, theirs))
    lines = []
    for name, times in equal.items():
        mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        lines.append((mine / theirs, mine, theirs, len(times), name))
    print(f"\n{'engine/torch':>12}{'engine ms':>11}{'torch ms':>10}{'layers':>8}  layer, slowest ratio first")
    for ratio, mine, theirs, count, name in sorted(lines, reverse=True):
        print(f"{ratio:>12.2f}{mine * 1e3:>11.3f}{theirs * 1e3:>10.3f}{count:>8}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--worker", choices=["torch", "engine"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        Worker.serve(arguments.worker)
        return
    torch, engine = Worker("torch"), Worker("engine")
    ratios, rows = [], []
    print("milliseconds, medians")
    print(f"{'network':<20}{'torch, whole':>14}{'engine, convs':>15}{'ratio':>7}{'ReferenceEvaluator':>20}")
    for name in arguments.networks:
        whole, ours, layers = measure(name, torch, engine, arguments.rounds)
        ratios.append(ours / whole)
        rows += layers
        reference = f"{sum(engine('reference')) * 1e3:.0f}" if arguments.reference else "-"
        print(
            f"{name:<20}{whole * 1e3:>14.1f}{ours * 1e3:>15.1f}{ours / whole:>7.2f}{reference:>20}",
            flush=True,
        )
    print(f"{'geometric mean':<49}{statistics.geometric_mean(ratios):>7.2f}")
    print_layers(rows)


if __name__ == "__main__":
    main()
