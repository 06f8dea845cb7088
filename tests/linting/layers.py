"""Records of layers for weights made up here."""

from __future__ import annotations

from typing import Any

import numpy as np

from convaudit.engine.operands import Array
from convaudit.linting.weights import WeightFacts, examine
from convaudit.records import ConvLayer

RNG = np.random.default_rng(7)


def weight(*shape: int, dtype: Any = np.float32) -> Array:
    """Random numbers, none of them zero and no two filters alike."""
    return (RNG.standard_normal(shape) + 3).astype(dtype)


def layer_of(array: Array, **changed: Any) -> ConvLayer:
    """The layer that a weight is for; 3x3 and alike with the padding that keeps the size."""
    first, second, *kernel = array.shape
    groups = changed.get("groups", 1)
    channels = (first, second * groups) if changed.get("transposed") else (second * groups, first)
    fields: dict[str, Any] = {
        "name": "conv",
        "op": "Conv",
        "in_channels": channels[0],
        "out_channels": channels[1],
        "kernel_size": tuple(kernel),
        "stride": (1,) * len(kernel),
        "padding": tuple((size // 2, size // 2) for size in kernel),
        "dilation": (1,) * len(kernel),
        "weight_shape": array.shape,
    }
    return ConvLayer(**{**fields, **changed})


def examined(array: Array, bias: Array | None = None, **changed: Any) -> WeightFacts:
    """What such a layer's weight tells."""
    return examine(layer_of(array, bias=bias is not None, **changed), array, bias)


def rules_of(facts: WeightFacts) -> list[str]:
    """Codes of the claims."""
    return [claim.rule for claim in facts.claims]
