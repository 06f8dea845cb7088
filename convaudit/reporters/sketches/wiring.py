"""Which channels reach which, in characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from convaudit.records.explanation import ChannelBlock, Wiring
from convaudit.reporters.sketches.text import sketched_number

_ROWS = 4
"""Channels of a block that are drawn, at most."""
_BLOCKS, _THIN_BLOCKS = 4, 7
"""Blocks that are drawn, at most; and of one channel on either side."""
_WIRE = 8
_HIGH, _WIDE = 8, 16


def wiring_sketch(wiring: Wiring) -> list[str]:
    """Input channels on the left, output channels on the right, the weight's blocks beside them."""
    fan = _fan(wiring)
    if not fan:
        return []
    width = max(map(len, fan))
    rows = zip_longest(fan, _matrix(wiring), fillvalue="")
    return [f"{left:{width + 5}}{right}".rstrip() for left, right in rows]


def _blocks(wiring: Wiring) -> list[ChannelBlock | None]:
    """Those that are drawn; None: some are left out."""
    count = len(wiring.latent) or wiring.groups
    of = wiring.latent.__getitem__ if wiring.latent else wiring.block
    most = _THIN_BLOCKS if of(0).sizes == (1, 1) else _BLOCKS
    if count <= most:
        return [of(index) for index in range(count)]
    return [*(of(index) for index in range(most - 2)), None, of(count - 1)]


def _fan(wiring: Wiring) -> list[str]:
    if wiring.in_channels < 1 or wiring.out_channels < 1:
        return []
    shown = _blocks(wiring)
    names = [
        sketched_number(channel)
        for block in shown
        if block is not None
        for side in (block.inputs, block.outputs)
        for channel in _some(side, block.sizes)
        if channel is not None
    ]
    width = max(map(len, names))
    lines = [f"{'in':>{width}}{' ' * (_WIRE + 4)}out"]
    thin = all(block is None or block.sizes == (1, 1) for block in shown)
    for number, block in enumerate(shown):
        if block is None:
            lines.append(f"{'⋮':>{width}}{' ' * (_WIRE + 4)}⋮")
            continue
        if number and not thin and shown[number - 1] is not None:
            lines.append("")
        lines += _block_lines(block, width)
    return lines


def _some(channels: Sequence[int], sizes: tuple[int, int]) -> list[int | None]:
    """The channels of a block's side that are drawn; None: some are left out."""
    count = channels.stop - channels.start if isinstance(channels, range) else len(channels)
    if count <= _ROWS:
        return list(channels)
    return [channels[0], channels[1], None, channels[-1]]


def _block_lines(block: ChannelBlock, width: int) -> list[str]:
    ins, outs = _some(block.inputs, block.sizes), _some(block.outputs, block.sizes)
    high = max(len(ins), len(outs))
    middle = (high - 1) // 2
    left, right = _side(ins, high, "┐┤┘", "┬┼┴├"), _side(outs, high, "┌├└", "┬┼┴┤")
    lines = []
    for row, ((name, joint), (other, other_joint)) in enumerate(zip(left, right, strict=True)):
        wire = ("─" if row == middle else " ") * _WIRE
        start = f"{name:>{width}} {'─' if joint in '┐┤┘┬┼┴─' else ' '}{joint}"
        end = f"{other_joint}{'─' if other_joint in '┌├└┬┼┴─' else ' '} {other}"
        lines.append(f"{start}{wire}{end}".rstrip())
    return lines


def _side(channels: Sequence[int | None], high: int, joints: str, crossings: str) -> list[tuple[str, str]]:
    """Name and joint of each line of one side, in the middle of ``high`` lines.

    Args:
        channels: None where some are left out.
        high: Lines of the block.
        joints: At the first, a middle and the last channel.
        crossings: The same where the wire to the other side begins, and there beside no channel.
    """
    start, middle = (high - len(channels)) // 2, (high - 1) // 2
    lines = [("", " ")] * high
    for at, channel in enumerate(channels):
        place = 0 if at == 0 else 2 if at == len(channels) - 1 else 1
        meets = start + at == middle
        joint = (crossings if meets else joints)[place]
        if len(channels) == 1:
            joint = "─"
        elif channel is None:
            joint = crossings[3] if meets else "│"
        lines[start + at] = ("⋮" if channel is None else sketched_number(channel), joint)
    return lines


def _matrix(wiring: Wiring) -> list[str]:
    """The weight's blocks, outputs down and inputs across, to scale as far as there is room."""
    count = len(wiring.latent) or wiring.groups
    most = max(wiring.in_channels, wiring.out_channels)
    high, wide = (
        max(most_of * size // most, 2)
        for size, most_of in ((wiring.out_channels, _HIGH), (wiring.in_channels, _WIDE))
    )
    if count > _HIGH:
        cells = [_cell(row, row + 1, 1, _WIDE // 2) for row in range(3)]
        cells += [
            "·" * (_WIDE // 2 - 1) + "⋱" + "·" * (_WIDE // 2),
            _cell(_WIDE // 2 - 1, _WIDE // 2, 1, _WIDE // 2),
        ]
    else:
        rows, columns = max(high // count, 1), max(wide // count, 1)
        cells = [
            "·" * (columns * block) + "█" * columns + "·" * (columns * (count - 1 - block))
            for block in range(count)
            for _ in range(rows)
        ]
    block = wiring.latent[0] if wiring.latent else wiring.block(0)
    ins, outs = block.sizes
    reordered = any(not _beside(one.inputs) or not _beside(one.outputs) for one in wiring.latent)
    title = f"weight: {sketched_number(wiring.out_channels)} out x {sketched_number(wiring.in_channels)} in"
    frame = "─" * len(cells[0])
    size = f"{sketched_number(outs)} x {sketched_number(ins)}"
    told = [f"█ {_count(count, 'block')} of {size}{', once reordered' * reordered}"]
    if count > 1:
        told.append("· all zero" if wiring.latent else "· no weights: groups removed them")
    return [title, f"┌{frame}┐", *(f"│{line}│" for line in cells), f"└{frame}┘", *told]


def _cell(at: int, stop: int, size: int, columns: int) -> str:
    """One line of the matrix with a block of two characters."""
    return "··" * at + "██" * (stop - at) + "··" * (columns - stop)


def _beside(channels: Sequence[int]) -> bool:
    return isinstance(channels, range) or channels[-1] - channels[0] == len(channels) - 1


def _count(number: int, what: str) -> str:
    return f"{sketched_number(number)} {what}{'' if number == 1 else 's'}"
