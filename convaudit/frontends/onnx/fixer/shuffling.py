"""A channel shuffle of which channels go: one Gather in its place."""

from __future__ import annotations

import numpy as np
from onnx import helper

from convaudit.frontends.onnx.channels.ties.reshaping import Shuffle
from convaudit.frontends.onnx.fixer.edit import ChangedNode, Edit, places_in


def fix_shuffle(edit: Edit, site: ChangedNode, shuffle: Shuffle) -> None:
    """Let the last node of a Reshape, a Transpose and a Reshape be a Gather of what went in.

    Raises:
        CannotRewriteError: It would read what is to go.
    """
    kept = edit.plan.kept
    whole = np.arange(len(shuffle.order))
    source = kept.get(shuffle.source, {}).get(shuffle.axis, whole)
    wanted = shuffle.order[kept.get(shuffle.target, {}).get(shuffle.axis, whole)]
    indices = edit.add(site, places_in(source, wanted).astype(np.int64), f"{site.node.output[0]}.order")
    gather = helper.make_node("Gather", [shuffle.source[1], indices], [shuffle.target[1]], axis=shuffle.axis)
    gather.name, gather.doc_string = site.node.name, site.node.doc_string
    site.node.CopyFrom(gather)
