"""A weight's kernels as a matrix: output channels down, input channels across, in blocks."""

from __future__ import annotations

from convaudit.records.explanation import ChannelBlock, Explanation, Wiring
from convaudit.reporters.pictures.svg import boxes, color, lines, short_count, svg_path, words
from convaudit.reporters.text import shorten

WIDTH, LEFT, TOP = 210, 28, 40
_ROOM = WIDTH - LEFT
_MOST_BLOCKS = 32
"""Blocks that are drawn one by one; of more, a diagonal."""
_MOST_SCATTERED = 24
"""Channels of either side up to which they are drawn one by one, and as they stand."""
_LEAST_FOR_WORDS = 150


def matrix(told: Explanation, wiring: Wiring) -> tuple[list[str], float]:
    """The elements of the picture, and how high it is."""
    ins, outs = wiring.in_channels, wiring.out_channels
    most = max(ins, outs)
    wide, high = (max(_ROOM * size / most, _ROOM / 6) for size in (ins, outs))
    count = len(wiring.latent) or wiring.groups
    standing = _stands(wiring.latent)
    frame = svg_path(
        boxes([(LEFT, TOP, wide, high)]), fill_opacity=".07", stroke="currentColor", stroke_opacity=".35"
    )
    apart = wide * (count - 1) / count if count < _MOST_BLOCKS else wide
    empty = "all zero" if wiring.latent else "no weights"
    axis = {"fill_opacity": ".75", "text_anchor": "middle"}
    parts = [
        words(0, 14, _heading(told, reordered=not standing and most > _MOST_SCATTERED)),
        frame,
        *_blocks(wiring, wide, high, scattered=not standing and most <= _MOST_SCATTERED),
        _ruled(ins, outs, wide, high),
        words(LEFT + wide / 2, TOP - 5, "in", **axis),
        words(LEFT - 14, TOP + high / 2 + 4, "out", **axis),
        words(0, TOP + high + 18, _caption(wiring), fill_opacity=".75"),
    ]
    if count > 1 and standing and apart >= _ROOM / 2 and wide >= _LEAST_FOR_WORDS and high >= 60:
        parts.append(words(LEFT + wide * 0.74, TOP + high * 0.25 + 4, empty, **axis))
    return parts, TOP + high + 24


def _heading(told: Explanation, *, reordered: bool) -> str:
    if reordered:
        return "weight, its channels reordered"
    kernel = "x".join(map(short_count, told.layer.kernel_size or ()))
    cell = f", each cell {kernel} taps" if kernel and not told.layer.is_pointwise else ""
    return shorten(f"weight{cell}", 34)


def _blocks(wiring: Wiring, wide: float, high: float, *, scattered: bool) -> list[str]:
    """What is not zero, in the colours of the fan."""
    count = len(wiring.latent) or wiring.groups
    if count > _MOST_BLOCKS:
        ends = ((float(LEFT), float(TOP)), (LEFT + wide, TOP + high))
        return [svg_path(lines([ends]), stroke=color(0), stroke_width=3)]
    parts = []
    for index in range(min(count, 8)):
        same = range(index, count, 8)
        if scattered:
            across, down = wide / wiring.in_channels, high / wiring.out_channels
            cells = [
                (LEFT + column * across, TOP + row * down, across, down)
                for number in same
                for row in wiring.latent[number].outputs
                for column in wiring.latent[number].inputs
            ]
        else:
            step = (wide / count, high / count)
            cells = [(LEFT + number * step[0], TOP + number * step[1], *step) for number in same]
        parts.append(svg_path(boxes(cells), fill=color(index), fill_opacity=".85"))
    return parts


def _stands(blocks: tuple[ChannelBlock, ...]) -> bool:
    """Whether the blocks lie on the diagonal as the channels stand."""
    at = [0, 0]
    for block in blocks:
        for side, channels in enumerate((block.inputs, block.outputs)):
            if not channels or channels[0] != at[side] or channels[-1] != at[side] + len(channels) - 1:
                return False
            at[side] += len(channels)
    return True


def _ruled(ins: int, outs: int, wide: float, high: float) -> str:
    """Lines between channels, where there are few."""
    if max(ins, outs) > _MOST_SCATTERED:
        return ""
    columns = [
        ((LEFT + wide * at / ins, float(TOP)), (LEFT + wide * at / ins, TOP + high)) for at in range(1, ins)
    ]
    rows = [
        ((float(LEFT), TOP + high * at / outs), (LEFT + wide, TOP + high * at / outs))
        for at in range(1, outs)
    ]
    return svg_path(lines([*columns, *rows]), stroke="currentColor", stroke_opacity=".18")


def _caption(wiring: Wiring) -> str:
    whole = f"{short_count(wiring.out_channels)} x {short_count(wiring.in_channels)}"
    count = len(wiring.latent) or wiring.groups
    if count == 1:
        return f"{whole}, all of it"
    block = wiring.latent[0] if wiring.latent else wiring.block(0)
    ins, outs = block.sizes
    size = f"{short_count(outs)} x {short_count(ins)}"
    return f"{short_count(count)} blocks of {size}: 1/{short_count(count)} of it"
