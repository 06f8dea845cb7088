"""What was measured, in sentences: what a run consists of, which layers are worst off and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from convaudit.records import AuditReport, LayerCost, RuntimeInfo
from convaudit.reporters.text import listed, printable
from convaudit.reporters.time_cells import factor_text, half_width, realised_text, spread_text
from convaudit.shapes import as_text
from convaudit.units import human_percentage, human_seconds

if TYPE_CHECKING:
    from convaudit.records.timing import ModelTiming, TimePart

_WORST = 3  # groups of equal layers that are told
_NAMED_OPS = 4
_LEAST_SHARE = 0.001  # of a run, below which an op is not named


def time_lines(report: AuditReport) -> list[str]:
    """What was timed and how, what a run consists of, who is worst off and why, and what groups are worth."""
    timing = report.timing
    if timing is None:
        return []
    lines = [_source(timing), *_sizes(report, timing), *_run(timing)]
    lines += [*_reasons(report.layers), *_worst_off(report)]
    return [printable(line) for line in (*lines, *_in_place(report), promise(report, timing))]


def time_remarks(report: AuditReport) -> list[str]:
    """The same of one of several models: what is missing, and what groups are worth."""
    timing = report.timing
    if timing is None:
        return []
    lines = [*_sizes(report, timing), *_reasons(report.layers), promise(report, timing)]
    return [printable(line) for line in lines]


def promise(report: AuditReport, timing: ModelTiming) -> str:
    """``groups promised 3.0x and realised 2.2x over 17 layers (onnxruntime 1.31.1, ...)``, or why not."""
    grouped = sum(layer.groups > 1 for layer in report.layers)
    if not grouped:
        return "no layer has groups: they promise nothing"
    if timing.too_noisy is not None:
        return f"no verdict on groups: {timing.too_noisy}"
    measured = [layer.timing.realised for layer in report.layers if layer.timing]
    if timing.promised is None and any(measured):
        return (
            "what all groups realise together is unknown, since sizes are open: fix them by --dim or --input"
        )
    if timing.promised is None or timing.realised is None:
        return f"what the groups of {_number(grouped, 'layer')} realise was not measured"
    over = f"over {_number(timing.grouped_layers, 'layer')}"
    if timing.grouped_layers < grouped:
        over = f"over {timing.grouped_layers} of {_number(grouped, 'layer')} with groups"
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
    return [f"{runtime.name} {runtime.version}", where, _number(runtime.threads, "thread")]


def _source(timing: ModelTiming) -> str:
    if timing.files:
        return f"times read from {listed(timing.files)}, which another machine may have written"
    on = f", on {timing.cpu}" if timing.cpu else ""
    noise = timing.noise
    differ = "" if noise is None else f"; layers timed against themselves differ by {noise:.1%}"
    ran = "" if timing.runtime is None else f" with {', '.join(ran_on(timing.runtime))}"
    return f"timed{ran}{on}{differ}"


def _sizes(report: AuditReport, timing: ModelTiming) -> Iterator[str]:
    """At which sizes a model ran that leaves them open: its times are of no others."""
    if report.symbols and timing.runtime is not None:
        sizes = [f"{name} {as_text(shape)}" for name, shape in timing.runtime.input_shapes.items()]
        yield (
            f"timed at {listed(sizes, 4)}, sizes that the model leaves open: choose them by --dim or --input"
        )


def _where(timing: ModelTiming) -> list[str]:
    if timing.files:
        return [f"times of {listed(timing.files)}"]
    return [] if timing.runtime is None else ran_on(timing.runtime)


def _run(timing: ModelTiming) -> Iterator[str]:
    """``a run takes 25.1 ms ±2%: 53 convolutions 85.0%, 15 layout reorders 6.1%, 1 MaxPool 2.0%, ...``."""
    if timing.seconds is None:
        return
    parts = sorted(timing.parts, key=lambda part: -part.seconds)
    words = {"layers": "convolution", "reorders": "layout reorder"}
    told = [_part(_number(part.count, words[part.kind]), [part]) for part in parts if part.kind in words]
    others = [part for part in parts if part.kind == "other_op"]
    named = [part for part in others[:_NAMED_OPS] if part.share >= _LEAST_SHARE]
    told += [_part(f"{part.count} {part.name}", [part]) for part in named]
    rest, between, lost = (
        others[len(named) :],
        [part for part in parts if part.kind == "between"],
        [part for part in parts if part.kind == "unattributed"],
    )
    if rest:
        told.append(_part(_number(sum(part.count for part in rest), "other op"), rest))
    if between:
        told.append(_part("between kernels", between))
    if lost:
        told.append(f"{_part('not attributed', lost)} ({listed([part.name for part in lost])})")
    with_it = timing.profiled_seconds
    slowed = f"; {human_seconds(with_it)} while profiled" if with_it and with_it != timing.seconds else ""
    consists = f"{slowed}: {', '.join(told)}" if told else ""
    seconds = f"{human_seconds(timing.seconds)} {spread_text(timing.spread)}"
    yield f"a run takes {seconds} (median of {_number(timing.runs, 'run')}){consists}"


def _part(name: str, parts: Sequence[TimePart]) -> str:
    return f"{name} {human_percentage(sum(part.share for part in parts))}"


def _reasons(layers: Sequence[LayerCost]) -> Iterator[str]:
    """Why times are missing, or are less certain than a reader would think."""
    reasons: dict[str, list[str]] = {}
    for layer in layers:
        if layer.timing is not None and layer.timing.reason is not None:
            reasons.setdefault(layer.timing.reason, []).append(layer.name)
    for reason, names in reasons.items():
        yield f"timing: {listed(names)}: {reason}"


def _worst_off(report: AuditReport) -> Iterator[str]:
    """Layers that fall short of their promise beyond the spread, those first that lose most of a run."""
    from convaudit.timing import lost_seconds, worst_off

    alike: dict[tuple[object, ...], list[LayerCost]] = {}
    for layer in worst_off(report):
        alike.setdefault(_alike(layer), []).append(layer)
    worst = sorted(alike.values(), key=lambda layers: -sum(map(lost_seconds, layers)))
    for layers in worst[:_WORST]:
        timing = layers[0].timing
        assert timing is not None
        realised = realised_text(timing.realised, timing.realised_interval)
        what = f"promised {factor_text(timing.promised)}, realised {realised}{_observed(layers)}"
        yield f"worst off: {listed([layer.name for layer in layers], 2)}: {what}"


def _in_place(report: AuditReport) -> Iterator[str]:
    """That layers take longer among their neighbours than alone, where they do: realised is of the latter."""
    from convaudit.timing import longer_in_model

    found = longer_in_model(report)
    if found is not None and report.timing is not None and not report.timing.too_noisy:
        in_model, alone = (f"{human_seconds(one.value)} {spread_text(one.spread)}" for one in found)
        yield (
            f"kernels of the layers with groups take {in_model} in the model, {alone} alone: groups realise "
            "less in place than alone; convaudit twin, then convaudit diff --time of both, tells how much"
        )


def _alike(layer: LayerCost) -> tuple[object, ...]:
    """What layers have in common that are told in one line."""
    timing = layer.timing
    assert timing is not None
    seen = (
        timing.promised,
        timing.realised,
        timing.kernel,
        timing.dense_kernel,
        timing.reorders,
        timing.bound,
    )
    return (*seen, layer.in_channels, layer.groups)


def _observed(layers: Sequence[LayerCost]) -> str:
    """What was seen that explains it: other kernels than the twin's, reorders; else what bounds it."""
    from convaudit.timing import same_kernel

    layer, timings = layers[0], [layer.timing for layer in layers if layer.timing is not None]
    timing = timings[0]
    seen = []
    same = same_kernel(timing.kernel, timing.dense_kernel)
    if timing.kernel and timing.dense_kernel and not same:
        kernels = f"{timing.kernel}, where its twin runs {timing.dense_kernel}"
        blocked = "NCHWc" in timing.dense_kernel and "NCHWc" not in timing.kernel
        seen.append(f"out of the blocked layout ({kernels})" if blocked else kernels)
    if timing.reorders:
        seconds = sum(one.model_seconds or 0.0 for one in timings)
        part = sum(one.reorder_seconds or 0.0 for one in timings) / seconds if seconds else 0.0
        share = f" ({part:.0%} of its time in the model)" if part else ""
        seen.append(_number(timing.reorders, "layout reorder") + share)
    if seen:
        channels = layer.in_channels // layer.groups if isinstance(layer.in_channels, int) else 0
        a_group = f"{_number(channels, 'channel')} a group: " if channels else ""
        return f"; {a_group}{', '.join(seen)}"
    seen = [*([f"runs {timing.kernel} as its twin does"] if same else [])]
    seen += [f"bound by {timing.bound}"] if timing.bound in ("memory", "overhead") else []
    return f"; {', '.join(seen)}" if seen else ""


def _number(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _rounded(factor: float) -> str:
    return f"{factor:.1f}x" if factor < 99.95 else f"{factor:.0f}x"
