"""The events of several runs, summed for each convolution and for what else a run consists of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from convaudit.frontends.onnx.runtime import CPU, short_name
from convaudit.frontends.onnx.timer.kernels import Kernel
from convaudit.frontends.onnx.timer.profile import Event, ProfiledRun
from convaudit.records.timing import LayerSamples, PartSamples

_UNSEEN = "no kernel of the run computes it: the runtime left it out, or its body did not run"


def summed(
    runs: Sequence[ProfiledRun], kernels: Mapping[str, Kernel], layers: int
) -> tuple[tuple[LayerSamples, ...], tuple[PartSamples, ...]]:
    """Samples of each convolution, and the parts that make the rest of the runs.

    Args:
        runs: Those that count.
        kernels: What computes which convolution, by the name of its event.
        layers: How many convolutions there are.
    """
    sums = [_Sums(run, kernels) for run in runs]
    shared: dict[int, str] = {}
    for kernel in kernels.values():
        if len(kernel.layers) > 1:
            reason = f"{kernel.label} computes it together with {len(kernel.layers) - 1} other convolutions"
            shared.update(dict.fromkeys(kernel.layers, reason))
    samples = tuple(_layer(index, sums, shared.get(index, _UNSEEN)) for index in range(layers))
    return samples, _parts(sums)


class _Sums:
    """One run, summed."""

    def __init__(self, run: ProfiledRun, kernels: Mapping[str, Kernel]) -> None:
        self.seconds: dict[int, float] = defaultdict(float)
        self.reordering: dict[int, float] = defaultdict(float)
        self.reorders = Counter[int]()
        self.labels: dict[int, dict[str, None]] = defaultdict(dict)
        self.parts: dict[tuple[str, str], float] = defaultdict(float)
        self.counts = Counter[tuple[str, str]]()
        for event in run.events:
            self._add(event, kernels.get(event.name))
        known = sum(event.seconds for event in run.events)
        self.parts["between", "between"] = max(0.0, run.seconds - known)
        self.counts["between", "between"] = 1

    def _add(self, event: Event, kernel: Kernel | None) -> None:
        if kernel is not None and len(kernel.layers) == 1:
            (layer,) = kernel.layers
            self.seconds[layer] += event.seconds
            self.labels[layer][_label(event, kernel)] = None
        elif kernel is not None and kernel.reorders_for is not None:
            self.seconds[kernel.reorders_for] += event.seconds
            self.reordering[kernel.reorders_for] += event.seconds
            self.reorders[kernel.reorders_for] += 1
        else:
            known = kernel is not None and not kernel.layers
            key = (event.op, "other_op") if known else (event.name, "unattributed")
            self.parts[key] += event.seconds
            self.counts[key] += 1


def _label(event: Event, kernel: Kernel) -> str:
    return kernel.label if event.provider == CPU else f"{kernel.label} on {short_name(event.provider)}"


def _layer(index: int, sums: Sequence[_Sums], absent: str) -> LayerSamples:
    labels = dict.fromkeys(label for one in sums for label in one.labels[index])
    if not labels:
        return LayerSamples(reason=absent)
    reorders = max(one.reorders[index] for one in sums)
    return LayerSamples(
        in_model=tuple(one.seconds[index] for one in sums),
        reorders=reorders,
        reordering=tuple(one.reordering[index] for one in sums) if reorders else (),
        kernel=", ".join(labels),
    )


def _parts(sums: Sequence[_Sums]) -> tuple[PartSamples, ...]:
    keys = dict.fromkeys(key for one in sums for key in one.parts)
    order = ("other_op", "unattributed", "between")
    return tuple(
        PartSamples(
            name=name,
            kind=kind,  # type: ignore[arg-type]
            count=max(one.counts[name, kind] for one in sums),
            seconds=tuple(one.parts.get((name, kind), 0.0) for one in sums),
        )
        for name, kind in sorted(keys, key=lambda key: (order.index(key[1]), key[0]))
    )
