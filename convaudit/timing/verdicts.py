"""What may be concluded of a layer's times: only what their spread does not hide."""

from __future__ import annotations

from convaudit.records import AuditReport, LayerCost
from convaudit.records.timing import Timing
from convaudit.timing.estimates import FEWEST, Estimate

_LITTLE = 1.1  # times as long
_PROFILED = 3e-6  # seconds that a kernel may seem longer in the model, by the profiler and its whole steps


def same_kernel(kernel: str | None, other: str | None) -> bool:
    """Whether two kernels differ by no more than what surroundings make of one.

    In the model, onnxruntime fuses an activation into a kernel, and calls it FusedConv; a layer alone has no
    activation. Whether a kernel alone has its channels last is not told.
    """
    return kernel is not None and other is not None and _bare(kernel) == _bare(other)


def _bare(kernel: str) -> str:
    return kernel.replace("FusedConv", "Conv").replace(" (NHWC)", "")


def falls_short(timing: Timing) -> bool:
    """Whether the layer realised less than its groups promised, beyond its spread."""
    interval, promised = timing.realised_interval, timing.promised
    return interval is not None and promised is not None and interval[1] < promised


def loses(timing: Timing) -> bool:
    """Whether its twin with groups=1 would be faster, beyond the spread."""
    return timing.realised_interval is not None and timing.realised_interval[1] < 1


def worst_off(report: AuditReport) -> tuple[LayerCost, ...]:
    """The layers that fall short, those first that lose most time by it.

    What a layer loses in one run of the model is its seconds beyond ``dense_seconds / promised``, over all
    its calls. None are named where the machine was too noisy.
    """
    if report.timing is None or report.timing.too_noisy:
        return ()
    short = [layer for layer in report.layers if layer.timing and falls_short(layer.timing)]
    return tuple(sorted(short, key=lost_seconds, reverse=True))


def lost_seconds(layer: LayerCost) -> float:
    """What its groups promised and it did not realise, over all its calls; 0 where it is not known."""
    timing, calls = layer.timing, layer.calls if isinstance(layer.calls, int) else 1
    if timing is None or timing.efficiency is None:
        return 0.0
    seconds = timing.seconds if timing.seconds is not None else timing.model_seconds
    return (seconds or 0.0) * (1 - timing.efficiency) * calls


def longer_in_model(report: AuditReport) -> tuple[Estimate, Estimate] | None:
    """Seconds of all grouped layers' kernels in a run of the model, and alone, where the former are longer.

    That is where a layer finds less in the caches among its neighbours than alone, or has their activations
    to compute. Its twin, which takes many times as long, loses less by that: in place, groups realise less.

    Returns:
        None where they are not longer by more than a tenth, beyond the spread, or are not known of all.
    """
    timings = [layer.timing for layer in report.layers if layer.timing and layer.timing.realised]
    calls = [layer.calls for layer in report.layers if layer.timing and layer.timing.realised]
    model, alone = [], []
    for timing, times in zip(timings, calls, strict=True):
        if timing.model_seconds is None or timing.seconds is None or not isinstance(times, int):
            return None
        within, without = timing.model_spread or 0.0, timing.spread or 0.0
        model.append((times * (timing.model_seconds - (timing.reorder_seconds or 0.0)), within))
        alone.append((times * timing.seconds, without))
    if not model:
        return None
    in_model, by_itself = _sum(model), _sum(alone)
    seeming = _PROFILED * sum(times for times in calls if isinstance(times, int))
    return (in_model, by_itself) if in_model.low - seeming > _LITTLE * by_itself.high else None


def _sum(parts: list[tuple[float, float]]) -> Estimate:
    """Of seconds with their spread, whose ends are those of all at once."""
    value, half = sum(seconds for seconds, _ in parts), sum(seconds * spread for seconds, spread in parts)
    return Estimate(value=value, low=value - half, high=value + half, count=FEWEST)
