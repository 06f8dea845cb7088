"""What ``--time`` measures, measured again: by itself, by naive readings of profilers, by the clock.

``python -m tests.benchmarks.timing FOLDER [PART...]``; FOLDER has mobilenet_v2.onnx, resnext50_32x4d.onnx and
shufflenet_v2_x1_0.onnx, as ``--models`` writes them there. Each part prints a Markdown table:

- ``readme``: what groups promised and realised, as README shows it
- ``agree``: two complete runs of resnext50_32x4d, layer by layer
- ``itself``: every distinct layer against itself
- ``onnxruntime``: times in the model beside the profile of a session that knows nothing of convaudit
- ``torch``: the same beside torch.profiler, on the module
- ``cost``: how long ``convaudit MODEL --time`` takes, as a whole process

Without a PART all of them run, which takes about six minutes. Nothing else should: times of a busy machine
are those of what it is busy with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import convaudit
from convaudit.frontends import Request, TimeRequest, open_model
from convaudit.records import ConvLayer, LayerCost
from convaudit.records.timing import LayerSamples
from convaudit.reporters.time_cells import factor_text, realised_text, spread_text
from convaudit.reporters.times import ran_on
from convaudit.timing.layers import of_itself
from convaudit.units import human_seconds
from tests.benchmarks.processes import measure

NETWORKS = ("resnext50_32x4d", "shufflenet_v2_x1_0", "mobilenet_v2")
IMAGE = (1, 3, 224, 224)
BUDGET = 30.0
TURNS = 3
"""How often we and a profiler take turns; the median of the turns counts."""
LONG = 50e-6
"""Seconds from which a layer is compared with itself in another run."""
Row = Sequence[object]
Times = Sequence[float | None]


def table(headers: str, rows: Iterator[Row] | Sequence[Row], numbers: int) -> str:
    """Markdown, the last ``numbers`` columns at the right."""
    names = headers.split("|")
    rule = ["---"] * (len(names) - numbers) + ["---:"] * numbers
    lines = [names, rule, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shape_of(layer: LayerCost) -> tuple[object, ...]:
    """What makes two layers the same to time."""
    return (
        *(layer.op, layer.input_shape, layer.weight_shape, layer.stride, layer.padding, layer.dilation),
        *(layer.groups, layer.bias),
    )


def described(layer: LayerCost) -> str:
    """``128->128 3x3 g32 on 56x56``."""
    kernel, size = ("x".join(map(str, sizes)) for sizes in (layer.kernel_size or (), layer.input_shape[2:]))
    stride = f" s{layer.stride[0]}" if layer.stride and layer.stride[0] > 1 else ""
    return f"{layer.in_channels}->{layer.out_channels} {kernel}{stride} g{layer.groups} on {size}"


def distinct(layers: Sequence[LayerCost]) -> list[LayerCost]:
    """The first of each kind."""
    return [*{shape_of(layer): layer for layer in reversed(layers)}.values()][::-1]


# --- README's table -------------------------------------------------------------------------------------


def readme(folder: Path, networks: Sequence[str]) -> str:
    """Each network, then its best and its worst layer by efficiency."""
    rows: list[Row] = []
    for name in networks:
        report = convaudit.audit(folder / f"{name}.onnx", time=True, time_budget=BUDGET)
        timing = report.timing
        assert timing is not None
        run = f"{human_seconds(timing.seconds)} {spread_text(timing.spread)}"
        if timing.too_noisy is not None or timing.promised is None:
            rows.append([f"{name}, {run}", "", "", timing.too_noisy or "not measured", ""])
            continue
        whole = realised_text(timing.realised, timing.realised_interval)
        beside = realised_text(timing.with_reorders, timing.with_reorders_interval)
        layers = f"**{name}**, a run of {run}: {timing.grouped_layers} layers with groups"
        rows.append([layers, f"**{factor_text(timing.promised)}**", f"**{whole}**", beside, ""])
        known = [
            layer
            for layer in distinct(report.layers)
            if layer.timing and layer.timing.efficiency is not None and layer.timing.realised_interval
        ]
        known.sort(key=lambda layer: -((layer.timing and layer.timing.efficiency) or 0.0))
        rows += [_best_or_worst(layer) for layer in (known[0], known[-1])]
    told = [*ran_on(timing.runtime), str(timing.cpu), f"convaudit {convaudit.__version__}", str(date.today())]
    return (
        table("network, and its best and worst layer|promised|realised|with reorders|ran as", rows, 0)
        + f"\n{', '.join(told)}\n"
    )


def _best_or_worst(layer: LayerCost) -> Row:
    timing = layer.timing
    assert timing is not None
    number = timing.reorders or 0
    reorders = f", {number} reorder{'s' * (number > 1)}" if number else ""
    twin = f" (twin: {timing.dense_kernel})" if timing.dense_kernel != timing.kernel else ""
    realised = realised_text(timing.realised, timing.realised_interval)
    return [described(layer), factor_text(timing.promised), realised, "", f"{timing.kernel}{twin}{reorders}"]


# --- two runs, and layers against themselves ------------------------------------------------------------


def agree(folder: Path, networks: Sequence[str]) -> str:
    """Two complete runs of resnext50_32x4d: seconds and realised of each distinct layer above 50 us."""
    path = folder / "resnext50_32x4d.onnx"
    first, second = (convaudit.audit(path, time=True, time_budget=BUDGET).layers for _ in range(2))
    kept = {shape_of(layer) for layer in distinct(first)}
    pairs = []
    for one, other in zip(first, second, strict=True):
        if shape_of(one) in kept and one.timing and other.timing and (one.timing.seconds or 0.0) > LONG:
            kept.remove(shape_of(one))
            pairs.append((one.timing, other.timing))
    rows: list[Row] = []
    for key in ("seconds", "dense_seconds", "realised", "model_seconds"):
        both = [(getattr(one, key), getattr(other, key)) for one, other in pairs]
        off = sorted(abs(a / b - 1) for a, b in both if a and b)
        if off:
            close = sum(value <= 0.1 for value in off)
            rows.append([key, len(off), f"{median(off):.1%}", f"{off[-1]:.1%}", f"{close} of {len(off)}"])
    return table("two runs of resnext50_32x4d|layers|apart, median|at most|within 10 %", rows, 4)


def itself(folder: Path, networks: Sequence[str]) -> str:
    """Every distinct layer beside a second copy of itself."""
    rows: list[Row] = []
    for name in networks:
        opened = open_model(str(folder / f"{name}.onnx"), Request())
        timed = opened.time(TimeRequest(budget_seconds=BUDGET))
        ratios = [found for samples in timed.layers if (found := of_itself(samples)) is not None]
        ratios = [*{(found.value, found.low, found.high): found for found in ratios}.values()]
        holds = sum(not found.excludes(1.0) for found in ratios)
        off = sorted(abs(found.value - 1) for found in ratios) or [0.0]
        rows.append([name, len(ratios), f"{holds} of {len(ratios)}", f"{median(off):.1%}", f"{off[-1]:.1%}"])
    return table("layers against themselves|distinct|interval holds 1.00|off, median|at most", rows, 4)


# --- beside profilers that are read naively -------------------------------------------------------------


def onnxruntime_peer(folder: Path, networks: Sequence[str]) -> str:
    """By the nodes' names up to the level where they keep them; at level all by the order of execution."""
    rows: list[Row] = []
    for name in networks:
        path = folder / f"{name}.onnx"
        opened = open_model(str(path), Request())
        for level in ("extended", "all"):
            ask = TimeRequest(budget_seconds=1.5, alone=False, optimization=level)  # type: ignore[arg-type]
            ours, theirs = [], []
            for _ in range(TURNS):
                theirs.append(_profiled_session(path, level, opened.network.layers))
                ours.append([_kernel_seconds(samples) for samples in opened.time(ask).layers])
            rows.append([f"{name}, {level}", *_compared(ours, theirs)])
    return table("in the model, beside onnxruntime's profile|layers|apart, median|at most|sum", rows, 4)


