"""Which finding each channel that goes belongs to: the one that causes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.coupled import Coupled, Idle
from convaudit.frontends.onnx.channels.coupling import Axis
from convaudit.frontends.onnx.channels.facts import Mask, ValueKey
from convaudit.frontends.onnx.channels.idle import LayerChannels


@dataclass
class Cause:
    """A finding in the making.

    Attributes:
        rule: Its code.
        layer: The place of its layer.
        reason: Why it cannot be fixed; None: it can.
        channels: Output channels of the layer; of unused inputs, its input channels.
        roots: Classes that it takes with it.
        outputs: By the place of a layer: filters that go with it.
        inputs: By the place of a layer: input channels that go with it.
    """

    rule: str
    layer: int
    reason: str | None
    channels: list[int] = field(default_factory=list)
    roots: set[int] = field(default_factory=set)
    outputs: dict[int, list[int]] = field(default_factory=dict)
    inputs: dict[int, list[int]] = field(default_factory=dict)


class Causes:
    """All findings about channels of a graph."""

    def __init__(self, coupled: Coupled, layers: Sequence[LayerChannels]) -> None:
        self._coupled = coupled
        self._layers = layers
        self._by_key: dict[tuple[str, int, str | None], Cause] = {}
        self._owners: dict[int, Cause] = {}  # of classes that can go
        self._makers: dict[int, Cause] = {}  # of classes that must stay
        self._makers_of: dict[tuple[ValueKey, int], Cause] = {}  # of channels that nothing is tied to
        self._claimed = [np.zeros(len(one.out_classes), np.bool_) for one in layers]
        self._removable = coupled.classes.removable

    def found(self) -> list[Cause]:
        """All of them: each layer's own channels by its own findings, what else goes by the first one."""
        for place, one in enumerate(self._layers):
            self._claim("CA101", place, one.constant)
            self._claim("CA102", place, one.unread)
        for place, one in enumerate(self._layers):
            self._columns(place, one)
        for place, one in enumerate(self._layers):
            self._coupled_filters(place, one)
        return list(self._by_key.values())

    def _goes(self, classes: Indices) -> Mask:
        goes: Mask = (
            (classes >= 0) & self._removable[np.maximum(classes, 0)]
            if len(self._removable)
            else (np.zeros(len(classes), np.bool_))
        )
        return goes

    def _claim(self, rule: str, place: int, chosen: Mask) -> None:
        one = self._layers[place]
        chosen = chosen & ~self._claimed[place]
        self._claimed[place] |= chosen
        goes = self._goes(one.out_classes)
        for channel in np.flatnonzero(chosen).tolist():
            root = int(one.out_classes[channel])
            goes_whole = one.outs.key in self._coupled.dropped
            reason = None if goes[channel] or goes_whole else self._reason(one.outs, channel, root)
            cause = self._cause(rule, place, reason)
            cause.channels.append(channel)
            cause.outputs.setdefault(place, cause.channels)
            if root >= 0:
                cause.roots.add(root)
                (self._owners if goes[channel] else self._makers).setdefault(root, cause)
            else:
                self._makers_of[one.outs.key, channel] = cause

    def _cause(self, rule: str, place: int, reason: str | None) -> Cause:
        key = rule, place, reason
        if key not in self._by_key:
            self._by_key[key] = Cause(rule, place, reason)
        return self._by_key[key]

    def _reason(self, axis: Axis, channel: int, root: int) -> str:
        why = self._coupled.couplings.why(axis) if root < 0 else self._coupled.classes.reasons.get(root)
        return self._coupled.words(axis if why is None else why, Idle(axis, channel, root))

    def _columns(self, place: int, one: LayerChannels) -> None:
        """Columns go with what makes their channel; else they are findings of their own."""
        groups, size = one.layer.groups, len(one.in_classes)
        if groups == size > 1:
            return  # a column is a filter
        goes = self._goes(one.in_classes)
        left = ~self._claimed[place].reshape(groups, -1).all(axis=1)  # groups with a filter that works
        idle = one.idle_columns & np.repeat(left, size // groups)
        origin = self._coupled.origin(one.ins.key)
        for channel in np.flatnonzero(goes | idle).tolist():
            root = int(one.in_classes[channel])
            cause = self._owners.get(root) if goes[channel] else self._maker(root, origin, channel)
            if cause is None:
                reason = None if goes[channel] else self._reason(one.ins, channel, root)
                cause = self._cause("CA105", place, reason)
                cause.channels.append(channel)
                if goes[channel]:
                    self._owners[root] = cause
                    cause.roots.add(root)
            cause.inputs.setdefault(place, []).append(channel)

    def _maker(self, root: int, origin: ValueKey, channel: int) -> Cause | None:
        return self._makers.get(root) if root >= 0 else self._makers_of.get((origin, channel))

    def _coupled_filters(self, place: int, one: LayerChannels) -> None:
        """Filters that go only with others."""
        for channel in np.flatnonzero(self._goes(one.out_classes) & ~self._claimed[place]).tolist():
            cause = self._owners.get(int(one.out_classes[channel]))
            if cause is not None:
                cause.outputs.setdefault(place, []).append(channel)
