"""What a sweep found, whatever the format: one layer's rows, or where in a model a better groups exists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from convaudit.records.timing import Sweep, SweepRow
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.filling import Column
from convaudit.reporters.plain import plain
from convaudit.reporters.text import listed, printable
from convaudit.reporters.time_cells import NONE, factor_text, realised_text, spread_text
from convaudit.reporters.times import ran_on
from convaudit.shapes import as_text
from convaudit.timing import better_groups
from convaudit.units import human, human_seconds
from convaudit.version import __version__

SWEEP_SCHEMA_VERSION = 1
ACCURACY = "Each is timed alone, with random weights: what groups do to accuracy is another matter."
_SHAPE = ("op", "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
_SIZES = ("input_shape", "output_shape", "dtype")
SWEEP_KEYS = (
    *("schema_version", "convaudit_version", "source", "layer", "layers", *_SHAPE, *_SIZES, "rows"),
    *("noise", "too_noisy", "runtime", "cpu"),
)
_FRACTIONS = {2: "half", 3: "a third", 4: "a quarter"}


def sweep_heading(sweep: Sweep) -> str:
    """``layer1.0.conv2 of model.onnx: 128->128 3x3 p1, groups 32, on 1x128x56x56 float32``."""
    cost = sweep.cost
    return printable(
        f"{sweep.layer} of {sweep.source}: {channels_text(cost)} {kernel_text(cost)}, groups {cost.groups}, "
        f"on {as_text(cost.input_shape)} {cost.dtype}{_others(sweep)}"
    )


def sweep_columns(sweep: Sweep) -> dict[str, Column]:
    """A row for each number of groups; the model's own is marked, as are those that another one dominates."""
    rows = sweep.rows
    return {
        "groups": Column(header="groups", cells=[str(row.groups) for row in rows]),
        "params": Column(header="params", cells=[printable(human(row.params)) for row in rows]),
        "macs": Column(header="MACs", cells=[printable(human(row.macs)) for row in rows]),
        "bytes": Column(header="bytes", cells=[printable(human(row.weight_bytes, "B")) for row in rows]),
        "time": Column(header="time", cells=[time_text(row) for row in rows]),
        "promised": Column(header="promised", cells=[factor_text(row.promised) for row in rows]),
        "realised": Column(
            header="realised",
            cells=[
                NONE if row.groups == 1 else realised_text(row.realised, row.realised_interval)
                for row in rows
            ],
        ),
        "kernel": Column(header="kernel", cells=[printable(row.kernel or "?") for row in rows], left=True),
        "mark": Column(header="", cells=[_mark(row) for row in rows], left=True),
    }


def sweep_lines(sweep: Sweep) -> list[str]:
    """Which rows are dominated, what was not measured and why, what ran; and what was not looked at."""
    lines = [*_dominated(sweep), *_unmeasured([sweep]), *_noisy([sweep]), _ran([sweep]), ACCURACY]
    return [printable(line) for line in lines if line]


def summary_columns(sweeps: Sequence[Sweep]) -> dict[str, Column]:
    """A row for each distinct layer: what the model has, what dominates it, and what is fastest."""
    owns = [_own(sweep) for sweep in sweeps]
    best = [_better(sweep) for sweep in sweeps]
    fastest = [_fastest(sweep) for sweep in sweeps]
    return {
        "name": Column(header="layer", cells=[printable(sweep.layer) for sweep in sweeps], left=True),
        "equal": Column(header="equal", cells=[str(len(sweep.layers)) for sweep in sweeps]),
        "channels": Column(header="channels", cells=[channels_text(sweep.cost) for sweep in sweeps]),
        "kernel": Column(header="kernel", cells=[kernel_text(sweep.cost) for sweep in sweeps], left=True),
        "groups": Column(header="groups", cells=[str(sweep.cost.groups) for sweep in sweeps]),
        "time": Column(header="time", cells=["?" if own is None else time_text(own) for own in owns]),
        "better": Column(header="better", cells=[_found(row) for row in best], left=True),
        "fastest": Column(header="fastest", cells=[_found(row) for row in fastest], left=True),
    }


def summary_lines(sweeps: Sequence[Sweep]) -> list[str]:
    """Where a better groups exists, in words; what was not measured and why; what ran."""
    better = [(sweep, row) for sweep in sweeps if (row := _better(sweep)) is not None]
    timed = [own for own in map(_own, sweeps) if own is not None and own.seconds is not None]
    grouped = sum(own.groups > 1 for own in timed)
    lines = [f"{sweep.layer}: {dominance(_own(sweep), row)}" for sweep, row in better]
    found = f"fewer groups are faster for {len(better)}" if better else "for none are fewer groups faster"
    distinct = "1 distinct layer was" if len(timed) == 1 else f"{len(timed)} distinct layers were"
    lines += [f"{distinct} timed, {grouped} with groups{f': {found}' if grouped else ''}"]
    lines += [*_unmeasured(sweeps), *_noisy(sweeps), _ran(sweeps), ACCURACY]
    return [printable(line) for line in lines if line]


