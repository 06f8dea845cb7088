"""What the samples of a model mean: the parts of a run, and what all its ``groups`` are worth together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from convaudit.records import AuditReport, LayerCost
from convaudit.records.timing import LayerSamples, ModelTiming, Samples, Timed, TimePart
from convaudit.timing.estimates import Estimate, median_of, share_in_runs
from convaudit.timing.layers import of_itself, promised_by, realised_of, timing_of
from convaudit.timing.noise import deviation, too_noisy
from convaudit.timing.verdicts import same_kernel

_Measured = tuple[LayerCost, LayerSamples]


def with_timing(report: AuditReport, timed: Timed) -> AuditReport:
    """The report with a ``Timing`` for each layer, and one for the model.

    Args:
        report: Of the model that was timed.
        timed: What its front end measured, for the same layers in the same order.
    """
    measured = list(zip(report.layers, timed.layers, strict=True))
    whole, least = median_of(timed.plain or timed.runs), median_of(timed.busy)
    busy = min(1.0, least.value / whole.value) if whole and least and whole.value else 1.0
    layers = tuple(
        replace(layer, timing=timing_of(layer, samples, timed.runs, timed.roofs, busy))
        for layer, samples in measured
    )
    warnings = tuple(dict.fromkeys((*report.warnings, *timed.warnings)))
    runtime = report.runtime or timed.runtime
    model = model_timing(measured, timed)
    return replace(report, layers=layers, timing=model, runtime=runtime, warnings=warnings)


def model_timing(measured: Sequence[_Measured], timed: Timed) -> ModelTiming:
    """One run of the model, and all its grouped layers together.

    ``promised`` is the MACs of the twins over those of the layers, each weighted by its calls; ``realised``
    the same of seconds: ``sum(ratio * seconds * calls) / sum(seconds * calls)``, where ``ratio`` is what the
    layer realised and ``ratio * seconds`` so its twin's seconds. Layers of which either was not measured, or
    not counted, are in none of the numbers. The ends of its interval are those of all layers' intervals at
    once: layers that are timed one after the other on one machine err together, not independently.

    ``with_reorders`` is realised if the layout reorders that the grouped layers caused in the model are added
    to their seconds, and also to the twin's where it ran on the same kernel and so would need them too.
    Realised itself is of kernels, as each layer's is; groups that take a layer out of the blocked layout
    cost more than their kernels, and this number is what they are worth in the model.
    """
    total = median_of(timed.runs)
    plain = _of_a_run(timed.plain or timed.runs, timed.busy)
    parts = tuple(_parts(measured, timed))
    known = [part.share for part in parts if part.kind in ("layers", "reorders", "other_op")]
    grouped = [found for layer, samples in measured if (found := _grouped(layer, samples))]
    macs = sum(one.macs for one in grouped)
    promised = sum(one.dense_macs for one in grouped) / macs if macs else None
    realised = _together(grouped)
    with_reorders = _together(grouped, reorders=True)
    noise = _noise(measured)
    return ModelTiming(
        seconds=plain.value if plain else None,
        interval=plain.interval if plain else None,
        spread=plain.spread if plain else None,
        runs=len(timed.plain or timed.runs),
        profiled_seconds=total.value if total else None,
        parts=parts,
        attributed=sum(known) if total else None,
        grouped_layers=len(grouped),
        left_out=sum(samples.left_out for layer, samples in measured if layer.groups > 1),
        promised=promised,
        realised=realised.value if realised else None,
        realised_interval=realised.interval if realised else None,
        efficiency=realised.value / promised if realised and promised else None,
        with_reorders=with_reorders.value if with_reorders else None,
        with_reorders_interval=with_reorders.interval if with_reorders else None,
        noise=noise,
        too_noisy=too_noisy(noise, realised.spread if realised else None),
        roofs=timed.roofs,
        runtime=timed.runtime,
        cpu=timed.cpu,
        files=timed.files,
    )


def _of_a_run(runs: Samples, busy: Samples) -> Estimate | None:
    """The median of runs; where these waited for a processor, it may be as little as that spent on them."""
    found, least = median_of(runs), median_of(busy)
    if found is None or least is None:
        return found
    return replace(found, low=min(found.low, least.low))


# --- the parts of a run ---------------------------------------------------------------------------------


def _parts(measured: Sequence[_Measured], timed: Timed) -> Iterator[TimePart]:
    """What a run consists of: the layers, the reorders that they caused, and what the timer names."""
    in_model = [samples for _, samples in measured if samples.in_model]
    reordered = [samples for samples in in_model if samples.reordering]
    layers = _without(
        sum_of_runs(one.in_model for one in in_model), sum_of_runs(one.reordering for one in reordered)
    )
    calls = sum(layer.calls for layer, found in measured if found.in_model and isinstance(layer.calls, int))
    if in_model:
        yield _part("convolutions", "layers", calls, layers, timed.runs)
    if reordered:
        count = sum(one.reorders or 0 for one in reordered)
        seconds = sum_of_runs(one.reordering for one in reordered)
        yield _part("layout reorders", "reorders", count, seconds, timed.runs)
    for part in timed.parts:
        yield _part(part.name, part.kind, part.count, part.seconds, timed.runs)


def _part(name: str, kind: str, count: int, seconds: Samples, runs: Samples) -> TimePart:
    found = median_of(seconds)
    return TimePart(
        name=name,
        kind=kind,  # type: ignore[arg-type]  # one of PartSamples' words, or of those above
        count=count,
        seconds=found.value if found else 0.0,
        spread=found.spread if found else None,
        share=share_in_runs(seconds, runs) or 0.0,
    )


def sum_of_runs(samples: Iterable[Samples]) -> Samples:
    """The sums of each run; of medians, where the runs are not the same ones."""
    several = list(samples)
    if len({len(one) for one in several}) > 1:
        return (sum(map(median, several)),)
    return tuple(map(sum, zip(*several, strict=True)))


def _without(samples: Samples, part: Samples) -> Samples:
    if not part:
        return samples
    if len(samples) != len(part):
        return (median(samples) - median(part),)
    return tuple(a - b for a, b in zip(samples, part, strict=True))


# --- what groups are worth ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grouped:
    """A grouped layer of which all is known, over all its calls in one run."""

    macs: int
    dense_macs: int
    seconds: float
    ratio: Estimate  # the twin's seconds over these
    reordering: float | None  # seconds that its reorders take; None: not told, or they are in
    shared: bool  # the twin would need them too


def _grouped(layer: LayerCost, samples: LayerSamples) -> _Grouped | None:
    ratio, calls = realised_of(samples), layer.calls
    if promised_by(layer) is None or ratio is None or not isinstance(calls, int) or not calls:
        return None
    if not isinstance(layer.macs, int) or not isinstance(layer.dense_macs, int):
        return None
    alone = bool(samples.alone and samples.dense)
    known = alone and bool(samples.in_model) and samples.reorders is not None
    return _Grouped(
        macs=layer.macs * calls,
        dense_macs=layer.dense_macs * calls,
        seconds=median(samples.alone) * calls if alone else median(samples.in_model),
        ratio=ratio,
        reordering=(median(samples.reordering) if samples.reordering else 0.0) if known else None,
        shared=same_kernel(samples.kernel, samples.dense_kernel),
    )


def _together(layers: Sequence[_Grouped], *, reorders: bool = False) -> Estimate | None:
    """Seconds of the twins over those of the layers; None if a part is unknown."""
    more = [one.reordering if reorders else 0.0 for one in layers]
    known = [seconds for seconds in more if seconds is not None]
    if not layers or len(known) < len(more):
        return None
    own = sum(one.seconds for one in layers) + sum(known)
    twins = sum(seconds for one, seconds in zip(layers, known, strict=True) if one.shared)
    value, low, high = (
        (sum(getattr(one.ratio, end) * one.seconds for one in layers) + twins) / own
        for end in ("value", "low", "high")
    )
    return Estimate(value=value, low=low, high=high, count=min(one.ratio.count for one in layers))


def _noise(measured: Iterable[_Measured]) -> float | None:
    """How far layers were from themselves: the mean, weighted by their seconds."""
    found = [
        (median(samples.alone) * (layer.calls if isinstance(layer.calls, int) else 1), off)
        for layer, samples in measured
        if (off := deviation(of_itself(samples))) is not None
    ]
    weight = sum(seconds for seconds, _ in found)
    return sum(seconds * off for seconds, off in found) / weight if weight else None
