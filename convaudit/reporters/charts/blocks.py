"""The chart of what the model's blocks cost: each a rectangle as high as its part of the MACs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import altair as alt

from convaudit.analyzer.blocks import BlockCost, blocks
from convaudit.records import AuditReport, LayerCost, OtherLayer
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.charts import CHARTS
from convaudit.reporters.charts.drawing import finished, if_chosen, inline, kind_colour, layered, tooltip
from convaudit.reporters.charts.rows import Datum, Subject, safe
from convaudit.reporters.colours import KIND_COLOURS, OTHER, QUIET, text_on
from convaudit.units import human, human_percentage

_DEEPEST = 5
"""Levels below the root that are drawn; what is deeper is one rectangle of its block."""
_HEIGHTS = (260, 20, 820)  # pixels: the least, for each rectangle at the right edge, the most
_THINNEST = 1.5
"""Pixels; thinner neighbours are drawn as one."""
_READABLE = 13
"""Pixels of height that a label needs."""
_LETTER = 6.0
"""Pixels of a letter, on average, of the size that labels have."""
_TOOLTIP = {
    "name": "block",
    "what": "what",
    "macs_text": "MACs of one run",
    "share": "share of the model",
    "params_text": "params",
    "saved_text": "MACs that groups save",
}


def make_blocks(report: AuditReport) -> alt.LayerChart:
    """The model at the left, its blocks beside it, their layers at the right, in the model's order."""
    subject = Subject(report)
    tree = blocks(report, subject.example.sizes)
    places = {id(layer): index for index, layer in enumerate(report.layers)}
    height, boxes = _boxes(tree)
    chart = _icicle([_datum(box, tree, places, height) for box in boxes], height)
    lines = ["Height is MACs, columns are the parts of the layers' names. Grey: blocks, and other ops."]
    lines += [*subject.notes, *_missing(tree, report)]
    return finished(chart, CHARTS["blocks"].title, lines, height=height, about=CHARTS["blocks"].about)


