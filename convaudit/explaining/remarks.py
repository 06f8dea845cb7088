"""Sentences on a layer: what a filter reads, what groups removed, and what they forbid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convaudit.explaining.text import number
from convaudit.records import LayerCost
from convaudit.records.explanation import Dimension, Wiring
from convaudit.shapes import as_text


def remarks_on(layer: LayerCost, dimensions: Sequence[Dimension], wiring: Wiring | None) -> Iterator[str]:
    """What a person should know who sees the layer for the first time."""
    if wiring is not None:
        yield _reads(layer, wiring)
    yield from _field(layer, dimensions)
    if wiring is not None and wiring.groups > 1:
        yield _removed(layer)
        yield _forbids(wiring)
    if wiring is not None and wiring.latent:
        yield _hidden(wiring)
    if wiring is not None and wiring.shared:
        names = ", ".join(wiring.shared[:3])
        more = f" and {len(wiring.shared) - 3} more" if len(wiring.shared) > 3 else ""
        yield f"it shares its weight with {names}{more}: the weight is stored, and counts, once"


def _reads(layer: LayerCost, wiring: Wiring) -> str:
    ins, outs = wiring.inputs_per_group, wiring.outputs_per_group
    if wiring.style == "dense":
        return f"dense: every output channel reads all {_channels(wiring.in_channels, 'input')}"
    if wiring.style == "depthwise":
        each = "one filter" if wiring.multiplier == 1 else f"{number(wiring.multiplier)} filters"
        return (
            f"depthwise: each of the {_channels(wiring.in_channels, 'input')} is filtered alone, by {each} "
            f"(multiplier {number(wiring.multiplier)})"
        )
    return (
        f"grouped: {number(wiring.groups)} groups; in each, {_channels(outs, 'output')} "
        f"read{'s' if outs == 1 else ''} {_channels(ins, 'input')}"
    )


def _channels(count: int, side: str) -> str:
    return f"{number(count)} {side} channel{'' if count == 1 else 's'}"


def _field(layer: LayerCost, dimensions: Sequence[Dimension]) -> Iterator[str]:
    windows = [one.window for one in dimensions if one.window is not None]
    if not windows or layer.kernel_size is None:
        return
    if layer.deformable:
        yield "deformable: offsets move each tap; the window is where the taps lie without them"
    spans = as_text([window.extent for window in windows])
    taps = as_text(layer.kernel_size)
    dilated = f" ({taps} taps, dilated)" if spans != taps else ""
    if layer.transposed:
        yield f"one input position is added to {spans} output positions{dilated}"
    elif layer.is_pointwise:
        yield "pointwise: one output position reads one input position; it mixes channels, not positions"
    else:
        yield f"receptive field: one output position reads {spans} input positions{dilated}"


def _hidden(wiring: Wiring) -> str:
    ins, outs = wiring.latent[0].sizes
    count = number(len(wiring.latent))
    return (
        f"yet its weight hides {count} groups (CA204): all kernels between them are zero, so that in each "
        f"{_channels(outs, 'output')} really read{'s' if outs == 1 else ''} {_channels(ins, 'input')}"
    )


def _removed(layer: LayerCost) -> str:
    saved = "" if layer.macs_saved is None else f": {number(layer.macs_saved)} multiply-accumulates fewer"
    return f"groups removed a factor of {number(layer.groups)} from weights and multiply-accumulates{saved}"


def _forbids(wiring: Wiring) -> str:
    what = "channels" if wiring.style == "depthwise" else "channels of different groups"
    return f"{what} never meet here: a following dense layer (1x1, say) mixes them, or a channel shuffle"
