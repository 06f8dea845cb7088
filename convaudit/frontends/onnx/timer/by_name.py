"""Which convolutions the kernels of a profile compute, by nothing but their names.

onnxruntime names a kernel after its node, and one in the blocked layout after the tensor that it makes;
TensorRT's are named after all the nodes that they compute: ``/conv1/Conv + PWN(/act/Sigmoid, /act/Mul)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from onnx import NodeProto, defs

from convaudit.frontends.onnx.runtime import CPU
from convaudit.frontends.onnx.timer.kernels import Kernel, made_by_blocked
from convaudit.frontends.onnx.timer.original import Original
from convaudit.frontends.onnx.timer.profile import Event, ProfiledRun

_NUMBERED = re.compile(r"_token_\d+$")
_REFORMATTING = re.compile(r"^Reformatting CopyNode for (?:Input|Output) Tensor \d+ (?:to|from|of) (.+)$")
_COMPILED = re.compile(r"\{ForeignNode\[(.+)\.\.\.(.+)\]\}")
_COPY = "Reformatting CopyNode"
_BETWEEN_NAMES = re.compile(r"\s\+\s|\s\|\|\s|,\s|[(){}\[\]]")


def onnxruntime_kernels(
    original: Original, runs: Iterable[ProfiledRun], names: Mapping[str, Sequence[str]]
) -> dict[str, Kernel]:
    """What each kernel of some runs in onnxruntime does, by the name of its event.

    Args:
        original: The model, in which the nodes' names lead to the convolutions.
        runs: What ran, in one session.
        names: The names in ``original`` of the nodes that had a name in the model that ran.
    """
    kernels: dict[str, Kernel] = {}
    for run in runs:
        if any(event.name not in kernels for event in run.events):
            kernels = {**_Named(original, run.events, names).kernels(), **kernels}
    return kernels


class _Named:
    """One run in onnxruntime."""

    def __init__(
        self, original: Original, events: Sequence[Event], names: Mapping[str, Sequence[str]]
    ) -> None:
        self._original = original
        self._events = events
        self._nodes = {
            event.name: _node(original, names, _NUMBERED.sub("", event.name), event.name) for event in events
        }
        self._tensors = {
            name: made_by_blocked(name, original) for name, node in self._nodes.items() if node is None
        }
        made = [name for node in self._nodes.values() if node is not None for name in node.output]
        self._given = original.alike([*made, *filter(None, self._tensors.values())])
        self._read_blocked: set[str] = set()  # marks of what kernels in the blocked layout read

    def kernels(self) -> dict[str, Kernel]:
        found = {event.name: self._kernel(event) for event in self._events}
        outside = {
            name: kernel.layers[0]
            for name, kernel in found.items()
            if kernel.layout is None and len(kernel.layers) == 1
        }
        for name, layer in self._reorders(outside):
            found[name] = replace(found[name], reorders_for=layer)
        return found

    def _kernel(self, event: Event) -> Kernel:
        node, tensor = self._nodes[event.name], self._tensors.get(event.name)
        if node is not None:
            return Kernel(event.op, layers=tuple(sorted(self._original.layers_of([node]))))
        if tensor is None:
            return Kernel(event.op, named=event.provider == CPU or defs.has(event.op))
        passed = self._original.between([tensor], self._given)
        self._read_blocked |= self._original.alike(name for one in passed for name in one.input)
        layers = tuple(sorted(self._original.layers_of(passed)))
        op = event.op if layers or not passed else passed[-1].op_type
        return Kernel(op, "NCHWc", layers)

    def _reorders(self, outside: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """Names of the kernels that reorder for a convolution outside of the blocked layout, and which.

        The last one before a convolution that reads what a blocked kernel made is for it, and the first one
        after a convolution whose result a blocked kernel reads, where the shapes are the same.
        """
        made_blocked = self._original.alike(filter(None, self._tensors.values()))
        for step, op, marks in ((-1, "ReorderOutput", made_blocked), (1, "ReorderInput", self._read_blocked)):
            for place, event in enumerate(self._events):
                node = self._nodes.get(event.name)
                if event.name not in outside or node is None:
                    continue
                read = op == "ReorderOutput"
                if not marks & self._original.alike(node.input[:1] if read else node.output):
                    continue
                others = self._events[place + 1 :] if step > 0 else reversed(self._events[:place])
                shapes = ((other, other.made if read else other.read) for other in others if other.op == op)
                wanted = event.read if read else event.made
                for other, shape in shapes:
                    if shape == wanted:
                        yield other.name, outside[event.name]
                        break


def tensorrt_kernels(original: Original, events: Sequence[Event]) -> dict[str, Kernel]:
    """What each kernel of a TensorRT engine does, by its name.

    A compiled part is named after its first and its last node: it is taken to compute all convolutions
    between them that no other kernel is named after.
    """
    kernels = {event.name: _tensorrt_kernel(original, event.name) for event in events}
    named = {layer for kernel in kernels.values() for layer in kernel.layers}
    for name in kernels:
        ends = _COMPILED.search(name)
        if ends:
            layers = _layers_between(original, *ends.groups()) - named
            kernels[name] = Kernel("ForeignNode", layers=tuple(sorted(layers)), named=False)
    return kernels


def _tensorrt_kernel(original: Original, name: str) -> Kernel:
    copied = _REFORMATTING.match(name)
    if copied:
        layers = original.layers_of(_named_nodes(original, copied[1]))
        return Kernel(_COPY, reorders_for=min(layers) if len(layers) == 1 else None)
    if name.startswith(_COPY) or _COMPILED.search(name):
        return Kernel(_COPY)
    nodes = _named_nodes(original, name)
    label = " + ".join(dict.fromkeys(node.op_type for node in nodes))
    return Kernel(label, layers=tuple(sorted(original.layers_of(nodes))), named=bool(nodes))


def _layers_between(original: Original, first: str, last: str) -> set[int]:
    """Positions of the convolutions from one node to another, in the order of the file."""
    ends = [[node.name for node in _named_nodes(original, text)] for text in (first, last)]
    if not all(ends):
        return set()
    nodes = list(original.nodes)
    start, end = min(map(nodes.index, ends[0])), max(map(nodes.index, ends[1]))
    return original.layers_of(original.nodes[name] for name in nodes[start : end + 1])


def _named_nodes(original: Original, text: str) -> list[NodeProto]:
    """The nodes that the name of a kernel consists of."""
    whole = _node(original, original.given_names, text)
    names = [text] if whole is not None else [part.strip() for part in _BETWEEN_NAMES.split(text)]
    return [
        node for node in (_node(original, original.given_names, name) for name in names) if node is not None
    ]


def _node(original: Original, names: Mapping[str, Sequence[str]], *candidates: str) -> NodeProto | None:
    """The one node that has the last of these names that any has."""
    for name in reversed(candidates):
        here = names.get(name, ())
        if here:
            return original.nodes[here[0]] if len(here) == 1 else None
    return None
