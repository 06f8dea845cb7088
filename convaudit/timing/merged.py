"""Samples of one model that were taken in several turns, as if in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from convaudit.records.timing import LayerSamples, PartSamples, Roofs, Samples, Timed

_SAMPLES = tuple(field.name for field in fields(LayerSamples) if "Samples" in str(field.type))


def merged(turns: Sequence[Timed]) -> Timed:
    """All samples of the same model, in the order of the turns.

    Everything else is the first turn's that tells it; the roofs are the highest that any turn reached.
    """
    first = turns[0]
    layers = zip(*(turn.layers for turn in turns), strict=True)
    known = [turn.roofs for turn in turns if turn.roofs]
    return replace(
        first,
        layers=tuple(map(_merged_layer, layers)),
        runs=_joined([turn.runs for turn in turns]),
        plain=_joined([turn.plain for turn in turns]),
        busy=_joined([turn.busy for turn in turns]),
        parts=tuple(_merged_parts(turns)),
        roofs=_highest(known) if known else None,
        warnings=tuple(dict.fromkeys(line for turn in turns for line in turn.warnings)),
    )


def _merged_layer(turns: Sequence[LayerSamples]) -> LayerSamples:
    samples: dict[str, Any] = {name: _joined([getattr(turn, name) for turn in turns]) for name in _SAMPLES}
    known = next((turn for turn in turns if turn.kernel), turns[0])
    twin = next((turn.dense_kernel for turn in turns if turn.dense_kernel), None)
    return replace(known, **samples, dense_kernel=twin, reason=known.reason)


def _merged_parts(turns: Sequence[Timed]) -> list[PartSamples]:
    """A part that did not occur in a turn took no time in its runs."""
    found: dict[Any, PartSamples] = {}
    for turn in turns:
        for part in turn.parts:
            found.setdefault((part.kind, part.name), part)

    def seconds(key: Any, turn: Timed) -> Samples:
        of_turn = {(part.kind, part.name): part.seconds for part in turn.parts}
        return of_turn.get(key, (0.0,) * len(turn.runs))

    return [
        replace(part, seconds=_joined([seconds(key, turn) for turn in turns])) for key, part in found.items()
    ]


def _highest(roofs: Sequence[Roofs]) -> Roofs:
    peaks: dict[str, float] = {}
    for one in roofs:
        for dtype, peak in one.macs_per_second.items():
            peaks[dtype] = max(peak, peaks.get(dtype, 0.0))
    return Roofs(macs_per_second=peaks, bytes_per_second=max(one.bytes_per_second for one in roofs))


def _joined(samples: Sequence[Samples]) -> Samples:
    return tuple(second for turn in samples for second in turn)
