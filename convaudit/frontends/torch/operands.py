"""The tensors that torch's multiplying operators take, by what is done with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convaudit.frontends.torch.calls import bind, op_name, tensors_in

_ADDED = frozenset({"bias", "B", "attn_mask", "attn_bias", "weight2", "weight3"})
"""Arguments that are added; oneDNN's recurrent layer has its biases as ``weight2`` and ``weight3``."""
_ADDS_SELF = re.compile(r"^aten\._?b?add")
_SETTINGS = re.compile(r"(?i)scale|^offs$|^dropout_|^weight_buf$|^[hc]x_?$|^out\d?$|^MKL_W$")
"""Scales, offsets of groups, states, results, and a second form of the weight."""


@dataclass(frozen=True, slots=True)
class Operands:
    """The tensors among an operator's arguments.

    Attributes:
        first: The first one that is multiplied: for a layer, its input.
        weights: The others that are multiplied.
        added: Biases, and what is added to attention's scores.
        packed: Whether weights and biases come out of a packed object: they are copies.
    """

    first: Tensor | None
    weights: tuple[Tensor, ...]
    added: tuple[Tensor, ...]
    packed: bool


def read_operands(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Operands:
    """Sort what a multiplying operator is called with."""
    op = op_name(func)
    multiplied: list[Tensor] = []
    added: list[Tensor] = []
    packed = False
    for name, value in bind(func, args, kwargs).items():
        if _SETTINGS.search(name):
            continue
        if name == "W_prepack":
            packed = True
            weight, bias = _unpacked(op, value)
            multiplied.append(weight)
            added += [] if bias is None else [bias]
        elif name in _ADDED or (name == "self" and _ADDS_SELF.match(op)):
            added += tensors_in(value)
        else:
            multiplied += tensors_in(value)
    first = multiplied[0] if multiplied else None
    return Operands(first, tuple(multiplied[1:]), tuple(added), packed)


def _unpacked(op: str, packed: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias in a packed object; its kind tells how it is opened."""
    if op.startswith("prepacked."):
        (weight, bias, *_), _ = packed.__getstate__()
    else:
        weight, bias = packed.unpack()
    return weight, bias