def _missing(tree: Sequence[BlockCost], report: AuditReport) -> list[str]:
    unknown = sum(block.member is not None and block.macs is None for block in tree)
    ops = "1 op is" if unknown == 1 else f"{unknown:,} ops are"
    lines = [f"{ops} not drawn: the MACs are unknown."] if unknown else []
    uncounted = [other for other in report.other_ops if other.macs is None]
    if uncounted:
        lines.append(
            f"Not drawn, since their MACs are unknown: {safe(', '.join(o.op for o in uncounted[:5]))}."
        )
    if any(block.member is not None and block.member.branches for block in tree):
        lines.append("Of exclusive branches all are drawn, of which a run takes one.")
    return lines


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle: of one block, or of several that are too thin to be seen."""

    at: int  # in the tree, of the first
    start: float  # the upper end, from 0 to 1
    end: float
    rest: int = 0  # how many are too thin; 0: it is of one block


def _boxes(tree: Sequence[BlockCost]) -> tuple[int, list[_Box]]:
    """The height of the chart in pixels, and what is drawn in it."""
    sums = [block.macs_at_least if block.member is not None else 0 for block in tree]
    for at in range(len(tree) - 1, 0, -1):
        sums[tree[at].parent or 0] += sums[at]
    edge = sum(
        size > 0 and (block.member is not None or block.depth == _DEEPEST)
        for block, size in zip(tree, sums, strict=True)
        if block.depth <= _DEEPEST
    )
    least, each, most = _HEIGHTS
    height = min(max(least, each * edge), most)
    if not sums[0]:
        return height, []
    found = [_Box(0, 0.0, 1.0)]
    filled, thin = {0: 0.0}, dict[int, int]()  # how far a block is filled, and where its last thin boxes are
    for at, block in enumerate(tree):
        inside = block.parent
        if inside is None or inside not in filled or block.depth > _DEEPEST or not sums[at]:
            continue
        start = filled[inside]
        end = filled[inside] = start + sums[at] / sums[0]
        if (end - start) * height >= _THINNEST:
            found.append(_Box(at, start, end))
            filled[at] = start
            thin.pop(inside, None)
        elif inside in thin:
            last = found[thin[inside]]
            found[thin[inside]] = replace(last, end=end, rest=last.rest + 1)
        else:
            thin[inside] = len(found)
            found.append(_Box(at, start, end, rest=1))
    return height, found


def _datum(box: _Box, tree: Sequence[BlockCost], places: Mapping[int, int], height: int) -> Datum:
    """One rectangle; a leaf reaches to the right edge, and has the place of its layer in the report."""
    block, whole = tree[box.at], sum(one.macs_at_least for one in tree if one.member is not None)
    member = None if box.rest else block.member
    leaf = box.rest > 0 or member is not None or block.depth == _DEEPEST
    layer = member if isinstance(member, LayerCost) else None
    macs = round((box.end - box.start) * whole) if box.rest or block.macs is None else block.macs
    name = ".".join(block.path) or "the whole model"
    label = f"{box.rest} more" if box.rest else block.label or f"{human(macs)} MACs"
    kind = "block" if member is None else layer.kind if layer is not None else OTHER
    share = human_percentage(box.end - box.start)
    return {
        "layer": places.get(id(layer), -2) if layer is not None else -2,
        "name": safe(f"{name} and what follows it" if box.rest else member.name if member else name),
        "kind": kind,
        "what": safe(_what(block, member, box.rest)),
        "column": block.depth,
        "leaf": leaf,
        "top": box.start * height,
        "bottom": box.end * height,
        "macs_text": human(macs) if box.rest or block.macs is not None else f">={human(block.macs_at_least)}",
        "share": share,
        "params_text": "" if box.rest else human(block.params),
        "saved_text": "" if box.rest else human(block.macs_saved),
        "label": safe(label),
        "long": safe(f"{label} · {share}"),
        "ink": "currentColor" if kind == "block" else text_on(KIND_COLOURS[kind]),
    }


def _what(block: BlockCost, member: LayerCost | OtherLayer | None, rest: int) -> str:
    if rest:
        return "too small to be drawn one by one"
    if isinstance(member, LayerCost):
        return f"{member.kind} {channels_text(member)} {kernel_text(member)}"
    if member is not None:
        return member.op
    others = f", {block.others} other ops" if block.others else ""
    return f"{block.layers} convolutions{others}"


def _icicle(data: Sequence[Datum], height: int) -> alt.LayerChart:
    columns = 1 + max((datum["column"] for datum in data), default=0)
    for datum in data:
        right = columns if datum["leaf"] else datum["column"] + 1
        datum["left"], datum["right"] = datum["column"] / columns, right / columns
        datum["shown"] = datum["bottom"] - datum["top"] >= _READABLE
        datum["needs"], datum["needs_long"] = (_LETTER * len(datum[key]) + 10 for key in ("label", "long"))
    base = alt.Chart(inline(data)).encode(
        x=alt.X("left:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False)),
        y=alt.Y("top:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False)),
    )
    boxes = base.encode(x2="right:Q", y2="bottom:Q", tooltip=tooltip(_TOOLTIP))
    blocks_, leaves = "datum.kind === 'block'", "datum.kind !== 'block'"
    room = "(datum.right - datum.left) * width"
    fitting = {
        "long": f"datum.shown && {room} >= datum.needs_long",
        "label": f"datum.shown && {room} < datum.needs_long && {room} >= datum.needs",
    }
    texts = [
        base.mark_text(align="left", baseline="top", dx=5, dy=2, fontSize=11).encode(
            text=alt.when(condition).then(f"{field}:N").otherwise(alt.value("")),
            color=alt.Color("ink:N", scale=None),
        )
        for field, condition in fitting.items()
    ]
    coloured = [datum for datum in data if datum["kind"] != "block"]
    layers = [
        boxes.transform_filter(leaves)
        .mark_rect(x2Offset=-1, y2Offset=-1)
        .encode(
            color=kind_colour(coloured),
            stroke=if_chosen("currentColor", "transparent"),
            strokeWidth=if_chosen(3, 0),
        )
    ]
    return layered(
        boxes.transform_filter(blocks_).mark_rect(color=QUIET, opacity=0.22, x2Offset=-1, y2Offset=-1),
        *(layers if coloured else ()),  # a legend of nothing has no size
        *texts,
    )
