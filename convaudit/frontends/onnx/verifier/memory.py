"""What verifying may hold beside what the runtime itself needs, shared out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from convaudit.analyzer import costs
from convaudit.feeds import known_shape
from convaudit.judge.problem import WORKSPACE_BYTES
from convaudit.records import ConvLayer, Optimization

MEMORY_BYTES = 2**30
LEAST_WORKSPACE = 2**23
"""Below it, judging in ever smaller parts takes ever longer."""
_GUESSED_BYTES = 16 * 2**20  # of a layer whose size the accounting does not know


def workspace_bytes(memory_bytes: int) -> int:
    """The judge's part."""
    return max(LEAST_WORKSPACE, _share(memory_bytes))


def activation_bytes(memory_bytes: int) -> int:
    """Half of the rest, for inputs and outputs: the runtime may hold them a second time in another layout."""
    return (memory_bytes - _share(memory_bytes)) // 2


def _share(memory_bytes: int) -> int:
    return min(WORKSPACE_BYTES, memory_bytes // 8)


def captured_bytes(layer: ConvLayer, sizes: Mapping[str, int]) -> int:
    """Bytes of a layer's input and output."""
    shaped = replace(
        layer,
        input_shape=known_shape(layer.input_shape, sizes),
        output_shape=known_shape(layer.output_shape, sizes),
    )
    count = costs.activation_bytes(shaped)
    return count if isinstance(count, int) else _GUESSED_BYTES


def affordable(optimization: Optimization, captured: int, memory_bytes: int) -> Optimization:
    """The level without layouts of the runtime's own, where a single layer's activations are too large."""
    too_large = captured > activation_bytes(memory_bytes)
    return "extended" if optimization == "all" and too_large else optimization
