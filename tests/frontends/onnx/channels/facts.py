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
    """``1011``: of which channels anything is wanted; a single bit if it is all the same."""
    mask = masks.get((address, name))
    if mask is None:
        return "1"
    if mask.ndim > 2:
        mask = mask.any(axis=(0, *range(2, mask.ndim)))
    return "".join(str(int(bit)) for bit in mask.ravel())
