"""A whole graph's couplings: every node visited once, readers before what they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from onnx import GraphProto

from convaudit.errors import ModelError
from convaudit.frontends.onnx.channels.coupling import Axis, Classes, Couplings, Why
from convaudit.frontends.onnx.channels.facts import Facts, ValueKey, along
from convaudit.frontends.onnx.channels.sites import GraphTensors, Site, sites
from convaudit.frontends.onnx.channels.ties import HANDING_ON, TIES
from convaudit.frontends.onnx.channels.ties.plain import PLAIN_TIES
from convaudit.frontends.onnx.channels.ties.reshaping import Shuffle, shuffle
from convaudit.frontends.onnx.channels.ties.row import label, pin_node
from convaudit.frontends.onnx.graphs import Address, bodies
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.frontends.onnx.walker import Walked

_UNCLEAR = (Unknown, ModelError, ValueError, IndexError, TypeError, ArithmeticError)
_MOST_TENSORS = 100
"""That are looked at for a reason."""


class Idle(NamedTuple):
    """A channel that does nothing: where it is made, and its class; -1 where nothing is tied to it."""

    axis: Axis
    channel: int
    root: int


@dataclass(frozen=True)
class Coupled:
    """What goes together in a graph.

    Attributes:
        tensors: Its tensors.
        sites: Its nodes, each after those whose results it reads.
        classes: Indices that go together.
        couplings: What tied and pinned them.
        readers: Nodes that read a tensor.
        makers: Nodes that give a tensor.
        shuffles: Nodes that end a channel shuffle, by their address.
        dropped: Tensors whose makers a fix drops, since no node leads from them to an output.
    """

    tensors: GraphTensors
    sites: Sequence[Site]
    classes: Classes
    couplings: Couplings
    readers: Mapping[ValueKey, Sequence[Site]]
    makers: Mapping[ValueKey, Site]
    shuffles: Mapping[Address, Shuffle]
    dropped: Set[ValueKey]
    _constant: dict[ValueKey, tuple[Set[int], bool]] = field(default_factory=dict)

    def words(self, why: Why | None, idle: Idle) -> str:
        """A reason as people read it: why a channel must stay, which may be needed where others joined it."""
        if why is None or isinstance(why, str):
            return why or "what reads it needs it"
        ends = list(self._ends(why.key, idle))
        outputs = {value.name for value in self.tensors.graphs.at(()).graph.output}
        for key, _ in ends:
            if not key[0] and key[1] in outputs:
                return _fixed_output(key[1])
        joining = [
            label(site)
            for _, site in (*ends, *self._ends(idle.axis.key, idle))
            if site is not None and site.op in TIES and self._joins(site, idle)
        ]
        if joining:
            return f"{joining[0]} joins it with what is needed"
        for key, site in ends:
            if site is not None and self._is_constant(key, idle) and (held := _held(site, key[1])):
                return held
        names = list(dict.fromkeys(label(site) for _, site in ends if site is not None))
        if not names:
            return f"'{why.key[1]}' is needed"
        return f"{', '.join(names[:3])}{' and others' if names[3:] else ''} need{'s' * (not names[1:])} it"

    def origin(self, key: ValueKey) -> ValueKey:
        """The tensor that one was made of by ops that hand its channels on."""
        while True:
            producer = self.makers.get(key)
            sources = [] if producer is None else [one for one in producer.inputs if one is not None]
            sources = [one for one in sources if one not in self.couplings.static]
            if producer is None or producer.op not in PLAIN_TIES or len(sources) != 1:
                return key
            key = sources[0]

    def _joins(self, site: Site, idle: Idle) -> bool:
        """Whether an op of elements makes what is not constant of several tensors."""
        moving = {key for key in site.inputs if key is not None and key not in self.couplings.static}
        made = site.outputs[0] if site.outputs else None
        return (
            site.op in PLAIN_TIES and len(moving) > 1 and (made is None or not self._is_constant(made, idle))
        )

    def _is_constant(self, key: ValueKey, idle: Idle) -> bool:
        """Whether a tensor holds nothing but constants at a channel, in its class or else at its place."""
        if key not in self.tensors.known:
            return False
        if key not in self._constant:
            self._constant[key] = _constant_classes(self, key)
        constant, tied = self._constant[key]
        if tied and idle.root >= 0:
            return idle.root in constant
        size, number = self.couplings.size(idle.axis), idle.axis.axis
        if size is None or self.couplings.size(Axis(key, number)) != size:
            return True  # it is elsewhere there, and some of it is constant
        return bool(along(self.tensors.known[key], number, size)[0][idle.channel])

    def _ends(self, start: ValueKey, idle: Idle) -> Iterator[tuple[ValueKey, Site | None]]:
        """Where a tensor ends up through ops that hand its channels on: what is read there, and by whom."""
        waiting, seen = [start], {start}
        while waiting and len(seen) < _MOST_TENSORS:
            key = waiting.pop()
            readers = self.readers.get(key, ())
            if not readers:
                yield key, None
            for site in readers:
                if site.op not in HANDING_ON or (self._is_constant(key, idle) and self._joins(site, idle)):
                    yield key, site
                    continue
                made = [one for one in site.outputs if one is not None and one not in seen]
                waiting += made
                seen.update(made)


def _constant_classes(graph: Coupled, key: ValueKey) -> tuple[Set[int], bool]:
    """Classes of which a tensor holds nothing but constants, and whether it holds any class."""
    constant: set[int] = set()
    tied = False
    for axis in (Axis(key, number) for number in range(len(graph.tensors.shape(key) or ()))):
        roots = graph.classes.of(axis)
        if roots is not None:
            tied = True
            same = along(graph.tensors.known[key], axis.axis, len(roots))[0]
            constant |= set(roots[same].tolist()) - set(roots[~same].tolist())
    return constant, tied


def coupled(walked: Walked, facts: Facts) -> Coupled:
    """Tie and pin what all nodes of a model do."""
    tensors = GraphTensors(walked, facts.known)
    order = list(sites(tensors))
    readers: dict[ValueKey, list[Site]] = {}
    for site in order:
        for key in site.inputs:
            if key is not None:
                readers.setdefault(key, []).append(site)
    couplings = Couplings(tensors, facts.needed, _static(tensors, order))
    _pin_borders(tensors, couplings)
    reads = _reads(tensors, order, readers)
    shuffles: dict[Address, Shuffle] = {}
    passed: set[ValueKey] = set()  # tensors inside of shuffles
    for site in reversed(order):
        if any(key in passed for key in site.outputs):
            continue
        found = shuffle(site, reads)
        if found is not None and couplings.is_open(Axis(found.source, found.axis)):
            shuffles[site.address] = found
            passed.update(found.inner)
            couplings.tie(Axis(found.target, found.axis), Axis(found.source, found.axis), None, found.order)
            for key in (found.source, found.target):
                couplings.pin_all(key, f"{label(site)} ends a shuffle", but=(found.axis,))
            continue
        _visit(site, couplings)
    makers = {key: site for site in order for key in site.outputs if key is not None}
    return Coupled(
        tensors, order, couplings.solve(), couplings, readers, makers, shuffles, _dropped(order, reads)
    )


def _dropped(order: Sequence[Site], reads: Mapping[ValueKey, int]) -> set[ValueKey]:
    """Results of nodes that nothing reads, or only such nodes. Control flow stays."""
    left = Counter(reads)
    found: set[ValueKey] = set()
    for site in reversed(order):
        made = [key for key in site.outputs if key is not None]
        if not bodies(site.node) and not any(left[key] for key in made):
            found.update(made)
            left.subtract(key for key in site.inputs if key is not None)
    return found


def _visit(site: Site, couplings: Couplings) -> None:
    if site.op == "Constant":
        return
    row = TIES.get(site.op)
    if site.op != "If":
        for attribute, body in bodies(site.node):
            scope = (*site.address, attribute)
            for value in (*body.input, *body.output):
                key = site.tensors.key(scope, value.name)
                if key is not None:
                    couplings.pin_all(key, f"{label(site)} ({site.op}) hands it over")
    if row is None:
        pin_node(site, couplings)
        return
    try:
        row(site, couplings)
    except _UNCLEAR:
        pin_node(site, couplings, f"what {label(site)} ({site.op}) does with channels is not known")


def _pin_borders(tensors: GraphTensors, couplings: Couplings) -> None:
    """Inputs and outputs of the network keep their sizes."""
    graph = tensors.graphs.at(()).graph
    for value in graph.output:
        key = tensors.key((), value.name)
        if key is not None:
            couplings.pin_all(key, _fixed_output(value.name))
    for value in graph.input:
        if not tensors.is_stored(((), value.name)):
            couplings.pin_all(((), value.name), f"input '{value.name}' of the network has fixed sizes")


def _fixed_output(name: str) -> str:
    return f"output '{name}' of the network has fixed sizes"


def _static(tensors: GraphTensors, order: Sequence[Site]) -> set[ValueKey]:
    """Tensors that depend on nothing but what is stored."""
    static: set[ValueKey] = set()
    for site in order:
        keys = [key for key in site.inputs if key is not None]
        static.update(key for key in keys if key not in static and tensors.is_stored(key))
        made = site.op == "Constant" or (keys and all(key in static for key in keys))
        if made and not bodies(site.node):
            static.update(key for key in site.outputs if key is not None)
    return static


def _reads(
    tensors: GraphTensors, order: Sequence[Site], readers: Mapping[ValueKey, Sequence[Site]]
) -> dict[ValueKey, int]:
    """How often each tensor is read, as operand or as a graph's output."""
    counts = {key: len(sites) for key, sites in readers.items()}
    graphs: list[tuple[Address, GraphProto]] = [((), tensors.graphs.at(()).graph)]
    graphs += [((*site.address, name), body) for site in order for name, body in bodies(site.node)]
    for scope, graph in graphs:
        for value in graph.output:
            key = tensors.key(scope, value.name)
            if key is not None:
                counts[key] = counts.get(key, 0) + 1
    return counts


def _held(site: Site, name: str) -> str | None:
    """Why a node cannot take over a constant; None if it could."""
    layer = site.layer
    if layer and layer.padding and any(map(any, layer.padding)):
        return f"{layer.name} pads with zeros, so a constant of '{name}' cannot be folded there"
    if site.in_steps:
        return f"{label(site)} is quantised, so folding a constant of '{name}' would move its roundings"
    return None
