"""What a change of a network promised, and what it is worth in time: per layer, and altogether."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from convaudit.analyzer.totals import calls_macs
from convaudit.formulas import Count, add
from convaudit.formulas.proportion import ratio
from convaudit.records import AuditReport, LayerCost

if TYPE_CHECKING:
    from convaudit.records.timing import Samples, Timed

PromisedBy = Literal["macs", "weight_bytes"]
"""What became less: multiply-adds, or where these stayed, bytes of weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Seconds of one run before and after, and how many times less they became.

    ``realised`` is the median over turns, in each of which both models ran.
    """

    before: str  # the layer's name, or the model's source
    after: str
    promised: float | None  # macs before / after, or weight bytes; None: unknown
    promised_by: PromisedBy
    seconds_before: float | None
    seconds_after: float | None
    realised: float | None
    realised_interval: tuple[float, float] | None  # that holds it with 95 % confidence; None: too few turns
    spread: float | None  # half of the interval, or of few turns' range, relative to realised
    turns: int
    reason: str | None = None  # why something is None


@dataclass(frozen=True, slots=True)
class Turns:
    """Two models, timed in alternation: one of each for each turn."""

    before: Sequence[Timed]
    after: Sequence[Timed]


LayerPair = tuple[tuple[int, LayerCost], tuple[int, LayerCost]]
"""One layer as it was and as it is, each with its place in its model."""


def layers_speed(turns: Turns, pairs: Sequence[LayerPair], names: tuple[str, str]) -> Speed:
    """Of layers that are in both models, all their calls in a run, the reorders that they caused included.

    Args:
        turns: Of both models.
        pairs: The layers; all of them have to be measured, or their time is unknown.
        names: What they are called, before and after.
    """
    old, new = ([pair[side] for pair in pairs] for side in (0, 1))
    return _speed(
        names,
        tuple(add(*(calls_macs(layer) for _, layer in side)) for side in (old, new)),
        tuple(add(*(layer.weight_bytes for _, layer in side)) for side in (old, new)),
        [_in_model(timed, old) for timed in turns.before],
        [_in_model(timed, new) for timed in turns.after],
        "; ".join([*_unmeasured("before", turns.before[0], old), *_unmeasured("after", turns.after[0], new)]),
    )


def model_speed(turns: Turns, before: AuditReport, after: AuditReport) -> Speed:
    """Of whole runs of the models, whatever they consist of; without a profiler, where these were timed."""
    return _speed(
        (before.source, after.source),
        (before.totals.model_macs, after.totals.model_macs),
        (before.totals.weight_bytes, after.totals.weight_bytes),
        [timed.plain or timed.runs for timed in turns.before],
        [timed.plain or timed.runs for timed in turns.after],
        "",
    )


def _speed(
    names: tuple[str, str],
    macs: Sequence[Count | None],
    weight_bytes: Sequence[Count | None],
    before: Sequence[Samples],
    after: Sequence[Samples],
    reason: str,
) -> Speed:
    from convaudit.timing.estimates import FEWEST
    from convaudit.timing.turns import speedup

    promised, by = _promised(macs, weight_bytes)
    found = speedup(before, after)
    if found is not None and not found.sure:
        reason = f"a 95 % interval takes {FEWEST} turns or more, there was time for {found.count}: give more"
    return Speed(
        before=names[0],
        after=names[1],
        promised=promised,
        promised_by=by,
        seconds_before=_middle(before),
        seconds_after=_middle(after),
        realised=found.value if found else None,
        realised_interval=found.interval if found else None,
        spread=found.spread if found else None,
        turns=found.count if found else 0,
        reason=reason or None,
    )


def _promised(
    macs: Sequence[Count | None], weight_bytes: Sequence[Count | None]
) -> tuple[float | None, PromisedBy]:
    """By how many times the MACs became less, or where they are equal the bytes of the weights."""
    before, after = macs
    if before is not None and before == after and weight_bytes[0] != weight_bytes[1]:
        return ratio(weight_bytes[0], weight_bytes[1]), "weight_bytes"
    return ratio(before, after), "macs"


def _in_model(timed: Timed, layers: Sequence[tuple[int, LayerCost]]) -> Samples:
    """Seconds of the layers in each run; of none if one of them was not measured."""
    from convaudit.timing.model import sum_of_runs

    samples = [timed.layers[index].in_model for index, _ in layers]
    return sum_of_runs(samples) if all(samples) else ()


def _unmeasured(side: str, timed: Timed, layers: Sequence[tuple[int, LayerCost]]) -> list[str]:
    return [
        f"{side}: {layer.name}: {timed.layers[index].reason or 'not measured'}"
        for index, layer in layers
        if not timed.layers[index].in_model
    ][:1]


def _middle(turns: Sequence[Samples]) -> float | None:
    samples = [second for turn in turns for second in turn]
    return median(samples) if samples else None
