"""Which input channels reach which output channels, and the weight's matrix beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from convaudit.records.explanation import ChannelBlock, Explanation, Wiring
from convaudit.reporters.pictures.matrix import WIDTH, matrix
from convaudit.reporters.pictures.svg import (
    boxes,
    color,
    document,
    group,
    lines,
    named,
    short,
    short_count,
    svg_path,
    words,
)
from convaudit.reporters.text import shorten

_MOST_BLOCKS = 6
"""Blocks that are drawn one by one, in the fan; of more, the first and the last ones."""
_MOST_CELLS, _MOST_LINES = 12, 80
"""Channels of a block that are drawn one by one, and lines of the whole picture."""
_THINNEST = 3.0
"""Pixels of a channel that is drawn for itself."""
_FAN, _GAP, _TOP, _BODY = 310, 30, 30, 190
_LEFT, _RIGHT, _BAR = 75.0, 215.0, 20.0


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A block of the fan: its place, its colour, and its channels."""

    index: int
    top: float
    height: float
    block: ChannelBlock


def wiring_svg(told: Explanation, *, stacked: bool = False) -> str:
    """The wiring as a fan between channels, and as the matrix of the weight's kernels.

    Groups that lint finds in the weight are drawn in the place of those that the layer declares.

    Args:
        told: The layer.
        stacked: Whether the matrix is below the fan, for narrow pages.

    Returns:
        SVG; empty where the wiring is unknown.
    """
    wiring = told.wiring
    if wiring is None or wiring.in_channels < 1 or wiring.out_channels < 1:
        return ""
    fan = _fan(wiring)
    at = (0, _TOP + _BODY + 30) if stacked else (_FAN + _GAP, 0)
    beside, height = matrix(told, wiring)
    parts = [*fan, group(beside, transform=f"translate({at[0]} {at[1]})")]
    width = _FAN if stacked else _FAN + _GAP + WIDTH
    total = at[1] + max(height, 0 if stacked else _TOP + _BODY)
    title = f"Wiring of {named(told.layer.name)}: {_in_short(wiring)}"
    return document(width + 2, total + 4, "wiring", title, _in_words(wiring), parts)


def _count(wiring: Wiring) -> int:
    return len(wiring.latent) or wiring.groups


def _block(wiring: Wiring, index: int) -> ChannelBlock:
    return wiring.latent[index] if wiring.latent else wiring.block(index)


def _in_short(wiring: Wiring) -> str:
    channels = f"{short_count(wiring.in_channels)} to {short_count(wiring.out_channels)} channels"
    if wiring.latent:
        return f"{channels}, {short_count(len(wiring.latent))} hidden groups"
    return f"{channels}, {'dense' if wiring.groups == 1 else f'{short_count(wiring.groups)} groups'}"


def _in_words(wiring: Wiring) -> str:
    """What the picture shows, for whoever cannot see it."""
    count = _count(wiring)
    first, last = _block(wiring, 0), _block(wiring, count - 1)
    if count == 1:
        return (
            f"Every one of {short_count(wiring.out_channels)} output channels reads all "
            f"{short_count(wiring.in_channels)} input channels."
        )
    told = [
        f"input channels {channel_range(block.inputs)} reach output channels {channel_range(block.outputs)}"
        for block in (first, last)
    ]
    blocks = f"{short_count(count)} blocks: in the first, {told[0]}; in the last, {told[1]}"
    return f"{blocks}. No block reaches another."


def channel_range(channels: Sequence[int]) -> str:
    """``0–3``; of channels that do not stand beside each other the first ones."""
    if not channels:
        return "none"
    first, last = channels[0], channels[-1]
    if isinstance(channels, range) or last - first == len(channels) - 1:
        return short_count(first) if first == last else f"{short_count(first)}–{short_count(last)}"
    return ", ".join(map(short_count, channels[:2])) + (", …" if len(channels) > 2 else "")


