"""All claims about an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from convaudit.engine.operands import Array
from convaudit.frontends import LintRequest
from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import Mask
from convaudit.frontends.onnx.channels.own_vectors import with_own_vectors
from convaudit.frontends.onnx.channels.paying import as_left, pays
from convaudit.frontends.onnx.channels.plan import make_plan
from convaudit.frontends.onnx.channels.skipped import skipped_claims
from convaudit.frontends.onnx.channels.within_rounding import claims_within_rounding, ignored_kernels
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.walker import Walked, walk_onnx
from convaudit.records.findings import Claim, Linted

SIZES_GIVEN = "it holds only for the sizes given"
"""Why what is proven with sizes that the file leaves open stays."""


def lint_model(
    walked: Walked,
    how: LintRequest | None = None,
    settings: Settings | None = None,
    data: Mapping[str, Array] | None = None,
) -> Linted:
    """What a model carries for nothing; only what holds for all sizes that its file leaves open is fixable.

    Args:
        walked: The model.
        how: What may be done to find it; None: nothing is run.
        settings: How it is run, where it is; None: as ``Settings`` says.
        data: Values of its inputs by name; None: random ones.

    Raises:
        LoadError: Weights are missing.
    """
    found = _found(walked, how, settings, data)
    if not any(claim.fixable for claim in found.claims) or not _has_given_sizes(walked):
        return found
    always = walk_onnx(walked.model, allow_run=False)
    if always.network.layers == walked.network.layers:
        return found
    able = {one.key for one in _found(always).claims if one.fixable}
    claims = [
        replace(one, fixable=False, reason=SIZES_GIVEN) if one.fixable and one.key not in able else one
        for one in found.claims
    ]
    return replace(found, claims=tuple(claims))


def _has_given_sizes(walked: Walked) -> bool:
    """Whether sizes come from elsewhere than the file: from the caller, or from a run."""
    shapes = {tensor.name: tensor.shape for tensor in walked.network.inputs}
    for info in walked.model.proto.graph.input:
        declared = info.type.tensor_type.shape.dim
        given = shapes.get(info.name) or ()
        if not info.type.tensor_type.HasField("shape") or len(given) != len(declared):
            return True
        if any(
            isinstance(size, int) and not dim.dim_value for size, dim in zip(given, declared, strict=True)
        ):
            return True
    return any(layer.shapes_from for layer in walked.network.layers)


def _found(
    walked: Walked,
    how: LintRequest | None = None,
    settings: Settings | None = None,
    data: Mapping[str, Array] | None = None,
) -> Linted:
    shared = walked
    walked, copies = with_own_vectors(shared)
    facts = analyse(walked)
    plan = make_plan(walked, facts)
    claims = plan.claims
    if not pays(walked, plan, copies):
        walked, facts = shared, analyse(shared)
        claims = as_left(make_plan(walked, facts).claims, claims)

    def claims_of(ignored: Mapping[str, Mask]) -> Sequence[Claim]:
        return make_plan(walked, analyse(walked, ignored)).claims

    steps, notes = ignored_kernels(walked, facts, how, settings or Settings(), data)
    claims += claims_within_rounding(claims, steps, claims_of)
    claims += skipped_claims(walked)
    return Linted(claims=claims, examined=frozenset(facts.weights), notes=(*facts.notes, *notes))
