"""How much memory activations take at once, at least, when steps run one by one in a given order.

A tensor lives from the step that writes it to the last that reads it, as a whole. While a convolution or a
matrix product runs, its inputs and its outputs exist together, but for what it only adds; over that, and over
any input of another step, a result may be written where nobody reads it later, so that of these only what
lives before and what lives after it counts. A view has no memory of its own; of a part (a slice) that counts
once what it was cut from is gone. No tensor is counted that nobody reads. Each of these choices takes the
smaller number, so that the sum is a lower bound of what a runtime allocates that runs these steps in this
order and fuses none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from convaudit.formulas import Count, Formula, is_nonnegative, maximum, term_count
from convaudit.records import LiveActivations

_MOST_TERMS = 64
_MOST_PROOFS = 200
_MOST_OPERANDS = 3


class Step(NamedTuple):
    """One step: the tensors that it reads and writes, by name."""

    name: str
    reads: Sequence[str]
    writes: Sequence[str]
    together: bool = False  # whether inputs and outputs exist at once
    over: Sequence[str] = ()  # what it only adds: its result may be written over one that nobody reads later
    view: Literal["whole", "part"] | None = None  # of the first tensor that it reads
    inside: LiveActivations | None = None  # of the bodies that it runs


def live_activations(
    steps: Sequence[Step],
    inputs: Iterable[str],
    outputs: Iterable[str],
    size: Callable[[str], Count | None],
) -> LiveActivations:
    """The most bytes that live at once.

    Args:
        steps: In the order in which they run.
        inputs: Tensors that exist before the first step.
        outputs: Tensors that are kept until after the last one.
        size: Bytes of a tensor; None if unknown.
    """
    roots = _roots(steps)
    last = _last_reads(steps, outputs, roots)
    sizes = {name: size(name) for name in last}
    unknown = next((name for name in reversed(sizes) if sizes[name] is None), None)
    unseen = next((step.inside for step in steps if step.inside and step.inside.bytes is None), None)
    if unknown is not None or unseen is not None:
        return unseen or LiveActivations(bytes=None, reason=f"the size of {unknown!r} is unknown")
    known = {name: count for name, count in sizes.items() if count is not None}
    spare: dict[int, Count] = {}
    for index, step in enumerate(steps):
        over = {roots.get(name, name) for name in step.over}
        if over:
            spare[index] = sum(known.get(root, 0) for root in over if last.get(root) == index)
    return _peak(
        steps,
        [name for name in inputs if name in last],
        last,
        known,
        _delayed(steps, last, known, roots),
        spare,
    )


def most_of(choices: Iterable[LiveActivations]) -> LiveActivations:
    """Of exclusive bodies the one that takes most."""
    peak = _Peak()
    for one in choices:
        if one.bytes is None:
            return one
        peak.reach(one.bytes, one.step or "")
    return peak.found()


class _Delayed(NamedTuple):
    """Parts, and when they count: not before what they were cut from is gone."""

    never: frozenset[str]
    after: dict[str, int]  # the step with which that is gone


def _roots(steps: Sequence[Step]) -> dict[str, str]:
    """The tensor behind each view of all of it."""
    roots: dict[str, str] = {}
    for step in steps:
        if step.view == "whole" and step.reads:
            roots |= dict.fromkeys(step.writes, roots.get(step.reads[0], step.reads[0]))
    return roots


def _last_reads(steps: Sequence[Step], outputs: Iterable[str], roots: dict[str, str]) -> dict[str, int]:
    """The last step that reads a tensor or a view of it; of steps whose results nobody reads, none counts."""
    last = {roots.get(name, name): len(steps) for name in outputs}
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        if any(roots.get(name, name) in last for name in step.writes):
            for name in step.reads:
                last.setdefault(roots.get(name, name), index)
    return last


def _delayed(
    steps: Sequence[Step], last: dict[str, int], sizes: dict[str, Count], roots: dict[str, str]
) -> _Delayed:
    """Parts of one tensor that different steps cut may overlap: those of one step alone ever count."""
    parts = [(index, step) for index, step in enumerate(steps) if step.view == "part" and step.reads]
    if not parts:
        return _Delayed(frozenset(), {})
    cut: dict[str, tuple[int, int]] = {}  # from which tensor: the step that counts, and how much it cuts
    for index, step in parts:
        host = roots.get(step.reads[0], step.reads[0])
        amount = sum(count for name in step.writes if isinstance(count := sizes.get(name, 0), int))
        if host not in cut or amount > cut[host][1]:
            cut[host] = index, amount
    never: set[str] = set()
    after: dict[str, int] = {}
    for index, step in parts:
        host = roots.get(step.reads[0], step.reads[0])
        if cut[host][0] != index or host in never:
            never.update(step.writes)
        else:
            gone = max(last.get(host, index), after.get(host, -1))
            after |= dict.fromkeys(step.writes, gone)
    return _Delayed(frozenset(never), after)


def _peak(
    steps: Sequence[Step],
    inputs: Sequence[str],
    last: dict[str, int],
    sizes: dict[str, Count],
    delayed: _Delayed,
    spare: dict[int, Count],
) -> LiveActivations:
    deaths: defaultdict[int, list[str]] = defaultdict(list)
    for name, index in last.items():
        if name not in delayed.never and delayed.after.get(name, -1) < index:
            deaths[index].append(name)
    late: defaultdict[int, list[str]] = defaultdict(list)
    for name, index in delayed.after.items():
        if index < last.get(name, -1):
            late[index].append(name)
    apart = delayed.never | delayed.after.keys()
    live: Count = sum(sizes[name] for name in dict.fromkeys(inputs) if name not in apart)
    peak = _Peak()
    for index, step in enumerate(steps):
        new: Count = sum(sizes[name] for name in step.writes if name in sizes and name not in apart)
        gone: Count = sum(sizes[name] for name in deaths[index]) if index in deaths else 0
        more: Count = sum(sizes[name] for name in late[index]) if index in late else 0
        if step.together:
            peak.reach(live + new - spare.get(index, 0), step.name)
        if not step.together or index in spare:
            peak.reach(live, step.name)
        if step.inside is not None and step.inside.bytes is not None:
            # what is read here for the last time may be gone before the body takes its most
            peak.reach(live - gone + step.inside.bytes, step.inside.step or step.name)
        live = live + new + more - gone
        peak.reach(live, step.name)
        if peak.lost:
            break
    return peak.found()


class _Peak:
    """The largest of many counts, with the step of each that may be it."""

    def __init__(self) -> None:
        self._kept: dict[Count, str] = {0: ""}
        self._seen: set[Count] = set()
        self._proofs = 0
        self.lost = False  # whether to compare them is too much

    def reach(self, count: Count, step: str) -> None:
        if isinstance(count, int) and len(self._kept) == 1:
            ((best, _),) = self._kept.items()
            if isinstance(best, int):
                if count > best:
                    self._kept = {count: step}
                return
        if count in self._seen:
            return
        self._seen.add(count)
        if isinstance(count, Formula) and term_count(count) > _MOST_TERMS:
            self.lost = True
            return
        if any(self._is_at_least(other, count) for other in self._kept):
            return
        self._kept = {
            other: name for other, name in self._kept.items() if not self._is_at_least(count, other)
        }
        self._kept[count] = step
        self.lost = self._proofs > _MOST_PROOFS

    def _is_at_least(self, first: Count, second: Count) -> bool:
        difference = first - second
        if isinstance(difference, int):
            return difference >= 0
        if min(difference.samples) < 0:
            return False
        self._proofs += 1
        return is_nonnegative(difference)

    def found(self) -> LiveActivations:
        if self.lost or len(self._kept) > _MOST_OPERANDS:
            return LiveActivations(bytes=None, reason="where it is most depends on the open sizes")
        steps = [name for name in self._kept.values() if name]
        return LiveActivations(bytes=maximum(*self._kept), step=steps[0] if len(steps) == 1 else None)