def _kernel_seconds(samples: LayerSamples) -> float | None:
    """One run's seconds in the layer's kernel, without reorders."""
    reordering = samples.reordering or (0.0,) * len(samples.in_model)
    kernel = [whole - part for whole, part in zip(samples.in_model, reordering, strict=True)]
    return median(kernel) if kernel else None


def _profiled_session(path: Path, level: str, layers: Sequence[ConvLayer]) -> list[float | None]:
    """Seconds of each convolution."""
    import numpy as np
    import onnxruntime

    levels = {"extended": "ORT_ENABLE_EXTENDED", "all": "ORT_ENABLE_ALL"}
    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, levels[level])
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        image = np.random.default_rng(0).standard_normal(IMAGE, dtype=np.float32)
        feeds = {session.get_inputs()[0].name: image}
        end = perf_counter() + 1.5
        while perf_counter() < end:
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    found = [
        event
        for event in sorted(events, key=lambda event: event["ts"])
        if event["cat"] == "Node" and event["args"].get("op_name") in ("Conv", "FusedConv")
        if event["name"].endswith("_kernel_time")
    ]
    by_name: dict[str, list[float]] = defaultdict(list)
    for event in found:
        by_name[event["name"].removesuffix("_kernel_time")].append(event["dur"] / 1e6)
    if level == "all":
        return _in_order(found[len(by_name) :], layers)
    return [median(by_name[layer.name][1:]) if layer.name in by_name else None for layer in layers]


