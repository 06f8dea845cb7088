"""Whether it pays to take shared vectors apart: what copies add against what goes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from math import prod

import numpy as np
from onnx import helper

from convaudit.errors import LoadError
from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.plan import Plan
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Claim

COSTS_MORE = "a vector that others read too would be stored once more, which is larger than what goes"
_FORM = 32
"""Bytes of a stored tensor beside its elements, about: its name, its dims."""


def pays(walked: Walked, plan: Plan, copies: Mapping[str, str]) -> bool:
    """Whether a plan leaves a model smaller, or no vector in more forms than before.

    Args:
        walked: The model of ``with_own_vectors``.
        plan: What is to go from it.
        copies: Names of its copies, with those of their originals.
    """
    members = {*copies, *copies.values()}
    parted = {copies.get(name, name) for scope, name in plan.kept if not scope and name in members}
    if not parted:
        return True
    try:
        vectors = _vectors(walked, [name for name in members if copies.get(name, name) in parted])
    except LoadError:
        return False
    before = {(copies.get(name, name), array.tobytes()) for name, array in vectors.items()}
    after = {
        (copies.get(name, name), _left(array, plan.kept.get(((), name), {})).tobytes())
        for name, array in vectors.items()
    }
    more = sum(len(data) + _FORM for _, data in after) - sum(len(data) + _FORM for _, data in before)
    return more <= 0 or more < _saved(walked, plan, members)


def as_left(claims: Iterable[Claim], without: Iterable[Claim]) -> tuple[Claim, ...]:
    """Claims of a model whose vectors stay shared, with the reason of those that could go without that."""
    able = {claim.key for claim in without if claim.fixable}
    return tuple(
        replace(claim, reason=COSTS_MORE) if not claim.fixable and claim.key in able else claim
        for claim in claims
    )


def _vectors(walked: Walked, names: Collection[str]) -> dict[str, np.ndarray]:
    main = walked.expanded.graphs.at(())
    tensors = {name: main.stored(name) for name in names}
    return {name: np.asarray(walked.model.array(one)) for name, one in tensors.items() if one is not None}


def _left(array: np.ndarray, kept: Mapping[int, Indices]) -> np.ndarray:
    for axis, indices in kept.items():
        array = np.take(array, indices, axis=axis)
    return array


def _saved(walked: Walked, plan: Plan, but: Collection[str]) -> int:
    """Bytes of stored tensors that go."""
    saved = 0
    for (scope, name), kept in plan.kept.items():
        tensor = None if not scope and name in but else walked.expanded.graphs.at(scope).stored(name)
        if tensor is not None:
            sizes = [len(kept[axis]) if axis in kept else size for axis, size in enumerate(tensor.dims)]
            width = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            saved += (prod(tensor.dims) - prod(sizes)) * width
    return saved
