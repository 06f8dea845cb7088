"""The channel analysis: forward and backward over the whole graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from convaudit.engine.operands import Array
from convaudit.errors import ConvauditError, ModelError, first_line
from convaudit.frontends.onnx.channels.compressed import (
    FEW_ELEMENTS,
    MOST_OF_A_FACT,
    everywhere,
    is_about,
    squeezed,
    squeezed_known,
)
from convaudit.frontends.onnx.channels.facts import Facts, KnownElements, Mask, ValueKey
from convaudit.frontends.onnx.channels.sites import GraphTensors, Site, sites
from convaudit.frontends.onnx.channels.transfers import TRANSFERS
from convaudit.frontends.onnx.channels.transfers.convolutions import ignoring
from convaudit.frontends.onnx.channels.transfers.row import OPAQUE, Wanted, all_wanted
from convaudit.frontends.onnx.graphs import bodies
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.frontends.onnx.walker import Walked
from convaudit.linting.weights import examine
from convaudit.records import Shape
from convaudit.shapes import known_elements

_MOST_CALCULATED = 2**27  # elements of a weight that is made of stored ones
_UNCLEAR = (Unknown, ModelError, ValueError, IndexError, TypeError, ArithmeticError, MemoryError)
"""What a rule raises of a node that it cannot follow, malformed ones too: then nothing is known of it."""

_MOST_OPS = 5


def analyse(walked: Walked, ignored: Mapping[str, Mask] | None = None) -> Facts:
    """Look at every tensor of a model, with one pass over the weights.

    Args:
        walked: The model.
        ignored: Kernels that are to be taken for zero, by the layer's name: (groups, out/groups, in/groups).

    Raises:
        LoadError: Weights are missing.
    """
    tensors = GraphTensors(walked)
    order = list(sites(tensors))
    notes = _forward(tensors, order, ignored or {})
    return Facts(
        known=tensors.known,
        read=_Backward(tensors, folding=False).masks(order),
        needed=_Backward(tensors, folding=True).masks(order),
        weights=tensors.weights,
        biased=frozenset(site.layer.name for site in order if site.layer and _has_fixed_bias(site)),
        notes=tuple(notes),
    )


def _forward(tensors: GraphTensors, order: Sequence[Site], ignored: Mapping[str, Mask]) -> list[str]:
    """Fill in what is known of each tensor and of each weight; notes on what could not be looked at."""
    notes: list[str] = []
    for site in order:
        if (
            site.op in TRANSFERS
            and site.op != "Dropout"
            and all(key is None or tensors.is_fixed(key) for key in site.inputs)
        ):
            tensors.fixed.update(key for key in site.outputs if key is not None)
        if site.layer is not None:
            notes += _look_at_weight(site, ignored.get(site.layer.name))
        row = TRANSFERS.get(site.op, OPAQUE)
        try:
            found = row.forward(site)
        except _UNCLEAR:
            found = ()
        site.weight = None
        for key, known in zip(site.outputs, found, strict=False):
            if key is not None and known is not None:
                _remember(tensors, key, known)
    return [*notes, *_not_followed(order), *_without_rank(tensors, order)]


def _without_rank(tensors: GraphTensors, order: Sequence[Site]) -> list[str]:
    """A note on the tensors of which shape inference does not tell how many axes they have."""
    keys = [key for site in order for key in site.outputs if key is not None]
    unknown = [name for address, name in keys if tensors.shape((address, name)) is None]
    if not unknown:
        return []
    return [f"nothing is known of {len(unknown)} tensors of unknown rank, the first is {unknown[0]!r}"]


def _not_followed(order: Sequence[Site]) -> list[str]:
    """A note on the ops that no row describes."""
    unknown = Counter(site.op for site in order if site.op not in TRANSFERS)
    if not unknown:
        return []
    told = [f"{number} {op}" for op, number in unknown.most_common(_MOST_OPS)]
    more = [f"{len(unknown) - _MOST_OPS} more kinds"] if len(unknown) > _MOST_OPS else []
    return [f"not followed, so taken to read everything: {', '.join([*told, *more])}"]


def _look_at_weight(site: Site, ignored: Mask | None) -> list[str]:
    layer, tensors = site.layer, site.tensors
    assert layer is not None
    key = site.inputs[CONV_OPS[site.op].weight]
    if key is None or not tensors.is_fixed(key):
        return [f"{layer.name}: its weight is {_varying(tensors, key)}, so nothing is known of it"]
    if not tensors.is_stored(key) and (known_elements(layer.weight_shape) or 0) > _MOST_CALCULATED:
        return [f"{layer.name}: its weight is too large to be calculated, so nothing is known of it"]
    try:
        weight, bias = tensors.stored.weight(layer), _bias(site)
        surroundings = tensors.stored.surroundings(layer)
    except ConvauditError as error:
        return [f"{layer.name}: {first_line(error)}"]
    if weight is None:
        return [f"{layer.name}: its zero point is computed at run time, so nothing is known of its weight"]
    site.weight = weight
    tensors.weights[layer.name] = ignoring(examine(layer, weight, bias, **surroundings), ignored)
    return []


def _bias(site: Site) -> Array | None:
    """(out,); None if there is none, or it is not constant."""
    if site.layer is None or not _has_fixed_bias(site):
        return None
    return site.tensors.stored.bias(site.layer)


def _has_fixed_bias(site: Site) -> bool:
    roles = CONV_OPS[site.op].roles
    key = site.inputs[roles.index("bias")] if "bias" in roles and site.has(roles.index("bias")) else None
    return key is not None and site.tensors.is_fixed(key)


def _varying(tensors: GraphTensors, key: ValueKey | None) -> str:
    if key is not None and tensors.graphs.at(key[0]).stored(key[1]) is not None:
        return "an input of the model, for which a caller may give another"
    return "computed at run time"


def _remember(tensors: GraphTensors, key: ValueKey, known: KnownElements) -> None:
    shape = tensors.shape(key)
    if shape is None:
        return
    missing = len(shape) - max(known.mask.ndim, known.values.ndim)
    if missing < 0:
        return
    values = known.values.reshape((1,) * (len(shape) - known.values.ndim) + known.values.shape)
    mask = known.mask.reshape((1,) * (len(shape) - known.mask.ndim) + known.mask.shape)
    whole = squeezed_known(KnownElements(mask, values))
    if whole is None or not is_about(whole.mask, shape) or whole.mask.size > MOST_OF_A_FACT:
        return
    if whole.mask.size <= FEW_ELEMENTS or (key not in tensors.fixed and tensors.takes(whole.mask.size)):
        tensors.known[key] = whole


class _Backward:
    """What is wanted of each tensor, collected from its readers: all of them come before its maker."""

    def __init__(self, tensors: GraphTensors, *, folding: bool) -> None:
        self._tensors = tensors
        self._folding = folding
        self._wanted: dict[ValueKey, Mask] = {}

    def masks(self, order: Sequence[Site]) -> dict[ValueKey, Mask]:
        """By tensor, where not all is wanted."""
        for output in self._tensors.graphs.at(()).graph.output:
            self._want((), output.name, None)
        for site in reversed(order):
            self._visit(site)
        found = {}
        for site in order:
            for key in (*site.outputs, *site.inputs):
                if key is not None and key not in found and not self._tensors.is_stored(key):
                    mask = self._wanted.get(key)
                    found[key] = everywhere(self._tensors.shape(key), value=False) if mask is None else mask
        return {key: mask for key, mask in found.items() if not mask.all()}

    def _visit(self, site: Site) -> None:
        wanted = [None if key is None else self._wanted.get(key) for key in site.outputs]
        if not any(mask is not None and mask.any() for mask in wanted):
            return
        absorbs = TRANSFERS.get(site.op, OPAQUE).absorbs and not self._folding
        if not absorbs or not any(key in self._tensors.known for key in site.outputs):
            taken = self._taken(site, wanted)
        else:
            taken = self._not_through_constants(site, wanted)
        for key, mask in zip(site.inputs, taken, strict=False):
            if key is not None and mask is not None:
                self._add(key, mask)
        self._want_bodies(site, wanted)

    def _taken(self, site: Site, wanted: Wanted) -> Wanted:
        wanted = [mask if mask is not None and mask.any() else None for mask in wanted]
        try:
            taken = TRANSFERS.get(site.op, OPAQUE).backward(site, wanted, self._folding)
        except _UNCLEAR:
            taken = all_wanted(site, wanted, self._folding)
        return [
            mask if mask is None else _about(site.shape(index), mask)
            for index, mask in zip(range(len(site.inputs)), taken, strict=False)
        ]

    def _not_through_constants(self, site: Site, wanted: Wanted) -> Wanted:
        """A constant result reads nothing that varies: x * 0. What is constant may be what makes it so."""
        found = [self._tensors.known.get(key) if key is not None else None for key in site.outputs]
        varying = [
            mask if mask is None or known is None else squeezed(mask & ~known.mask)
            for mask, known in zip(wanted, found, strict=True)
        ]
        taken: list[Mask | None] = []
        of_all, of_varying = self._taken(site, wanted), self._taken(site, varying)
        for index, (mask, other) in enumerate(zip(of_all, of_varying, strict=True)):
            known = site.known(index)
            constant = None if mask is None or known is None else mask & known.mask
            if constant is None or other is None:
                taken.append(other if constant is None else constant)
            else:
                taken.append(constant | other)
        return taken

    def _want_bodies(self, site: Site, wanted: Wanted) -> None:
        for name, graph in bodies(site.node):
            for index, output in enumerate(graph.output):
                mask = wanted[index] if site.op == "If" and index < len(wanted) else None
                if site.op != "If" or mask is not None:
                    self._want((*site.address, name), output.name, mask)

    def _want(self, scope: tuple[str | int, ...], name: str, mask: Mask | None) -> None:
        key = self._tensors.key(scope, name)
        if key is not None:
            self._add(key, everywhere(self._tensors.shape(key)) if mask is None else mask)

    def _add(self, key: ValueKey, mask: Mask) -> None:
        mask = _about(self._tensors.shape(key), mask)
        if mask.size > FEW_ELEMENTS and not self._tensors.takes(mask.size):
            mask = everywhere(mask.shape, value=bool(mask.any()))
        before = self._wanted.get(key)
        self._wanted[key] = mask if before is None else self._either(before, mask)

    def _either(self, one: Mask, other: Mask) -> Mask:
        shape = np.broadcast_shapes(one.shape, other.shape)
        if prod(shape) > MOST_OF_A_FACT:
            return everywhere(shape)
        return squeezed(one | other)


def _about(shape: Shape | None, mask: Mask) -> Mask:
    """A mask of a tensor, small; where it cannot be one of that tensor, all or nothing."""
    mask = squeezed(mask)
    if is_about(mask, shape) and mask.size <= MOST_OF_A_FACT:
        return mask
    return everywhere(shape, value=bool(mask.any()))
