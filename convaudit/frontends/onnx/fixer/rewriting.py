"""The network as a plan asks: stored tensors sliced, nodes told, constants folded, what is unread dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from convaudit.frontends.onnx.channels.facts import Facts, Mask
from convaudit.frontends.onnx.channels.plan import Plan
from convaudit.frontends.onnx.fixer import selecting, sizes
from convaudit.frontends.onnx.fixer.convolution import fix_convolution
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError, ChangedNode, Edit
from convaudit.frontends.onnx.fixer.folding import fix_gemm, fix_matmul
from convaudit.frontends.onnx.fixer.kernels import fix_kernel
from convaudit.frontends.onnx.fixer.nodes import readers
from convaudit.frontends.onnx.fixer.shuffling import fix_shuffle
from convaudit.frontends.onnx.fixer.stored import slice_stored
from convaudit.frontends.onnx.fixer.unread import drop_unread
from convaudit.frontends.onnx.graphs import Address, graphs
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.frontends.onnx.variant.base import without_names_by_position
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.walker import Walked

NODES: Mapping[str, tuple[Callable[[Edit, ChangedNode], None], ...]] = {
    "Split": (sizes.fix_split,),
    "Reshape": (sizes.fix_reshape,),
    "Pad": (sizes.fix_pad,),
    "Resize": (sizes.fix_resize,),
    "Shape": (sizes.fix_shape_of,),
    "Slice": (selecting.fix_slice,),
    "Gather": (selecting.fix_gather,),
    "Gemm": (fix_gemm,),
    "MatMul": (fix_matmul,),
    **dict.fromkeys(CONV_OPS, (fix_convolution, fix_kernel)),
}
"""What else changes of a node whose tensors shrink. Of all other ops, nothing does."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The smaller network's structure, its new tensors in a spill."""

    proto: ModelProto
    notes: tuple[str, ...]  # what else is no longer as it was


def rewritten(
    walked: Walked, facts: Facts, plan: Plan, spill: Spill, ignored: Mapping[str, Mask] | None = None
) -> Rewritten:
    """Take out of a network what a plan names.

    Args:
        walked: The network. It is not changed.
        facts: What is known of its tensors.
        plan: What is to go.
        spill: Where new tensors go.
        ignored: Kernels that are taken for zero, by the layer's name: (groups, out/groups, in/groups).

    Raises:
        CannotRewriteError: A node has no such form; it names the node.
        LoadError: Weights are missing.
    """
    edit = Edit(walked, facts, plan, spill, ignored)
    before = set(readers(edit.proto))
    slice_stored(edit)
    inner = {key for shuffle in plan.shuffles.values() for key in shuffle.inner}
    for site in edit.sites:
        try:
            if any(edit.home(site.scope, name) in inner for name in site.node.output):
                continue  # its place is taken by a Gather
            if site.address in plan.shuffles:
                fix_shuffle(edit, site, plan.shuffles[site.address])
                continue
            for change in NODES.get(op_of(site.node), ()):
                change(edit, site)
        except CannotRewriteError as error:
            raise CannotRewriteError(f"{site.node.name}: {error}") from None
    _insert(edit)
    _resize_declared(edit)
    drop_unread(edit.proto, before)
    without_names_by_position(edit.proto, walked.model.proto)
    return Rewritten(edit.proto, tuple(edit.notes))


def _insert(edit: Edit) -> None:
    """Put new nodes where they belong; bodies first, as inserting copies them."""
    by_graph: dict[Address, dict[int, tuple[list[NodeProto], list[NodeProto]]]] = {}
    for place, around in edit.inserted.items():
        by_graph.setdefault(place[:-1], {})[int(place[-1])] = around
    places = dict(graphs(edit.proto.graph))
    for place in sorted(by_graph, key=len, reverse=True):
        graph, nodes = places[place], []
        for index, node in enumerate(graph.node):
            before, after = by_graph[place].get(index, ([], []))
            copy = NodeProto()
            copy.CopyFrom(node)
            nodes += [*before, copy, *after]
        del graph.node[:]
        graph.node.extend(nodes)


def _resize_declared(edit: Edit) -> None:
    """Correct the sizes that the file declares of tensors inside."""
    for scope, _ in graphs(edit.walked.expanded.model.graph):
        kept = {name: axes for (home, name), axes in edit.plan.kept.items() if home == scope}
        if not kept:
            continue
        try:
            changed = edit.graph_of(scope)
        except (KeyError, IndexError):
            continue  # it is a function's
        for declared in (*changed.value_info, *changed.output, *changed.input):
            for axis, left in kept.get(declared.name, {}).items():
                dims = declared.type.tensor_type.shape.dim
                if axis < len(dims):
                    dims[axis].Clear()
                    dims[axis].dim_value = len(left)
