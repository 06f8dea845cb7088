"""What a row of the table of ops says: how facts pass a node, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from convaudit.frontends.onnx.channels.compressed import everywhere
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.channels.sites import Site

Wanted: TypeAlias = "Sequence[Mask | None]"
"""What is wanted of each operand, or of each result; None: nothing."""
Results: TypeAlias = "Sequence[KnownElements | None]"
"""What is known of each result; missing ones: nothing."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One row.

    Attributes:
        forward: What is known of the results, from what is known of the operands. ``Unknown`` may be raised.
        backward: Which elements of the operands the wanted ones of the results depend on. ``Unknown`` may
            be raised: on all of them. Its last argument says whether constants do not count that the node
            can take over into its own bias: ``needed`` instead of ``read``.
        absorbs: Whether a result may be constant although an operand varies there: x * 0.
    """

    forward: Callable[[Site], Results]
    backward: Callable[[Site, Wanted, bool], Wanted]
    absorbs: bool = False


def nothing_known(site: Site) -> Results:
    """No result is constant."""
    return [None] * len(site.outputs)


def all_wanted(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    """Each wanted result depends on all operands, whole."""
    if not any(mask is not None and mask.any() for mask in wanted):
        return [None] * len(site.inputs)
    return [None if key is None else everywhere(site.shape(index)) for index, key in enumerate(site.inputs)]


OPAQUE = Transfer(nothing_known, all_wanted)
"""An op of which nothing is known: it reads everything, and is constant nowhere."""


def first(wanted: Wanted) -> Mask:
    """What is wanted of the first result."""
    mask = wanted[0] if wanted else None
    return np.zeros((), np.bool_) if mask is None else mask


def all_of(site: Site, index: int) -> Mask | None:
    """All of an operand, if it is there."""
    return everywhere(site.shape(index)) if site.has(index) else None
