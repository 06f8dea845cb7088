"""The blocks that a model's names tell of, as a tree: what each of them costs.

A name is a path: of modules (``layer1.0.conv1``), or of the scopes that exporters write, in which a part
repeats the one before it (``/layer1/layer1.0/conv1/Conv``). Names come from files that nobody vouches for:
the tree is built without recursion, and what lies deeper than ``DEEPEST`` parts counts as one part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from convaudit.analyzer.costs import stored_sizes
from convaudit.analyzer.totals import exclusive_sum
from convaudit.formulas import product
from convaudit.formulas.values import value_at
from convaudit.records import AuditReport, LayerCost, OtherLayer

DEEPEST = 32
"""Parts of a path; what is deeper is one part."""

Member: TypeAlias = LayerCost | OtherLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCost:
    """A block of the model, or, at a leaf, one op of it. Counts are of one run, over all calls.

    Sums add up: a block's are those of its children, but for the MACs of exclusive branches, of which each
    block counts the costliest. A tensor that several layers share counts in the first of them.
    """

    path: tuple[str, ...]  # parts of the names below it; () is the whole model
    label: str  # the parts that its parent's path does not have
    parent: int | None  # where its parent stands in the tree; None: it is the root
    depth: int  # 0 is the root
    member: Member | None = None  # the op that a leaf is; None: it is a block
    layers: int = 0  # convolutions in it
    others: int = 0  # other multiplying ops in it
    params: int | None = 0  # elements of stored tensors
    macs: int | None = 0  # None: a part of it is unknown
    macs_at_least: int = 0  # the sum of the parts that are known
    dense_macs: int | None = 0  # with groups=1 throughout

    @property
    def macs_saved(self) -> int | None:
        """MACs that ``groups`` saves."""
        return None if self.macs is None or self.dense_macs is None else self.dense_macs - self.macs


def blocks(report: AuditReport, sizes: Mapping[str, int]) -> tuple[BlockCost, ...]:
    """The tree of a model's blocks, each before its children, these in the model's order.

    A block with one child only is one with it, so every block that is listed says something.

    Args:
        report: What an audit found.
        sizes: A size for each dimension that the counts leave open: see ``convaudit.analyzer.examples``.

    Returns:
        The root first; at the leaves the convolutions and the other multiplying ops, each once.

    >>> from convaudit.analyzer import analyze
    >>> from convaudit.records import ConvLayer, Network
    >>> rows = [
    ...     ConvLayer(name=name, op="Conv", in_channels=2, out_channels=2, kernel_size=(1,), stride=(1,),
    ...               padding=((0, 0),), dilation=(1,), output_shape=(1, 2, 5), weight_name=name)
    ...     for name in ("/stem/Conv", "/body/body.0/conv/Conv", "/body/body.1/conv/Conv")
    ... ]
    >>> report = analyze(Network(source="m", format="onnx", inputs=(), layers=tuple(rows)))
    >>> [(block.depth, block.label, block.macs) for block in blocks(report, {})]
    [(0, '', 60), (1, 'stem', 20), (1, 'body', 40), (2, '0.conv', 20), (2, '1.conv', 20)]
    """
    members: list[Member] = [*report.layers, *report.other_layers]
    tree = _Tree()
    for member in members:
        tree.insert(path_of(member), member)
    found = tree.flattened()
    unseen = any(other.macs is None for other in report.other_ops)
    found = _summed(found, sizes)
    return (replace(found[0], macs=None), *found[1:]) if unseen else tuple(found)


def cost_of_all(members: Iterable[Member], sizes: Mapping[str, int]) -> BlockCost:
    """What some ops of a model add up to, as a block of them would: shared tensors once, calls multiplied."""
    root = BlockCost(path=(), label="", parent=None, depth=0)
    leaves = [BlockCost(path=(), label="", parent=0, depth=1, member=member) for member in members]
    return _summed([root, *leaves], sizes)[0]


def path_of(member: Member) -> tuple[str, ...]:
    """The parts of a name; what an exporter repeats is said once.

    A name without parts takes those of the weight: torch's exporters name nodes by number, weights by module.

    >>> from convaudit.records import OtherLayer
    >>> path_of(OtherLayer(name="/features/features.1/conv/conv.0/Gemm", op="Gemm", params=0, macs=0))
    ('features', '1', 'conv', '0', 'Gemm')
    """
    name, weight = member.name, member.weight_name or ""
    parts = _parts(name)
    if len(parts) < 2 and "." in weight and "/" not in weight:
        parts = _parts(weight)[:-1]
    if len(parts) > DEEPEST:
        parts = [*parts[: DEEPEST - 1], ".".join(parts[DEEPEST - 1 :])]
    return tuple(parts)


def _parts(name: str) -> list[str]:
    found: list[str] = []
    before = ""
    for scope in name.split("/"):
        part = scope.removeprefix(f"{before}.") if before else scope
        found += [word for word in part.split(".") if word]
        before = scope or before
    return found or [name]


class _Tree:
    """Names joined at their common beginnings."""

    def __init__(self) -> None:
        self._below: dict[tuple[int, str], int] = {}  # of a block and a part: the block there
        self._parts: list[str] = [""]
        self._inside: list[list[int | tuple[str, Member]]] = [[]]  # of each block: blocks and leaves

    def insert(self, path: Sequence[str], member: Member) -> None:
        """A leaf, and the blocks on the way to it."""
        block = 0
        for part in path[:-1]:
            following = self._below.setdefault((block, part), len(self._parts))
            if following == len(self._parts):
                self._parts.append(part)
                self._inside.append([])
                self._inside[block].append(following)
            block = following
        self._inside[block].append((path[-1], member))

    def flattened(self) -> list[BlockCost]:
        """Each block before its children; those with one child joined with it."""
        found: list[BlockCost] = []
        waiting: list[tuple[int | tuple[str, Member], int | None, int]] = [(0, None, 0)]
        while waiting:
            item, parent, depth = waiting.pop()
            above = () if parent is None else found[parent].path
            label: list[str] = []
            while not isinstance(item, tuple):
                label += [self._parts[item]] if item else []
                inside = self._inside[item]
                if len(inside) != 1 or (parent is None and isinstance(inside[0], tuple)):
                    break
                item = inside[0]
            leaf = isinstance(item, tuple)
            if isinstance(item, tuple) and not (label and _is_op(*item)):
                label.append(item[0])
            block = BlockCost(
                path=(*above, *label),
                label=".".join(label),
                parent=parent,
                depth=depth,
                member=item[1] if isinstance(item, tuple) else None,
            )
            if not leaf and isinstance(item, int):
                waiting += [(child, len(found), depth + 1) for child in reversed(self._inside[item])]
            found.append(block)
        return found


def _is_op(part: str, member: Member) -> bool:
    """Whether a name's last part only says what the op is."""
    return re.fullmatch(rf"{re.escape(member.op)}(_\d+)?", part) is not None


