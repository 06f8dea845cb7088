"""Facts about the tensors of small graphs, written as short texts that a table can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import Facts
from tests.frontends.onnx.models import walked


def facts_of(text: str, **options: Any) -> Facts:
    """What is known of the tensors of a model, or of a model's text."""
    return analyse(walked(text, **options))


def known(facts: Facts, name: str, address: tuple[str | int, ...] = ()) -> list[Any] | None:
    """Constants of a tensor, flattened as they are stored; ``None`` in the place of what is not constant."""
    elements = facts.known.get((address, name))
    if elements is None:
        return None
    mask = np.broadcast_to(elements.mask, elements.values.shape)
    return [
        round(value.item(), 4) if constant else None
        for constant, value in zip(mask.ravel(), elements.values.ravel(), strict=True)
    ]


def wanted(masks: Any, name: str, address: tuple[str | int, ...] = ()) -> str:
    """``1011``: what is wanted of a tensor; ``1`` if all of it is."""
    mask = masks.get((address, name))
    return "1" if mask is None else "".join(str(int(bit)) for bit in mask.ravel())
