"""A layer's wiring and its window drawn in characters, at most 76 wide, whatever the layer.

They are Unicode's; ``in_ascii`` draws the same for whoever cannot show them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from convaudit.formulas import Count
from convaudit.records.explanation import AxisWindow, ChannelBlock, Explanation, Wiring
from convaudit.reporters.text import printable, shorten
from convaudit.units import human

_ASCII = str.maketrans("─│┌┐└┘├┤┬┴┼█░·⋮⋱…", "-|+++++++++#:.:\\~")
_ROWS = 4
"""Channels of a block that are drawn, at most."""
_BLOCKS, _THIN_BLOCKS = 4, 7
"""Blocks that are drawn, at most; and of one channel on either side."""
_WIRE = 8
_HIGH, _WIDE = 8, 16
_COLUMNS, _LINES, _PLACES = 13, 11, 3
_BEYOND = 2
"""Positions that are drawn after the last tap."""


def in_ascii(text: str) -> str:
    """A sketch in the characters that every terminal has."""
    return text.translate(_ASCII)


def sketched(told: Explanation) -> dict[str, list[str]]:
    """All that can be drawn of a layer, each with its title."""
    drawn = {"Which channels reach which": [] if told.wiring is None else wiring_sketch(told.wiring)}
    drawn["Where the taps lie"] = window_sketch(told.windows)
    return {title: lines for title, lines in drawn.items() if lines}


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
        _size(channel)
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
        lines[start + at] = ("⋮" if channel is None else _size(channel), joint)
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
    title = f"weight: {_size(wiring.out_channels)} out x {_size(wiring.in_channels)} in"
    frame = "─" * len(cells[0])
    told = [f"█ {_count(count, 'block')} of {_size(outs)} x {_size(ins)}{', once reordered' * reordered}"]
    if count > 1:
        told.append("· all zero" if wiring.latent else "· no weights: groups removed them")
    return [title, f"┌{frame}┐", *(f"│{line}│" for line in cells), f"└{frame}┘", *told]


def _cell(at: int, stop: int, size: int, columns: int) -> str:
    """One line of the matrix with a block of two characters."""
    return "··" * at + "██" * (stop - at) + "··" * (columns - stop)


def _beside(channels: Sequence[int]) -> bool:
    return isinstance(channels, range) or channels[-1] - channels[0] == len(channels) - 1


def window_sketch(windows: Sequence[AxisWindow]) -> list[str]:
    """The first places of the window: of one axis a line each, of more the last two as a grid.

    Returns:
        Lines; where it is too large to be drawn none, as where each place touches but its own position.
    """
    if not windows or all(one.kernel == one.stride == 1 and one.before == one.after == 0 for one in windows):
        return []
    if len(windows) == 1:
        return list(_strip(windows[0]))
    return list(_grid(windows[-2], windows[-1]))


def _touched(window: AxisWindow) -> Count | None:
    return window.output if window.transposed else window.input


def _placed(window: AxisWindow) -> Count | None:
    return window.input if window.transposed else window.output


def _shown(window: AxisWindow, places: int, most: int, least: int) -> range | None:
    """The positions that are drawn, padding included; None: there is no room."""
    first = min(window.taps(0).start, 0)
    need = window.taps(places - 1).stop - first
    if need > most:
        return None
    size = _touched(window)
    end = size + max(window.after or 0, 0) if isinstance(size, int) else None
    room = min(most, max(need + _BEYOND, least))
    stop = first + room if end is None or end > first + room else max(end, first + need)
    return range(first, stop)


def _goes_on(window: AxisWindow, shown: range) -> bool:
    size = _touched(window)
    return not isinstance(size, int) or shown.stop < size + max(window.after or 0, 0)


def _is_inside(window: AxisWindow, position: int) -> bool:
    size = _touched(window)
    return position >= 0 and (not isinstance(size, int) or position < size)


def _places(window: AxisWindow, most: int) -> int:
    count = _placed(window)
    return max(min(count, most), 1) if isinstance(count, int) else most


def _strip(window: AxisWindow) -> Iterator[str]:
    """A line for each of the first places: what it touches."""
    places = _places(window, _PLACES)
    shown = _shown(window, places, 24, 24)
    if shown is None:
        return
    side, other = ("output", "input") if window.transposed else ("input", "output")
    more = " …" if _goes_on(window, shown) else ""
    start = f"{side} {_size(_touched(window))}"
    names = [f"{other} {place}" for place in range(places)]
    width = max(map(len, (start, *names)))
    line = " ".join("·" if _is_inside(window, position) else "░" for position in shown)
    yield f"{start:{width}}  {line}{more}"
    for place, name in enumerate(names):
        taps = window.taps(place)
        yield f"{name:{width}}  {' '.join('█' if at in taps else ' ' for at in shown)}".rstrip()
    yield from _strip_legend(window, any(not _is_inside(window, position) for position in shown))


def _strip_legend(window: AxisWindow, padded: bool) -> Iterator[str]:
    one = "one input position is added to" if window.transposed else "one output position reads"
    yield f"█ what {one}; the next is {_size(window.stride)} to the right (stride)"
    if padded:
        yield "░ padding" + (", which is cut off" if window.transposed else ", which counts as zeros")


def _grid(first: AxisWindow, last: AxisWindow) -> Iterator[str]:
    """The grid that the taps touch; 1 and 2 are two places of the window."""
    step = _places(last, 2) - 1
    down = 0 if step else _places(first, 2) - 1
    rows = _shown(first, 1 + down, _LINES, 6)
    columns = _shown(last, 1 + step, _COLUMNS, 9)
    if rows is None or columns is None:
        return
    side = "output" if last.transposed else "input"
    yield f"{side} {_size(_touched(first))} x {_size(_touched(last))}"
    second = (first.taps(down), last.taps(step)) if step or down else None
    for row in rows:
        if row == 0 and rows.start < 0:
            yield _rule(last, columns, "┌", "┐")
        cells = [_tapped(first, last, second, row, column) for column in columns]
        line = _bordered(last, columns, cells, inside=_is_inside(first, row))
        yield line + (" …" if _goes_on(last, columns) and row == rows.start else "")
        size = _touched(first)
        if isinstance(size, int) and row == size - 1 and rows.stop > size:
            yield _rule(last, columns, "└", "┘")
    if _goes_on(first, rows):
        yield "  ⋮"
    one = "input" if last.transposed else "output"
    touches = "is added to" if last.transposed else "reads"
    yield f"1 what the first {one} position {touches}"
    if second is not None:
        way = f"{_size(last.stride)} to the right" if step else f"{_size(first.stride)} down"
        yield f"2 the next one: stride {way}"
    if any(not _is_inside(first, row) for row in rows) or any(not _is_inside(last, at) for at in columns):
        yield "░ padding" + (", which is cut off" if last.transposed else ", which counts as zeros")


def _tapped(
    first: AxisWindow, last: AxisWindow, second: tuple[range, range] | None, row: int, column: int
) -> str:
    one = row in first.taps(0) and column in last.taps(0)
    two = second is not None and row in second[0] and column in second[1]
    if one or two:
        return f"{'1' if one else ''}{'2' if two else ''}"
    return "·" if _is_inside(first, row) and _is_inside(last, column) else "░"


def _bordered(window: AxisWindow, columns: range, cells: Sequence[str], *, inside: bool) -> str:
    """One row, the tensor's own borders between it and its padding."""
    size, text = _touched(window), ""
    for column, cell in zip(columns, cells, strict=True):
        border = column == 0 and columns.start < 0
        text += ("│" if inside else " ") if border else ""
        text += f"{cell:>3} "
        if isinstance(size, int) and column == size - 1 and columns.stop > size:
            text += "│" if inside else " "
    return text.rstrip()


def _rule(window: AxisWindow, columns: range, start: str, end: str) -> str:
    size, text = _touched(window), ""
    for column in columns:
        text += start if column == 0 and columns.start < 0 else ""
        text += "─" * 4 if _is_inside(window, column) else " " * 4
        text += end if isinstance(size, int) and column == size - 1 and columns.stop > size else ""
    return text.rstrip()


def _size(count: Count | None) -> str:
    """A number that fits into a sketch."""
    if isinstance(count, int) and abs(count) < 10**7:
        return f"{count:,}"
    return shorten(printable(human(count) if isinstance(count, int) else str(count or "?")), 12)


def _count(number: int, what: str) -> str:
    return f"{_size(number)} {what}{'' if number == 1 else 's'}"
