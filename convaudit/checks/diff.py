"""What differs between two audits: layers added, removed and changed, and the totals' deltas."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields

from convaudit.checks.matching import OPERATION, SHAPES, Match, match_layers
from convaudit.checks.quantities import params_elsewhere
from convaudit.checks.speed import Speed, Turns, layers_speed, model_speed
from convaudit.formulas import Count, subtract
from convaudit.records import AuditReport, LayerCost, Totals
from convaudit.records.displayed import Displayed, terminal_text

FIELDS: dict[str, Callable[[LayerCost], Hashable]] = {
    **OPERATION,
    **SHAPES,
    "dtype": lambda layer: layer.dtype,
    "weight_dtype": lambda layer: layer.weight_dtype,
    "bias": lambda layer: layer.bias,
    "calls": lambda layer: layer.calls,
    "params": lambda layer: layer.params,
    "macs": lambda layer: layer.macs,
}
"""What is compared of two matched layers, by the field's name in the records."""

TOTALS = tuple(field.name for field in fields(Totals) if field.name != "macs_at_least")
"""What is compared of the totals, by the field's name in the records."""
_NOT_ALWAYS = frozenset({"live_activation_bytes", "trainable_params", "model_trainable_params"})
"""What only models of some formats say, and no baseline: it is compared where both do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of a layer, or one total, that differs."""

    field: str
    before: Hashable
    after: Hashable

    def __str__(self) -> str:
        """``groups 32 -> 1``."""
        return f"{self.field} {value_text(self.before)} -> {value_text(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """A layer that is in both models, with all fields in which it differs."""

    before: LayerCost
    after: LayerCost
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """One total of both models."""

    name: str
    before: Count | None
    after: Count | None

    @property
    def delta(self) -> Count | None:
        """``after - before``; None if either is unknown."""
        return subtract(self.after, self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What the difference promised and what it is worth, of models timed in alternation."""

    model: Speed  # whole runs
    changed: Speed | None  # all changed layers together; None: there are none
    unchanged: Speed | None
    layers: tuple[Speed, ...]  # each that is in both models, in the order of the second one


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Difference(Displayed):
    """All that differs between two audits. A new name or place alone is not a difference, only noted."""

    before: AuditReport
    after: AuditReport
    added: tuple[LayerCost, ...]
    removed: tuple[LayerCost, ...]
    changed: tuple[LayerChange, ...]
    renamed: tuple[tuple[str, str], ...]
    totals: tuple[Total, ...]  # all of them, also the equal ones
    notes: tuple[str, ...]
    times: Times | None = None  # None: nothing was timed

    @property
    def equal(self) -> bool:
        """Whether the models' convolutions, and all totals, are the same."""
        layers = self.added or self.removed or self.changed
        return not layers and all(total.before == total.after for total in self.totals)

    def __str__(self) -> str:
        return terminal_text("diff", self)

    def __repr__(self) -> str:
        return (
            f"<convaudit.Difference of {self.before.source!r} and {self.after.source!r}: "
            f"{len(self.changed)} changed, {len(self.removed)} removed, {len(self.added)} added>"
        )


def difference_of(before: AuditReport, after: AuditReport, turns: Turns | None = None) -> Difference:
    """Compare two audits layer by layer, whatever formats they come from.

    Args:
        before: The one audit.
        after: The other one.
        turns: Times of both models, to say what the difference is worth; a time alone is not a difference.
    """
    pairs = match_layers(before.layers, after.layers)
    matched = [(before.layers[i], after.layers[j]) for i, j in pairs]
    kept_before, kept_after = {i for i, _ in pairs}, {j for _, j in pairs}
    changed = [LayerChange(before=a, after=b, changes=_changes(a, b)) for a, b in matched]
    changed = [change for change in changed if change.changes]
    totals = tuple(
        Total(name=name, before=getattr(before.totals, name), after=getattr(after.totals, name))
        for name in TOTALS
        if name not in _NOT_ALWAYS or _both_known(name, before, after)
    )
    return Difference(
        before=before,
        after=after,
        added=tuple(layer for j, layer in enumerate(after.layers) if j not in kept_after),
        removed=tuple(layer for i, layer in enumerate(before.layers) if i not in kept_before),
        changed=tuple(changed),
        renamed=tuple((a.name, b.name) for a, b in matched if a.name != b.name),
        totals=totals,
        notes=tuple(_notes(before, after, changed, totals)),
        times=_times(before, after, pairs, turns) if turns else None,
    )


