"""Legal ONNX that onnxruntime refuses, rewritten so that it runs.

It takes no ``auto_pad`` beside pads, which ONNX then ignores, and no SAME of a dilated kernel unless the
convolution is transposed.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto, helper

from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.shapes import Pair


def make_runnable(node: NodeProto, padding: Sequence[Pair] | None) -> None:
    """Change a convolution, in place, so that it computes the same; None: its padding is not known."""
    _drop_ignored_pads(node)
    if padding is not None and _is_dilated_same(node):
        _drop(node, "auto_pad")
        pads = [before for before, _ in padding] + [after for _, after in padding]
        node.attribute.append(helper.make_attribute("pads", pads))


def make_runnable_for_sizes(node: NodeProto) -> None:
    """Change any node, in place, so that its results have the same sizes, whatever their values are."""
    if op_of(node) in CONV_OPS:
        _drop_ignored_pads(node)
        if _is_dilated_same(node):
            _drop(node, "dilations")  # SAME says the output's size without them


def _drop_ignored_pads(node: NodeProto) -> None:
    if _auto_pad(node) != "NOTSET":
        _drop(node, "pads")


def _is_dilated_same(node: NodeProto) -> bool:
    if CONV_OPS[op_of(node)].transposed or not _auto_pad(node).startswith("SAME"):
        return False
    return any(step > 1 for step in Attributes(node, node.name).integers("dilations") or ())


def _auto_pad(node: NodeProto) -> str:
    return Attributes(node, node.name).string("auto_pad", "") or "NOTSET"


def _drop(node: NodeProto, name: str) -> None:
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
