"""One layer at every number of groups: what each costs, how long it takes, and which ones are dominated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from convaudit.analyzer.costs import layer_cost
from convaudit.formulas.proportion import ratio
from convaudit.records import ConvLayer, LayerCost
from convaudit.records.timing import Samples, Sweep, SweepRow, Swept
from convaudit.timing.estimates import Estimate, median_of, ratio_of_rounds
from convaudit.timing.noise import deviation, too_noisy


def swept(source: str, layer: LayerCost, same: Sequence[str], groups: Sequence[int], samples: Swept) -> Sweep:
    """What a layer costs at each number of groups, and how long it takes.

    A row is *dominated* by another one that has fewer groups, so saves fewer multiply-adds, and yet is
    faster beyond all doubt: the intervals of their seconds are disjoint, and so is that of their ratio over
    rounds from 1, as wide as the layer differed from itself. On a machine too noisy, no row is.

    Args:
        source: Where the model comes from.
        layer: As the model has it.
        same: Names of all layers with these shapes, this one among them.
        groups: Divisors of its input and output channels, which the rows are of.
        samples: Of the rounds in which they were timed in turn.
    """
    noise = deviation(ratio_of_rounds(samples.itself, samples.seconds.get(layer.groups, ())))
    noisy = too_noisy(noise)
    rows = tuple(_row(layer, number, samples, noise) for number in sorted(groups))
    if noisy is None:
        rows = tuple(replace(row, dominated_by=_dominator(row, rows, samples, noise)) for row in rows)
    return Sweep(
        source=source,
        layer=layer.name,
        cost=layer,
        layers=tuple(same),
        rows=rows,
        noise=noise,
        too_noisy=noisy,
        runtime=samples.runtime,
        cpu=samples.cpu,
    )


def better_groups(sweep: Sweep) -> SweepRow | None:
    """The row that the model could have instead of its own: fewer groups, and yet faster; None if none is."""
    better = next((row.dominated_by for row in sweep.rows if row.current), None)
    return next((row for row in sweep.rows if row.groups == better), None)


def at_groups(layer: LayerCost, groups: int) -> LayerCost:
    """The costs of the same layer with other groups, its weight stored as it is; nothing measured."""
    values = {field.name: getattr(layer, field.name) for field in fields(ConvLayer)}
    shape = layer.weight_shape
    if shape is not None and len(shape) > 1:
        inner = layer.out_channels if layer.transposed else layer.in_channels
        shape = (shape[0], None if inner is None else inner // groups, *shape[2:])
    changed = {"groups": groups, "weight_shape": shape, "stored_params": None, "stored": ()}
    return layer_cost(ConvLayer(**{**values, **changed}))


def _row(layer: LayerCost, groups: int, samples: Swept, noise: float | None) -> SweepRow:
    cost, dense = at_groups(layer, groups), at_groups(layer, 1)
    seconds = median_of(samples.seconds.get(groups, ()))
    realised = _speedup(samples.seconds, 1, groups, noise)
    return SweepRow(
        groups=groups,
        params=cost.params,
        macs=cost.macs,
        weight_bytes=cost.weight_bytes,
        seconds=seconds.value if seconds else None,
        spread=seconds.spread if seconds else None,
        promised=ratio(dense.macs, cost.macs),
        realised=realised.value if realised else None,
        realised_interval=realised.interval if realised else None,
        kernel=samples.kernels.get(groups),
        current=groups == layer.groups,
        reason=samples.reasons.get(groups) or (None if seconds else "it was not measured"),
    )


def _dominator(row: SweepRow, rows: Sequence[SweepRow], samples: Swept, noise: float | None) -> int | None:
    """The fastest of those that have fewer groups and yet are faster."""
    faster = [other for other in rows if other.groups < row.groups and _faster(other, row, samples, noise)]
    return min(faster, key=lambda other: other.seconds or 0.0).groups if faster else None


def _faster(one: SweepRow, other: SweepRow, samples: Swept, noise: float | None) -> bool:
    seconds, others = (median_of(samples.seconds.get(row.groups, ())) for row in (one, other))
    gain = _speedup(samples.seconds, other.groups, one.groups, noise)
    if seconds is None or others is None or gain is None:
        return False
    return seconds.high < others.low and gain.value > 1 and gain.excludes(1)


def _speedup(seconds: Mapping[int, Samples], before: int, after: int, noise: float | None) -> Estimate | None:
    """How many times faster one number of groups is than another, over rounds."""
    slow, fast = seconds.get(before, ()), seconds.get(after, ())
    if before == after and slow:
        return Estimate(value=1.0, low=1.0, high=1.0, count=len(slow))
    found = ratio_of_rounds(slow, fast)
    return found.widened(1 + (noise or 0.0)) if found else None