_SUMS = ("layers", "others", "params", "macs", "macs_at_least", "dense_macs")


def _summed(tree: Sequence[BlockCost], sizes: Mapping[str, int]) -> list[BlockCost]:
    """The blocks with the sums of what is in them: each is added to its parent, the last one first."""
    seen: set[str] = set()
    leaves = [_counted(block, sizes, seen) for block in tree]
    sums = [[getattr(block, name) for name in _SUMS] for block in leaves]
    for block, counts in zip(reversed(leaves), reversed(sums), strict=True):
        if block.parent is not None:
            sums[block.parent] = list(map(_plus, sums[block.parent], counts))
    found = [
        replace(block, **dict(zip(_SUMS, counts, strict=True)))
        for block, counts in zip(leaves, sums, strict=True)
    ]
    return _without_alternatives(found)


def _plus(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _counted(block: BlockCost, sizes: Mapping[str, int], seen: set[str]) -> BlockCost:
    """A leaf with its own costs; ``seen`` holds the tensors that earlier ones have counted."""
    member = block.member
    if member is None:
        return block
    calls, macs = value_at(member.calls, sizes), value_at(member.macs, sizes)
    total = None if calls is None or macs is None else calls * macs
    convolution = isinstance(member, LayerCost)
    return replace(
        block,
        layers=int(convolution),
        others=int(not convolution),
        params=_stored(member, sizes, seen),
        macs=total,
        macs_at_least=total or 0,
        dense_macs=total if not isinstance(member, LayerCost) else _dense(member, calls, sizes),
    )


def _dense(layer: LayerCost, calls: int | None, sizes: Mapping[str, int]) -> int | None:
    dense = value_at(layer.dense_macs, sizes)
    return None if dense is None or calls is None else dense * calls


def _stored(member: Member, sizes: Mapping[str, int], seen: set[str]) -> int | None:
    """Elements of the tensors that no earlier op has counted."""
    if isinstance(member, LayerCost):
        tensors = [(name, elements) for name, elements, _ in stored_sizes(member)]
    elif member.stored:
        tensors = [(info.name, product(info.shape)) for info in member.stored]
    else:
        tensors = [(member.weight_name or "", member.params)]
    total: int | None = 0
    for name, elements in tensors:
        if name not in seen:
            total = _plus(total, value_at(elements, sizes))
        seen |= {name} if name else set()
    return total


def _without_alternatives(tree: list[BlockCost]) -> list[BlockCost]:
    """Of exclusive branches each block counts the costliest only; most models have none."""
    inside: dict[int, list[BlockCost]] = {}
    for leaf in tree:
        if leaf.member is not None and leaf.member.branches:
            inside |= {block: [] for block in _above(leaf, tree)}
    if inside:
        for leaf in tree:
            for block in _above(leaf, tree) if leaf.member is not None else ():
                if block in inside:
                    inside[block].append(leaf)
    for block, leaves in inside.items():
        tree[block] = replace(
            tree[block],
            macs=_exclusive(leaves, "macs"),
            macs_at_least=_exclusive(leaves, "macs_at_least"),
            dense_macs=_exclusive(leaves, "dense_macs"),
        )
    return tree


def _above(block: BlockCost, tree: Sequence[BlockCost]) -> Iterator[int]:
    """Where the blocks stand in the tree that one is in, the innermost first."""
    while block.parent is not None:
        yield block.parent
        block = tree[block.parent]


def _exclusive(leaves: Sequence[BlockCost], count: str) -> Any:
    return exclusive_sum(
        (leaf.member.branches if leaf.member is not None else (), getattr(leaf, count)) for leaf in leaves
    )
