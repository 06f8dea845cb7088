"""The events of several runs, summed for each convolution and for what else a run consists of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from convaudit.frontends.onnx.runtime import CPU, short_name
from convaudit.frontends.onnx.timer.kernels import CONVOLUTIONS, Kernel
from convaudit.frontends.onnx.timer.profile import Event, ProfiledRun
from convaudit.records.timing import LayerSamples, PartSamples

_Kind: TypeAlias = Literal["other_op", "unattributed", "between"]
_KINDS: tuple[_Kind, ...] = ("other_op", "unattributed", "between")
_LONGEST_NAME = 200  # that is told; TensorRT's may name hundreds of nodes


def summed(
    runs: Sequence[ProfiledRun],
    kernels: Mapping[str, Kernel],
    layers: int,
    absent: Callable[[int], str],
) -> tuple[tuple[LayerSamples, ...], tuple[PartSamples, ...]]:
    """Samples of each convolution, and the parts that make the rest of the runs.

    Args:
        runs: Those that count.
        kernels: What computes which convolution, by the name of its event.
        layers: How many convolutions there are.
        absent: Why one of them has no kernel of its own, in words.
    """
    ops = {kernel.op for kernel in kernels.values()} - CONVOLUTIONS
    sums = [_Sums(run, kernels, ops) for run in runs]
    return tuple(_layer(index, sums, absent) for index in range(layers)), _parts(sums)


class _Sums:
    """One run, summed."""

    def __init__(self, run: ProfiledRun, kernels: Mapping[str, Kernel], ops: set[str]) -> None:
        self._ops = ops
        self.seconds: dict[int, float] = defaultdict(float)
        self.reordering: dict[int, float] = defaultdict(float)
        self.reorders = Counter[int]()
        self.step: dict[int, float] = defaultdict(float)
        self._step = run.step
        self.labels: dict[int, dict[str, None]] = defaultdict(dict)
        self.parts: dict[tuple[_Kind, str], float] = defaultdict(float)
        self.counts = Counter[tuple[_Kind, str]]()
        for event in run.events:
            self._add(event, kernels.get(event.name))
        known = sum(event.seconds for event in run.events)
        self.parts["between", "between"] = max(0.0, run.seconds - known)
        self.counts["between", "between"] = 1

    def _add(self, event: Event, kernel: Kernel | None) -> None:
        if kernel is not None and len(kernel.layers) == 1:
            (layer,) = kernel.layers
            self.seconds[layer] += event.seconds
            self.step[layer] += self._step
            self.labels[layer][_label(event, kernel)] = None
        elif kernel is not None and kernel.reorders_for is not None:
            self.seconds[kernel.reorders_for] += event.seconds
            self.step[kernel.reorders_for] += self._step
            self.reordering[kernel.reorders_for] += event.seconds
            self.reorders[kernel.reorders_for] += 1
        else:
            key = self._part(event, kernel)
            self.parts[key] += event.seconds
            self.counts[key] += 1

    def _part(self, event: Event, kernel: Kernel | None) -> tuple[_Kind, str]:
        if kernel is None:
            return ("other_op", event.op) if event.op in self._ops else ("unattributed", event.name)
        unknown = kernel.layers or kernel.unknown
        return ("unattributed", event.name) if unknown else ("other_op", kernel.op)


def _label(event: Event, kernel: Kernel) -> str:
    return kernel.label if event.provider == CPU else f"{kernel.label} on {short_name(event.provider)}"


def _layer(index: int, sums: Sequence[_Sums], absent: Callable[[int], str]) -> LayerSamples:
    labels = dict.fromkeys(label for one in sums for label in one.labels[index])
    if not labels:
        return LayerSamples(reason=absent(index))
    reorders = max(one.reorders[index] for one in sums)
    return LayerSamples(
        in_model=tuple(one.seconds[index] for one in sums),
        reorders=reorders,
        reordering=tuple(one.reordering[index] for one in sums) if reorders else (),
        kernel=", ".join(labels),
        step=max(one.step[index] for one in sums),
    )


def _parts(sums: Sequence[_Sums]) -> tuple[PartSamples, ...]:
    keys = dict.fromkeys(key for one in sums for key in one.parts)
    return tuple(
        PartSamples(
            name=name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...",
            kind=kind,
            count=max(one.counts[kind, name] for one in sums),
            seconds=tuple(one.parts.get((kind, name), 0.0) for one in sums),
        )
        for kind, name in sorted(keys, key=lambda key: (_KINDS.index(key[0]), key[1]))
    )
