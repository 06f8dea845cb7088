"""What the samples of one layer mean: its seconds, and what its ``groups`` are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from convaudit.formulas.proportion import ratio
from convaudit.records import LayerCost
from convaudit.records.timing import Bound, LayerSamples, Roofs, Samples, Timing
from convaudit.timing.estimates import (
    FEWEST,
    Estimate,
    median_of,
    ratio_of_rounds,
    share_in_runs,
    unpaired_ratio,
)
from convaudit.timing.noise import deviation

MOST_UNEXPLAINED = 0.5
"""Of a layer's time, what neither multiplying nor moving bytes explains; beyond it is overhead."""


def timing_of(
    layer: LayerCost,
    samples: LayerSamples,
    runs: Sequence[float] = (),
    roofs: Roofs | None = None,
    busy: float = 1.0,
) -> Timing:
    """The times of one layer; seconds are of one call.

    ``realised`` is the median, over rounds, of the twin's seconds over the layer's, both of their kernels
    alone: layout reorders, which other layers share in causing, are told beside it. Where a file gives the
    times of two networks instead, it is the ratio of their medians, reorders included, and no seconds are
    of a layer alone.

    Args:
        layer: With its costs.
        samples: Of this layer.
        runs: Of the model, for the layer's share of it.
        roofs: Of the machine, for what bounds the layer.
        busy: Part of a run in which the processor worked on it: the rest may be missing in a quiet one.
    """
    calls = layer.calls if isinstance(layer.calls, int) and layer.calls > 0 else None
    alone, dense = median_of(samples.alone), median_of(samples.dense)
    in_model, reordering = in_steps(samples.in_model, samples.step), median_of(samples.reordering)
    in_model = replace(in_model, low=in_model.low * busy) if in_model else None
    realised = realised_of(samples)
    promised = promised_by(layer)
    model_seconds = in_model.value / calls if in_model and calls else None
    seconds = alone.value if alone else model_seconds
    known = _interval(alone) or _interval(in_model, calls)
    bounds = {bound_of(layer, end, roofs) for end in known}
    bound = bounds.pop() if len(bounds) == 1 else None
    reasons = [*_reasons(layer, samples), *_unbound(layer, known if bound is None else (), roofs)]
    return Timing(
        seconds=alone.value if alone else None,
        dense_seconds=dense.value if dense else None,
        promised=promised,
        realised=realised.value if realised else None,
        realised_interval=realised.interval if realised else None,
        efficiency=realised.value / promised if realised and promised else None,
        spread=_widest(alone, dense, realised),
        kernel=samples.kernel,
        dense_kernel=samples.dense_kernel,
        model_seconds=model_seconds,
        model_spread=in_model.spread if in_model else None,
        model_share=share_in_runs(samples.in_model, runs),
        reorders=samples.reorders if samples.in_model else None,
        reorder_seconds=reordering.value / calls if reordering and calls else None,
        macs_per_second=layer.macs / seconds if isinstance(layer.macs, int) and seconds else None,
        bound=bound,
        reason="; ".join(reasons) or None,
    )


def promised_by(layer: LayerCost) -> float | None:
    """How many times fewer multiply-adds ``groups`` leave; None for a layer with groups=1."""
    return ratio(layer.dense_macs, layer.macs) if layer.groups > 1 else None


def realised_of(samples: LayerSamples) -> Estimate | None:
    """The twin's time over the layer's, as uncertain as the layer against itself; None if not measured."""
    if samples.alone and samples.dense:
        noise = deviation(of_itself(samples))
        realised = ratio_of_rounds(samples.dense, samples.alone)
        return realised.widened(1 + (noise or 0.0)) if realised else None
    return unpaired_ratio(
        in_steps(samples.dense_in_model, samples.dense_step), in_steps(samples.in_model, samples.step)
    )


def in_steps(samples: Samples, step: float) -> Estimate | None:
    """The median of times that a clock rounded down to whole steps: they may be longer by up to a step."""
    found = median_of(samples)
    return replace(found, high=found.high + step) if found else None


def of_itself(samples: LayerSamples) -> Estimate | None:
    """A layer's time over that of its copy, which is 1 on a quiet machine."""
    return ratio_of_rounds(samples.alone, samples.itself) if samples.itself else None


def bound_of(layer: LayerCost, seconds: float | None, roofs: Roofs | None) -> Bound | None:
    """What a call of the layer is mostly spent on, by the roofs of the machine.

    A call takes at least ``macs / peak`` of its element type, and ``bytes / bandwidth``, where the bytes are
    those of weight, bias, input and output, each moved once. The longer of the two is its bound, "compute" or
    "memory", if it explains at least half of its seconds, else the bound is "overhead". A layer may beat
    either roof, and still be bound by it: one whose bytes lie in a cache the bandwidth of memory, one that a
    fast algorithm (Winograd) computes the peak of nominal multiply-adds.

    Args:
        layer: With its costs.
        seconds: Of one call.
        roofs: Of the machine.

    Returns:
        None where the seconds, a count or a roof are unknown.
    """
    peak = roofs.macs_per_second.get(layer.dtype) if roofs else None
    moved = (layer.weight_bytes, layer.activation_bytes)
    if not seconds or not roofs or not peak or not roofs.bytes_per_second or not isinstance(layer.macs, int):
        return None
    if not all(isinstance(size, int) for size in moved):
        return None
    compute = layer.macs / peak
    memory = sum(size for size in moved if isinstance(size, int)) / roofs.bytes_per_second
    if max(compute, memory) < seconds * (1 - MOST_UNEXPLAINED):
        return "overhead"
    return "compute" if compute >= memory else "memory"


def _interval(found: Estimate | None, calls: int | None = 1) -> tuple[float, ...]:
    """The ends of an interval, of one call."""
    return (found.low / calls, found.high / calls) if found and calls else ()


def _unbound(layer: LayerCost, known: tuple[float, ...], roofs: Roofs | None) -> Iterator[str]:
    """Why it is not told what bounds a layer whose seconds are known, where the roofs are."""
    if not known or roofs is None:
        return
    counts = (layer.macs, layer.weight_bytes, layer.activation_bytes)
    if not all(isinstance(count, int) for count in counts):
        yield "its sizes are open, so what bounds it is unknown: fix them by --dim or --input"
    elif layer.dtype not in roofs.macs_per_second:
        yield f"no roof of {layer.dtype} products was measured, so what bounds it is unknown"
    else:
        yield "what bounds it is not known within the spread"


def _widest(*estimates: Estimate | None) -> float | None:
    spreads = [estimate.spread for estimate in estimates if estimate is not None]
    known = [spread for spread in spreads if spread is not None]
    return max(known) if known and len(known) == len(spreads) else None


def _reasons(layer: LayerCost, samples: LayerSamples) -> Iterator[str]:
    """Why something is None, or less certain than a reader would think."""
    if samples.reason:
        yield samples.reason
    if samples.in_model and not isinstance(layer.calls, int):
        yield "how often a run calls it is unknown, so the time of one call in the model is"
    if samples.dense_in_model and not samples.alone:
        yield "realised is of two runs, of the model and of its twin, not of the layers in turn"
    rounds = len(samples.alone) or (len(samples.in_model) if samples.dense_in_model else FEWEST)
    if rounds == 1:
        yield "one sample: its spread is unknown"
    elif rounds < FEWEST:
        yield f"{rounds} rounds are too few for a 95 % interval: the spread is their range"
