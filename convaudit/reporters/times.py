"""What was measured, in sentences: what a run consists of, which layers are worst off and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from convaudit.records import AuditReport, LayerCost, RuntimeInfo
from convaudit.reporters.text import listed, printable
from convaudit.reporters.time_cells import factor_text, half_width, realised_text, spread_text
from convaudit.units import human_percentage, human_seconds

if TYPE_CHECKING:
    from convaudit.records.timing import ModelTiming, Timing

_WORST = 3  # groups of equal layers that are told
_NAMED_OPS = 4


def time_lines(report: AuditReport) -> list[str]:
    """What was timed and how, what a run consists of, who is worst off and why, and what groups are worth."""
    timing = report.timing
    if timing is None:
        return []
    lines = [_source(timing), *_run(timing), *_unmeasured(report.layers), *_worst_off(report)]
    return [printable(line) for line in (*lines, promise(report, timing))]


def time_remarks(report: AuditReport) -> list[str]:
    """The same of one of several models: what is missing, and what groups are worth."""
    timing = report.timing
    if timing is None:
        return []
    return [printable(line) for line in (*_unmeasured(report.layers), promise(report, timing))]


def promise(report: AuditReport, timing: ModelTiming) -> str:
    """``groups promised 3.0x and realised 2.2x over 17 layers (onnxruntime 1.31.1, ...)``, or why not."""
    grouped = sum(layer.groups > 1 for layer in report.layers)
    if not grouped:
        return "no layer has groups: they promise nothing"
    if timing.too_noisy is not None:
        return f"no verdict on groups: {timing.too_noisy}"
    if timing.promised is None or timing.realised is None:
        return f"what the groups of {_layers(grouped)} realise was not measured"
    over = f"over {_layers(timing.grouped_layers)}"
    if timing.grouped_layers < grouped:
        over = f"over {timing.grouped_layers} of {_layers(grouped)} with groups"
    interval = timing.realised_interval
    spread = spread_text(half_width(timing.realised, interval)).removeprefix("±")
    where = ", ".join([*_where(timing), f"spread {spread}"])
    realised = _rounded(timing.realised)
    if timing.with_reorders is not None and _rounded(timing.with_reorders) != realised:
        realised += f", {_rounded(timing.with_reorders)} with the layout reorders that they cause,"
    if interval is None or interval[0] <= 1 <= interval[1]:
        why = "too few rounds to tell" if interval is None else "no more than the spread"
        return f"groups promised {_rounded(timing.promised)}; realised {realised} {over}: {why} ({where})"
    return f"groups promised {_rounded(timing.promised)} and realised {realised} {over} ({where})"


def ran_on(runtime: RuntimeInfo) -> list[str]:
    """``onnxruntime 1.31.1``, ``CPU``, ``1 thread``."""
    where = (runtime.provider or runtime.device).removesuffix("ExecutionProvider")
    return [f"{runtime.name} {runtime.version}", where, threads_text(runtime.threads)]


def threads_text(threads: int) -> str:
    """``1 thread``, ``4 threads``."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def _source(timing: ModelTiming) -> str:
    if timing.files:
        return f"times read from {listed(timing.files)}, which another machine may have written"
    on = f", on {timing.cpu}" if timing.cpu else ""
    noise = (
        "" if timing.noise is None else f"; layers beside themselves differed by {timing.noise:.1%} at most"
    )
    ran = "" if timing.runtime is None else f" with {', '.join(ran_on(timing.runtime))}"
    return f"timed{ran}{on}{noise}"


def _where(timing: ModelTiming) -> list[str]:
    if timing.files:
        return [f"times of {listed(timing.files)}"]
    return [] if timing.runtime is None else ran_on(timing.runtime)


def _run(timing: ModelTiming) -> Iterator[str]:
    """``a run takes 25.1 ms ±2%: 53 convolutions 85.0%, 15 layout reorders 6.1%, 1 MaxPool 2.0%, ...``."""
    if timing.seconds is None:
        return
    runs = "1 run" if timing.runs == 1 else f"{timing.runs} runs"
    words = {"layers": "convolutions", "reorders": "layout reorders"}
    told, others, lost = [], [], []
    for part in sorted(timing.parts, key=lambda part: -part.seconds):
        if part.kind in words:
            told.append(f"{part.count} {words[part.kind]} {human_percentage(part.share)}")
        elif part.kind == "other_op":
            others.append(part)
        elif part.kind == "unattributed":
            lost.append(part)
    told += [f"{part.count} {part.name} {human_percentage(part.share)}" for part in others[:_NAMED_OPS]]
    rest = others[_NAMED_OPS:]
    if rest:
        share = human_percentage(sum(part.share for part in rest))
        told.append(f"{sum(part.count for part in rest)} other ops {share}")
    between = [part.share for part in timing.parts if part.kind == "between"]
    if between:
        told.append(f"between kernels {human_percentage(sum(between))}")
    if lost:
        names = listed([part.name for part in lost])
        told.append(f"not attributed {human_percentage(sum(part.share for part in lost))} ({names})")
    consists = f": {', '.join(told)}" if told else ""
    seconds = f"{human_seconds(timing.seconds)} {spread_text(timing.spread)}"
    yield f"a run takes {seconds} (median of {runs}){consists}"


def _unmeasured(layers: Sequence[LayerCost]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for layer in layers:
        if layer.timing is not None and layer.timing.reason is not None:
            reasons.setdefault(layer.timing.reason, []).append(layer.name)
    for reason, names in reasons.items():
        yield f"not measured: {listed(names)}: {reason}"


def _worst_off(report: AuditReport) -> Iterator[str]:
    """Layers that fall short of their promise beyond the spread, those first that lose most of a run."""
    from convaudit.timing import worst_off

    alike: dict[str, list[str]] = {}
    for layer in worst_off(report):
        timing = layer.timing
        assert timing is not None
        realised = realised_text(timing.realised, timing.realised_interval)
        what = f"promised {factor_text(timing.promised)}, realised {realised}{_observed(layer, timing)}"
        alike.setdefault(what, []).append(layer.name)
    for what, names in [*alike.items()][:_WORST]:
        yield f"worst off: {listed(names, 2)}: {what}"


def _observed(layer: LayerCost, timing: Timing) -> str:
    """What was seen that explains it: other kernels than the twin's, reorders; else what bounds it."""
    seen = []
    if timing.kernel and timing.dense_kernel and timing.kernel != timing.dense_kernel:
        kernels = f"{timing.kernel}, where its twin runs {timing.dense_kernel}"
        blocked = "NCHWc" in timing.dense_kernel and "NCHWc" not in timing.kernel
        seen.append(f"out of the blocked layout ({kernels})" if blocked else kernels)
    if timing.reorders:
        reorders = "1 layout reorder" if timing.reorders == 1 else f"{timing.reorders} layout reorders"
        share = ""
        if timing.reorder_seconds and timing.model_seconds:
            share = f" ({timing.reorder_seconds / timing.model_seconds:.0%} of its time in the model)"
        seen.append(reorders + share)
    if seen:
        channels = layer.in_channels // layer.groups if isinstance(layer.in_channels, int) else 0
        a_group = f"{channels} channel{'s' * (channels != 1)} a group: " if channels else ""
        return f"; {a_group}{', '.join(seen)}"
    if timing.bound in ("memory", "overhead"):
        return f"; bound by {timing.bound}"
    return ""


def _layers(number: int) -> str:
    return "1 layer" if number == 1 else f"{number} layers"


def _rounded(factor: float) -> str:
    return f"{factor:.1f}x" if factor < 99.95 else f"{factor:.0f}x"
