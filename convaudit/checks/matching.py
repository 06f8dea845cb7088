"""Which layer of one model is which of another, though nodes were renamed, reordered, added or changed.

Two layers are the same by what they compute (the fields below, which mean the same in torch and in ONNX) and
by name. Names alone cannot be trusted: exporters number them, and one new node shifts them all. Nor can
fields alone, since networks repeat blocks. So the two sequences are aligned as a whole, and what was moved
out of order is paired afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from convaudit.records import LayerCost, Shape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LayerKey = Callable[[LayerCost], Hashable]
Match = tuple[int, int]


def as_channels_first(shape: Shape | None, layout: str) -> Shape | None:
    """An activation's shape with its channels behind the batch, however the model stores it."""
    if shape is None or layout != "channels_last":
        return shape
    return (shape[0], shape[-1], *shape[1:-1])


OPERATION: dict[str, LayerKey] = {
    "transposed": lambda layer: layer.transposed,
    "deformable": lambda layer: layer.deformable,
    "in_channels": lambda layer: layer.in_channels,
    "out_channels": lambda layer: layer.out_channels,
    "kernel_size": lambda layer: layer.kernel_size,
    "stride": lambda layer: layer.stride,
    "padding": lambda layer: layer.padding,
    "output_padding": lambda layer: layer.output_padding if any(layer.output_padding or ()) else None,
    "dilation": lambda layer: layer.dilation,
    "groups": lambda layer: layer.groups,
}
"""What defines the operation. Neither ``op`` nor the name, whose spelling differs between torch and ONNX."""
SHAPES: dict[str, LayerKey] = {
    "input_shape": lambda layer: as_channels_first(layer.input_shape, layer.layout),
    "output_shape": lambda layer: as_channels_first(layer.output_shape, layer.layout),
}
"""What the operation is applied to."""

# Evidence is counted in equal fields. Operations that differ in more fields than a change of width and
# kind takes are never aligned. An identical operation has to outweigh two merely alike ones (hence twice the
# number of fields on top), and the name decides between layers that are equally alike.
_MOST_CHANGED_FIELDS = 3
_SAME_OPERATION = 2 * len(OPERATION)
_SAME_NAME = 2


def match_layers(before: Sequence[LayerCost], after: Sequence[LayerCost]) -> list[Match]:
    """Pairs of indices into ``before`` and ``after``, in the order of ``after``; the rest has no partner.

    Takes ``len(before) * len(after)`` bytes, and vector operations of that many elements.
    """
    pairs = _exchanged(before, after, _align(before, after))
    for identity in (_name, _signature):
        pairs += _pair_the_rest(before, after, pairs, identity)
    return sorted(pairs, key=lambda pair: pair[1])


def _name(layer: LayerCost) -> Hashable:
    return layer.name.removesuffix("_quant")  # which onnxruntime's quantiser appends to the nodes it makes


def _shapes(layer: LayerCost) -> Hashable:
    return tuple(key(layer) for key in SHAPES.values())


def _signature(layer: LayerCost) -> Hashable:
    return (*(key(layer) for key in OPERATION.values()), _shapes(layer))


def _align(before: Sequence[LayerCost], after: Sequence[LayerCost]) -> list[Match]:
    """The order-preserving pairing with most evidence (Needleman & Wunsch 1970, gaps free)."""
    import numpy as np

    left, right = (np.array(codes, np.intp) for codes in _encode(before, after))
    best = np.zeros(len(after) + 1, np.intp)  # evidence of the best pairing of before[:i] with after[:j]
    steps = np.empty((len(before), len(after)), np.int8)
    for i in range(len(before)):
        evidence = _evidence(left[:, i, None], right)
        with_pair = np.where(evidence > 0, best[:-1] + evidence, -1)
        without = np.maximum.accumulate(np.maximum(with_pair, best[1:]))
        steps[i] = np.where(
            without == with_pair, _PAIR, np.where(without == best[1:], _SKIP_BEFORE, _SKIP_AFTER)
        )
        best[1:] = without
    return _trace_back(steps)


_PAIR, _SKIP_BEFORE, _SKIP_AFTER = range(3)


def _trace_back(steps: npt.NDArray[np.int8]) -> list[Match]:
    i, j = steps.shape
    pairs = []
    while i and j:
        step = steps[i - 1, j - 1]
        if step == _PAIR:
            pairs.append((i - 1, j - 1))
        i -= step != _SKIP_AFTER
        j -= step != _SKIP_BEFORE
    return pairs


def _exchanged(before: Sequence[LayerCost], after: Sequence[LayerCost], pairs: list[Match]) -> list[Match]:
    """The pairs, but layers that compute the same go by their names where these are the same in both models.

    They may then stand in another order, as a quantiser's do; names that were shifted are not the same ones.
    """
    alike: dict[Hashable, list[Match]] = defaultdict(list)
    for i, j in pairs:
        alike[_signature(before[i]), _signature(after[j])].append((i, j))
    exchanged = []
    for group in alike.values():
        places = {_name(after[j]): j for _, j in group}
        names = {_name(before[i]) for i, _ in group}
        by_name = len(names) == len(group) and names == places.keys()
        exchanged += [(i, places[_name(before[i])] if by_name else j) for i, j in group]
    return exchanged


def _encode(*models: Sequence[LayerCost]) -> list[list[list[int]]]:
    """Each model's layers as numbers that are equal where the values are: a row a field, a column a layer."""
    keys = [*OPERATION.values(), _shapes, _name]
    numbers: list[dict[Hashable, int]] = [{} for _ in keys]
    return [
        [
            [known.setdefault(key(layer), len(known)) for layer in layers]
            for key, known in zip(keys, numbers, strict=True)
        ]
        for layers in models
    ]


def _evidence(layer: npt.NDArray[np.intp], others: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """How much speaks for ``layer`` being each of ``others``; 0 where it is not even alike."""
    equal = layer == others
    operation, same_shapes, same_name = equal[:-2], equal[-2], equal[-1]
    fields = operation.sum(axis=0)
    bonus = _SAME_OPERATION * operation.all(axis=0) + same_shapes + _SAME_NAME * same_name
    alike = fields >= len(OPERATION) - _MOST_CHANGED_FIELDS
    evidence: npt.NDArray[np.intp] = (fields + bonus) * alike
    return evidence


def _pair_the_rest(
    before: Sequence[LayerCost], after: Sequence[LayerCost], pairs: Sequence[Match], identity: LayerKey
) -> list[Match]:
    """Pairs among the layers that have no partner yet, by an equal identity and otherwise in order."""
    paired_before, paired_after = {i for i, _ in pairs}, {j for _, j in pairs}
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for i in reversed(range(len(before))):
        if i not in paired_before:
            waiting[identity(before[i])].append(i)
    return [
        (waiting[identity(layer)].pop(), j)
        for j, layer in enumerate(after)
        if j not in paired_after and waiting.get(identity(layer))
    ]
