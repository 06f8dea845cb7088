"""If, whose result is that of one of two bodies. What Loop and Scan give is never constant here."""

from __future__ import annotations

import numpy as np

from convaudit.frontends.onnx.channels.facts import KnownElements
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, all_wanted
from convaudit.frontends.onnx.graphs import bodies


def _joined(site: Site) -> Results:
    """What both bodies give alike."""
    arms = [
        [site.tensors.key((*site.address, name), output.name) for output in graph.output]
        for name, graph in bodies(site.node)
    ]
    results: list[KnownElements | None] = []
    for keys in zip(*arms, strict=True):
        known = [None if key is None else site.tensors.of(key) for key in keys]
        results.append(_common(known[0], known[1]) if len(known) == 2 else None)
    return results


def _common(first: KnownElements | None, second: KnownElements | None) -> KnownElements | None:
    if first is None or second is None or first.values.ndim != second.values.ndim:
        return None
    same = first.mask & second.mask & (first.values == second.values)
    return KnownElements(np.asarray(same), first.values)


CONTROL_OPS = {"If": Transfer(_joined, all_wanted)}