def time_text(row: SweepRow) -> str:
    """``845 us ±3%``; ``?`` where it was not measured."""
    return "?" if row.seconds is None else f"{human_seconds(row.seconds)} {spread_text(row.spread)}"


def dominance(row: SweepRow | None, by: SweepRow) -> str:
    """``g=16: half the multiply-adds of g=8, 40 % slower (38 to 43)``, from where their intervals end."""
    if row is None or row.seconds is None or not by.seconds:
        return ""
    ends = [
        (row.seconds * (1 + side * (row.spread or 0.0))) / (by.seconds * (1 - side * (by.spread or 0.0)))
        for side in (-1, 1)
    ]
    least, most = max(0, floor(100 * (ends[0] - 1))), ceil(100 * (ends[1] - 1))
    slower = f"{100 * (row.seconds / by.seconds - 1):.0f} % slower ({least} to {most})"
    return f"g={row.groups}: {_share(row, by)} of g={by.groups}, {slower}"


def sweep_dict(sweep: Sweep) -> dict[str, Any]:
    """A sweep as an object: what JSON is made of. Seconds are of one call; null is not measured."""
    own = {"schema_version": SWEEP_SCHEMA_VERSION, "convaudit_version": __version__}
    own |= {key: getattr(sweep.cost, key) for key in (*_SHAPE, *_SIZES)}
    return {key: plain(own[key] if key in own else getattr(sweep, key)) for key in SWEEP_KEYS}


def _share(row: SweepRow, by: SweepRow) -> str:
    if not isinstance(row.macs, int) or not isinstance(by.macs, int) or not row.macs:
        return "fewer multiply-adds"
    share = Fraction(by.macs, row.macs)
    if share.denominator > 1:
        return f"{float(1 / share):.2g} times the multiply-adds"
    words = _FRACTIONS.get(share.numerator, f"1/{share.numerator}")
    return f"{words} the multiply-adds" if words == "half" else f"{words} of the multiply-adds"


def _mark(row: SweepRow) -> str:
    marks = ["the model's"] if row.current else []
    if row.dominated_by is not None:
        marks.append(f"dominated by {row.dominated_by}")
    if row.reason is not None:
        marks.append("not measured")
    return ", ".join(marks)


def _others(sweep: Sweep) -> str:
    others = [name for name in sweep.layers if name != sweep.layer]
    return f" (equal: {listed(others)})" if others else ""


def _dominated(sweep: Sweep) -> Iterator[str]:
    rows = {row.groups: row for row in sweep.rows}
    for row in sweep.rows:
        if row.dominated_by is not None:
            mark = ", as the model has it" if row.current else ""
            yield dominance(row, rows[row.dominated_by]) + mark


def _unmeasured(sweeps: Sequence[Sweep]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for sweep in sweeps:
        told = {row.reason for row in sweep.rows}
        alike = len(told) == 1 and len(sweeps) > 1
        for row in sweep.rows[:1] if alike else sweep.rows:
            if row.reason is not None:
                which = f"g={row.groups}"
                name = which if len(sweeps) == 1 else sweep.layer if alike else f"{sweep.layer} {which}"
                reasons.setdefault(row.reason, []).append(name)
    for reason, names in reasons.items():
        yield f"not measured: {listed(names)}: {reason}"


def _noisy(sweeps: Sequence[Sweep]) -> Iterator[str]:
    noisy = [sweep for sweep in sweeps if sweep.too_noisy is not None]
    if noisy:
        where = "" if len(sweeps) == 1 else f"{len(noisy)} layers, "
        yield f"warning: no verdict: {where}{noisy[0].too_noisy}"


def _ran(sweeps: Sequence[Sweep]) -> str:
    ran = next((sweep for sweep in sweeps if sweep.runtime is not None), None)
    if ran is None or ran.runtime is None:
        return ""
    spreads = [row.spread for sweep in sweeps for row in sweep.rows if row.spread is not None]
    noise = [sweep.noise for sweep in sweeps if sweep.noise is not None]
    words = [*ran_on(ran.runtime), *([ran.cpu] if ran.cpu else [])]
    words += [f"spread {spread_text(max(spreads))[1:]} at most"] if spreads else []
    words += [f"a layer beside itself differed by {max(noise):.1%} at most"] if noise else []
    return f"timed with {', '.join(words)}"


def _own(sweep: Sweep) -> SweepRow | None:
    return next((row for row in sweep.rows if row.current), None)


def _better(sweep: Sweep) -> SweepRow | None:
    return better_groups(sweep)


def _fastest(sweep: Sweep) -> SweepRow | None:
    """The fastest of all, if it is faster than the model's own beyond the spread of both."""
    own = _own(sweep)
    timed = [row for row in sweep.rows if row.seconds is not None]
    if sweep.too_noisy is not None or own is None or own.seconds is None:
        return None
    row = min(timed, key=lambda row: row.seconds or 0.0)
    most, least = (row.seconds or 0.0) * (1 + (row.spread or 1.0)), own.seconds * (1 - (own.spread or 1.0))
    return row if most < least else None


def _found(row: SweepRow | None) -> str:
    return "" if row is None else f"g={row.groups}, {time_text(row)}"
