"""Multiply-accumulates of an Einsum, from its equation."""

from __future__ import annotations

from convaudit.formulas import Count, multiply
from convaudit.frontends.onnx.walker.scopes import Node


def einsum_macs(node: Node) -> Count | None:
    """Product of the sizes of all labels, once per operand beyond the first: the sum as it is written.

    A single operand is only summed or reordered: 0.
    """
    terms = node.attributes.string("equation", "").replace(" ", "").split("->")[0].split(",")
    if len(terms) != len(node.proto.input):
        return None
    if len(terms) == 1:
        return 0
    sizes: dict[str, Count | None] = {}
    for index, term in enumerate(terms):
        shape = node.input_shape(index)
        labels = None if shape is None else _labels(term, len(shape))
        if shape is None or labels is None:
            return None
        for label, size in zip(labels, shape, strict=True):
            # a size of 1 broadcasts against the label's other uses
            if sizes.get(label, 1) == 1 or size is None:
                sizes[label] = size
    return multiply(*sizes.values(), len(terms) - 1)


def _labels(term: str, rank: int) -> list[str] | None:
    """Labels of an operand's axes; those under an ellipsis are numbered from the right."""
    left, ellipsis, right = term.partition("...")
    hidden = rank - len(left) - len(right)
    if hidden < 0 or (hidden and not ellipsis):
        return None
    return [*left, *(f"...{hidden - axis}" for axis in range(hidden)), *right]
