"""What may be concluded of a layer's times: only what their spread does not hide."""

from __future__ import annotations

from convaudit.records import AuditReport, LayerCost
from convaudit.records.timing import Timing


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