def _in_order(events: Sequence[Any], layers: Sequence[ConvLayer]) -> list[float | None]:
    """The n-th kernel of each run is taken for the n-th layer, if it reads and makes what has its size."""
    runs = [events[start : start + len(layers)] for start in range(0, len(events), len(layers))]
    return [
        median(run[position]["dur"] / 1e6 for run in runs) if _fits(runs[0][position], layer) else None
        for position, layer in enumerate(layers)
    ]


def _fits(event: Any, layer: ConvLayer) -> bool:
    """Whether sizes agree, but for channels that fill up a block."""
    for told, shape in (("input", layer.input_shape), ("output", layer.output_shape)):
        (sizes,) = event["args"][f"{told}_type_shape"][0].values()
        if shape is None or sizes[2:] != [*shape][2:] or not 0 <= sizes[1] - int(str(shape[1])) < 16:
            return False
    return True


def _compared(ours: Sequence[Times], theirs: Sequence[Times]) -> Row:
    """How far our times are from theirs, each the median of the turns: of layers over 50 us, and of all."""
    off, sums = [], [0.0, 0.0]
    for turns in zip(*ours, *theirs, strict=True):
        if all(turns):
            own, other = (median(filter(None, half)) for half in (turns[: len(ours)], turns[len(ours) :]))
            sums = [sums[0] + own, sums[1] + other]
            off += [abs(own / other - 1)] if own > LONG else []
    off.sort()
    return [len(off), f"{median(off):.1%}", f"{off[-1]:.1%}", f"{sums[0] / sums[1]:.3f}"]


def torch_peer(folder: Path, networks: Sequence[str]) -> str:
    """Each convolution of the module, by the order in which torch.profiler saw it."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    import tests.conftest  # noqa: F401 - declares what torchvision misses
    from convaudit.frontends.torch.loader.source import load_torch_source

    rows: list[Row] = []
    for name in networks:
        module = load_torch_source(f"torchvision:{name}")
        image = torch.zeros(IMAGE)
        opened = open_model(module, Request(inputs=(image,)))

        def naive(module: Any = module, image: Any = image) -> list[float | None]:
            runs = []
            torch.set_num_threads(1)
            with torch.no_grad():
                module(image)
                for _ in range(5):
                    with profile(activities=[ProfilerActivity.CPU]) as prof:
                        module(image)
                    found = [event for event in prof.events() if event.name == "aten::conv2d"]
                    found.sort(key=lambda event: event.time_range.start)
                    runs.append([event.cpu_time_total / 1e6 for event in found])
            return [median(run) for run in zip(*runs, strict=True)]

        ours, theirs = [], []
        for _ in range(TURNS):
            theirs.append(naive())
            timed = opened.time(TimeRequest(budget_seconds=2.0, alone=False))
            ours.append([_kernel_seconds(samples) for samples in timed.layers])
        rows.append([name, *_compared(ours, theirs)])
    return table("in the model, beside torch.profiler|layers|apart, median|at most|sum", rows, 4)


# --- what it costs --------------------------------------------------------------------------------------


def cost(folder: Path, networks: Sequence[str]) -> str:
    """Whole processes."""
    rows: list[Row] = []
    for name in networks:
        path = str(folder / f"{name}.onnx")
        audit = [sys.executable, "-m", "convaudit", path]
        found = measure({name: audit, f"{name} --time": [*audit, "--time"]}, repeat=1)
        rows += [
            [command, f"{one.seconds:.1f} s", f"{one.cpu_seconds:.1f} s", f"{one.peak_mb:.0f} MB"]
            for command, one in found.items()
        ]
    return table("convaudit|seconds|CPU|peak", rows, 3)


def models(folder: Path) -> None:
    """The networks as torch exports them, with untrained weights."""
    import torch

    import tests.conftest  # noqa: F401 - declares what torchvision misses
    from convaudit.frontends.torch.loader.source import load_torch_source

    folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        module = load_torch_source(f"torchvision:{name}")
        torch.onnx.export(module, (torch.zeros(IMAGE),), folder / f"{name}.onnx", dynamo=False)


PARTS: dict[str, Callable[[Path, Sequence[str]], str]] = {
    "readme": readme,
    "agree": agree,
    "itself": itself,
    "onnxruntime": onnxruntime_peer,
    "torch": torch_peer,
    "cost": cost,
}


def main() -> None:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--models", action="store_true", help="write the networks first")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    arguments = parser.parse_args()
    if arguments.models:
        models(arguments.folder)
    for part in arguments.parts or PARTS:
        print(PARTS[part](arguments.folder, arguments.networks), flush=True)


if __name__ == "__main__":
    main()
