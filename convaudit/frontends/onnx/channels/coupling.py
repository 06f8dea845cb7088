"""Indices of axes that go or stay together: each op ties some, and pins others.

An index is that of one axis of one tensor, a stored one or an activation. Tensors of which nothing could go
are *closed*: nothing is written down of them but that whatever is tied to them must stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from convaudit.frontends.onnx.channels.components import Indices, connected
from convaudit.frontends.onnx.channels.facts import Mask, ValueKey
from convaudit.frontends.onnx.channels.sites import GraphTensors
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown


class Axis(NamedTuple):
    """One axis of one tensor."""

    key: ValueKey
    axis: int


Why: TypeAlias = "str | Axis"
"""Why indices must stay: in words, or because of what reads all of an axis."""
_MOST_INDICES = 2**26


class _Tie(NamedTuple):
    first: Axis
    second: Axis
    firsts: Indices | None  # None: all, in order
    seconds: Indices | None


class Couplings:
    """What the ops of a graph tie and pin, in the order of their visit: readers before what they read."""

    def __init__(
        self,
        tensors: GraphTensors,
        needed: Mapping[ValueKey, Mask],
        static: Set[ValueKey],
    ) -> None:
        """Start without any.

        Args:
            tensors: Shapes.
            needed: Elements of activations that must be there.
            static: Tensors that depend on no input: they shrink with what they are for.
        """
        self._tensors = tensors
        self._needed = needed
        self.static = static
        self._ties: list[_Tie] = []
        self._pins: list[tuple[Axis, Indices | None, Why]] = []
        self._closed: dict[Axis, Why] = {}
        self._notes: list[tuple[Axis, str]] = []
        self._sizes: dict[Axis, int | None] = {}
        self._indices = 0

    def size(self, axis: Axis) -> int | None:
        """Its size; None where that is unknown, or there is no such axis."""
        if axis not in self._sizes:
            shape = self._tensors.shape(axis.key)
            size = shape[axis.axis] if shape is not None and axis.axis < len(shape) else None
            self._sizes[axis] = size if isinstance(size, int) else None
        return self._sizes[axis]

    def rank(self, key: ValueKey) -> int:
        """How many axes a tensor has; ``Unknown`` is raised where that is not known."""
        shape = self._tensors.shape(key)
        if shape is None:
            raise Unknown
        return len(shape)

    def is_open(self, axis: Axis) -> bool:
        """Whether some of its indices may go."""
        if axis in self._closed:
            return False
        if (self.size(axis) or 0) < 2:
            return False
        if axis.key in self.static:
            return True
        mask = self._needed.get(axis.key)
        if mask is None or mask.ndim <= axis.axis:
            return False
        return mask.shape[axis.axis] > 1 or not mask.any()

    def free(self, axis: Axis) -> Mask:
        """Which indices of an activation's axis nothing needs by itself."""
        needed = self._needed_along(axis)
        size = self.size(axis) or 0
        return np.zeros(size, np.bool_) if needed is None or not self.is_open(axis) else ~needed

    def tie(
        self,
        first: Axis,
        second: Axis,
        firsts: Indices | None = None,
        seconds: Indices | None = None,
        why: str | None = None,
    ) -> None:
        """Let indices of one axis go only with those of another, pairwise.

        Args:
            first: One axis.
            second: The other one.
            firsts: Indices of the first one; None: all, in order.
            seconds: Indices of the second one.
            why: What to say where one of them must stay as a whole.
        """
        lengths = {
            len(indices) if indices is not None else self.size(axis)
            for axis, indices in ((first, firsts), (second, seconds))
        }
        sides = self.is_open(first), self.is_open(second)
        if len(lengths) > 1 or None in lengths:
            self.pin(first, "sizes are not known")
            self.pin(second, "sizes are not known")
        elif all(sides):
            self._indices += int(lengths.pop() or 0)
            if self._indices > _MOST_INDICES:
                self.pin(first, "the network has too many channels to look at")
                self.pin(second, "the network has too many channels to look at")
            else:
                self._ties.append(_Tie(first, second, firsts, seconds))
        elif sides[0]:
            self.pin(first, why or self._closed.get(second, second), firsts)
        elif sides[1]:
            self.pin(second, why or self._closed.get(first, first), seconds)

    def pin(self, axis: Axis, why: Why, indices: Indices | None = None) -> None:
        """Let indices stay.

        Args:
            axis: Their axis.
            why: In words, or by the axis that they are tied to.
            indices: None: all.
        """
        if not self.is_open(axis):
            return
        if indices is None or len(np.unique(indices)) == self.size(axis):
            self._closed[axis] = why
        else:
            self._pins.append((axis, indices, why))

    def pin_all(self, key: ValueKey, why: Why, but: tuple[int, ...] = ()) -> None:
        """Let all indices of a tensor stay, except those of some axes."""
        for axis in range(len(self._tensors.shape(key) or ())):
            if axis not in but:
                self.pin(Axis(key, axis), why)

    def why(self, axis: Axis) -> Why | None:
        """Why all of an axis must stay; None if no op says so."""
        return self._closed.get(axis)

    def note(self, axis: Axis, reason: str) -> None:
        """Say why indices of an axis hold others: a reason where no pin tells one."""
        if self.is_open(axis):
            self._notes.append((axis, reason))

    def solve(self) -> Classes:
        """Which indices go together, and which can go."""
        sides = [axis for tie in self._ties for axis in (tie.first, tie.second)]
        sides += [axis for axis, _, _ in self._pins]
        offsets: dict[Axis, int] = {}
        size = 0
        for axis in dict.fromkeys(sides):
            offsets[axis] = size
            size += self.size(axis) or 0
        firsts, seconds = self._edges(offsets)
        roots = connected(size, firsts, seconds)
        held, reasons = self._held(offsets, roots)
        live = np.zeros(size, np.bool_)
        for axis, start in offsets.items():
            if axis.key not in self.static:
                live[roots[start : start + (self.size(axis) or 0)]] = True
        removable = (live & ~held)[roots]
        classes = Classes(
            offsets, {axis: self.size(axis) or 0 for axis in offsets}, roots, removable, reasons
        )
        return classes.without_empty(self._closed)

    def _edges(self, offsets: Mapping[Axis, int]) -> tuple[Indices, Indices]:
        edges: tuple[list[Indices], list[Indices]] = ([], [])
        for tie in self._ties:
            for ends, axis, indices in (
                (edges[0], tie.first, tie.firsts),
                (edges[1], tie.second, tie.seconds),
            ):
                chosen = np.arange(self.size(axis) or 0, dtype=np.intp) if indices is None else indices
                ends.append(chosen + offsets[axis])
        empty = np.empty(0, np.intp)
        return np.concatenate([empty, *edges[0]]), np.concatenate([empty, *edges[1]])

    def _held(self, offsets: Mapping[Axis, int], roots: Indices) -> tuple[Mask, dict[int, Why]]:
        """Roots whose indices must stay, and why."""
        held = np.zeros(len(roots), np.bool_)
        reasons: dict[int, Why] = {}
        for axis, indices, why in self._pins:
            _hold(held, reasons, roots[offsets[axis] + indices] if indices is not None else None, why)
        for axis, start in offsets.items():
            own = roots[start : start + (self.size(axis) or 0)]
            if axis in self._closed:
                _hold(held, reasons, own, self._closed[axis])
        for axis, reason in self._notes:
            if axis in offsets:
                own = roots[offsets[axis] : offsets[axis] + (self.size(axis) or 0)]
                for root in np.unique(own):
                    reasons.setdefault(int(root), reason)
        for axis, start in offsets.items():
            needed = self._needed_along(axis)
            if needed is not None:
                own = roots[start : start + (self.size(axis) or 0)]
                _hold(held, reasons, own[needed], axis)
        return held, reasons

    def _needed_along(self, axis: Axis) -> Mask | None:
        if axis.key in self.static:
            return None
        mask = self._needed.get(axis.key)
        if mask is None:
            return np.ones(self.size(axis) or 0, np.bool_)
        others = tuple(other for other in range(mask.ndim) if other != axis.axis)
        needed: Mask = np.broadcast_to(mask.any(axis=others), (self.size(axis) or 0,))
        return needed