def _times(before: AuditReport, after: AuditReport, pairs: Sequence[Match], turns: Turns) -> Times:
    both = [((i, before.layers[i]), (j, after.layers[j])) for i, j in pairs]
    differ = [bool(_changes(old, new)) for (_, old), (_, new) in both]

    def together(changed: bool) -> Speed | None:
        chosen = [pair for pair, differs in zip(both, differ, strict=True) if differs == changed]
        name = f"{len(chosen)} {'changed' if changed else 'unchanged'} layer{'s' * (len(chosen) != 1)}"
        return layers_speed(turns, chosen, (name, name)) if chosen else None

    return Times(
        model=model_speed(turns, before, after),
        changed=together(True),
        unchanged=together(False),
        layers=tuple(layers_speed(turns, [(a, b)], (a[1].name, b[1].name)) for a, b in both),
    )


def _changes(before: LayerCost, after: LayerCost) -> tuple[FieldChange, ...]:
    values = [(name, of(before), of(after)) for name, of in FIELDS.items()]
    return tuple(FieldChange(field=name, before=a, after=b) for name, a, b in values if a != b)


def _both_known(name: str, before: AuditReport, after: AuditReport) -> bool:
    return getattr(before.totals, name) is not None and getattr(after.totals, name) is not None


def _notes(
    before: AuditReport, after: AuditReport, changed: Sequence[LayerChange], totals: Sequence[Total]
) -> Iterator[str]:
    """What explains a difference, or limits what its absence says."""
    if before.format != after.format:
        yield from _export_notes(before, after, changed)
    open_sizes = sorted(set(before.symbols) ^ set(after.symbols))
    if open_sizes:
        yield f"only one of the models leaves {', '.join(open_sizes)} open: fix sizes with --dim or --input"
    unknown = [total.name for total in totals if total.before is None and total.after is None]
    if unknown:
        yield f"unknown in both models, so not compared: {', '.join(unknown)}"


def _export_notes(before: AuditReport, after: AuditReport, changed: Sequence[LayerChange]) -> Iterator[str]:
    """What exporters do to a model on the way from one format to another."""
    gained = sum(change.after.bias and not change.before.bias for change in changed)
    lost = sum(change.before.bias and not change.after.bias for change in changed)
    if gained:
        yield f"biases gained: {gained}; exporters fold a BatchNorm into the convolution before it"
    if lost:
        yield f"biases lost: {lost}; exporters drop one that is zero"
    elsewhere = [params_elsewhere(report) for report in (before, after)]
    if elsewhere[0] != elsewhere[1]:
        yield (
            f"parameters outside of convolutions: {value_text(elsewhere[0])} -> {value_text(elsewhere[1])}; "
            "exporters fold those of BatchNorm into convolutions"
        )


def value_text(value: object) -> str:
    """A field of a layer, or a count, as people write it.

    >>> value_text(1204224), value_text((3, 3)), value_text(((1, 1), (0, 1))), value_text(None)
    ('1,204,224', '3x3', '1:1x0:1', '?')
    """
    match value:
        case None:
            return "?"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case tuple():
            return "x".join(_size_text(size) for size in value)
        case _:
            return str(value)


def _size_text(size: object) -> str:
    if isinstance(size, tuple):
        return ":".join(map(str, size))
    return "?" if size is None else str(size)