def _fan(wiring: Wiring) -> list[str]:
    """Channels as bars, those of one block in one colour, and what is between them."""
    count = _count(wiring)
    whole = count <= _MOST_BLOCKS
    shown = list(range(count)) if whole else [*range(_MOST_BLOCKS - 2), count - 1]
    gap = 8.0 if len(shown) > 1 else 0.0
    dots = 0.0 if whole else 22.0
    height = (_BODY - gap * (len(shown) - 1) - dots) // len(shown)
    tops = [_TOP + (height + gap) * place for place in range(len(shown))]
    tops[-1] += dots
    blocks = [
        _Drawn(index, top, height, _block(wiring, index)) for index, top in zip(shown, tops, strict=True)
    ]
    wires = sum(prod(one.block.sizes) for one in blocks)
    parts = [
        words(0, 14, _sides(wiring.in_channels, "input")),
        words(_FAN, 14, _sides(wiring.out_channels, "output"), text_anchor="end"),
        *(_drawn(one, wired=wires <= _MOST_LINES) for one in blocks),
        _ranges(blocks, "inputs", _LEFT - 6, "end"),
        _ranges(blocks, "outputs", _RIGHT + _BAR + 6, "start"),
    ]
    if not whole:
        middle = tops[-1] - (dots + gap) / 2
        spots = [
            (x + _BAR / 2 - 1.5, middle + 6 * step - 1.5, 3.0, 3.0)
            for x in (_LEFT, _RIGHT)
            for step in (-1, 0, 1)
        ]
        parts.append(svg_path(boxes(spots), fill_opacity=".6"))
    return parts


def _sides(count: int, side: str) -> str:
    return f"{short_count(count)} {side} {'channel' if count == 1 else 'channels'}"


def _ranges(blocks: Sequence[_Drawn], side: str, x: float, anchor: str) -> str:
    """Which channels each block has, beside it."""
    texts = [
        words(x, one.top + one.height / 2 + 4, shorten(channel_range(getattr(one.block, side)), 13))
        for one in blocks
    ]
    return group(texts, text_anchor=anchor, fill_opacity=".75")


def _drawn(one: _Drawn, *, wired: bool) -> str:
    """One block: its channels on both sides, and a sheet between them, with lines where there are few."""
    ins, outs = one.block.sizes
    most = max(ins, outs, 1)
    middle = one.top + one.height / 2
    left = _bar(_LEFT, middle, one.height * max(ins / most, 0.2), ins)
    right = _bar(_RIGHT, middle, one.height * max(outs / most, 0.2), outs)
    sheet = _sheet((_LEFT + _BAR, *_ends(left)), (_RIGHT, *_ends(right)))
    parts = [svg_path(sheet, fill_opacity=".22"), svg_path(boxes([*left, *right]))]
    if wired and len(left) == ins and len(right) == outs:
        wires = [
            ((_LEFT + _BAR, round(y + h / 2)), (_RIGHT, round(v + g / 2)))
            for _, y, _, h in left
            for _, v, _, g in right
        ]
        parts.append(svg_path(lines(wires), stroke="currentColor"))
    return group(parts, color=color(one.index), fill="currentColor")


def _sheet(left: tuple[float, float, float], right: tuple[float, float, float]) -> str:
    """Path data of what lies between two bars, each with its edge, top and end."""
    (start, top, end), (stop, other_top, other_end) = left, right
    if (top, end) == (other_top, other_end):
        return boxes([(start, top, stop - start, end - top)])
    bend = short((start + stop) / 2)
    return (
        f"M{short(start)} {short(top)}C{bend} {short(top)} {bend} {short(other_top)} {short(stop)} "
        f"{short(other_top)}V{short(other_end)}C{bend} {short(other_end)} {bend} {short(end)} "
        f"{short(start)} {short(end)}z"
    )


def _bar(x: float, middle: float, height: float, count: int) -> list[tuple[float, float, float, float]]:
    """Channels of one block, one by one where there is room, else as one."""
    top = middle - height / 2
    cells = count if 1 <= count <= _MOST_CELLS and height / count >= _THINNEST else 1
    step = height / cells
    gap = min(1.5, step / 4) if cells > 1 else 0
    return [(x, top + step * cell, _BAR, step - gap) for cell in range(cells)]


def _ends(bar: list[tuple[float, float, float, float]]) -> tuple[float, float]:
    return bar[0][1], bar[-1][1] + bar[-1][3]