def _hold(held: Mask, reasons: dict[int, Why], roots: Indices | None, why: Why) -> None:
    if roots is None:
        return
    held[roots] = True
    for root in np.unique(roots):
        reasons.setdefault(int(root), why)


@dataclass(frozen=True, slots=True)
class Classes:
    """Indices that go together, numbered through all axes.

    Attributes:
        offsets: Where the numbers of an axis begin.
        sizes: How many it has.
        roots: The class of each number: the smallest number in it.
        removable: Of each number: whether its class can go.
        reasons: Why a class must stay, by its root.
    """

    offsets: Mapping[Axis, int]
    sizes: Mapping[Axis, int]
    roots: Indices
    removable: Mask
    reasons: dict[int, Why]

    def of(self, axis: Axis) -> Indices | None:
        """The class of each index of an axis; None where nothing is tied to it."""
        start = self.offsets.get(axis)
        return None if start is None else self.roots[start : start + self.sizes[axis]]

    def without_empty(self, closed: Mapping[Axis, Why]) -> Classes:
        """The same, with one index left of each axis that would lose all."""
        kept: set[int] = set()
        for axis, start in self.offsets.items():
            if self.removable[start : start + self.sizes[axis]].all():
                kept.add(int(self.roots[start]))
        if not kept:
            return self
        staying = np.isin(self.roots, np.fromiter(kept, np.intp))
        reasons = {**self.reasons, **dict.fromkeys(kept, "one channel of the tensor must stay")}
        return Classes(self.offsets, self.sizes, self.roots, self.removable & ~staying, reasons)

    def kept(self, chosen: Mask) -> dict[ValueKey, dict[int, Indices]]:
        """What stays of each tensor that shrinks, by axis.

        Args:
            chosen: Of each number: whether it goes.
        """
        kept: dict[ValueKey, dict[int, Indices]] = {}
        for axis, start in self.offsets.items():
            going = chosen[start : start + self.sizes[axis]]
            if going.any():
                kept.setdefault(axis.key, {})[axis.axis] = np.flatnonzero(~going)
        return kept
