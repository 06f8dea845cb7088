"""Groups that the runtime's kernels punish, from sweeps of a network's layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from convaudit.records.findings import Claim
from convaudit.records.timing import Sweep, SweepRow
from convaudit.units import human_percentage, human_seconds

_ELSEWHERE = "times are of this machine and runtime: 'convaudit sweep' has them at every number of groups"


def punished_groups(sweeps: Sequence[Sweep]) -> tuple[Claim, ...]:
    """Claims of the layers whose groups another row dominates: fewer, and yet faster beyond the noise."""
    return tuple(claim for sweep in sweeps for claim in _claims(sweep))


def untimed(sweeps: Sequence[Sweep]) -> tuple[str, ...]:
    """Notes on layers with groups of which no time tells anything, and why; one for each reason."""
    names = defaultdict[str, list[str]](list)
    for sweep in sweeps:
        reason = _why_untold(sweep)
        if reason is not None:
            names[reason] += sweep.layers
    return tuple(f"groups not timed: {', '.join(layers)}: {reason}" for reason, layers in names.items())


def _why_untold(sweep: Sweep) -> str | None:
    own = next((row for row in sweep.rows if row.current), None)
    others = [row for row in sweep.rows if not row.current]
    if own is None or own.seconds is None:
        return (own.reason if own is not None else None) or "it was not measured"
    if all(row.seconds is None for row in others):
        return next((row.reason for row in others if row.reason), "no other number of groups was measured")
    return sweep.too_noisy


def _claims(sweep: Sweep) -> Iterator[Claim]:
    own = next((row for row in sweep.rows if row.current), None)
    if own is None or own.dominated_by is None:
        return
    better = next(row for row in sweep.rows if row.groups == own.dominated_by)
    for layer in sweep.layers:
        yield Claim(
            rule="CA401",
            layer=layer,
            channels=None,
            message=f"{_time(own)}, {_time(better)}, one call alone, with {_ran_on(sweep)}",
            certainty="observed",
            reason=_ELSEWHERE,
        )


def _time(row: SweepRow) -> str:
    """``groups=32 takes 1.23 ms (spread 2%)``."""
    return f"groups={row.groups} takes {human_seconds(row.seconds)} (spread {human_percentage(row.spread)})"


def _ran_on(sweep: Sweep) -> str:
    runtime = sweep.runtime
    if runtime is None:
        return "a runtime that does not tell its name"
    threads = "1 thread" if runtime.threads == 1 else f"{runtime.threads} threads"
    words = [f"{runtime.name} {runtime.version}", runtime.provider or runtime.device, threads, sweep.cpu]
    noise = f"; the layer differed from itself by {human_percentage(sweep.noise)}"
    return ", ".join(word for word in words if word) + noise
