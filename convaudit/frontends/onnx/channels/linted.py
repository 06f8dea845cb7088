"""All claims about an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convaudit.engine.operands import Array
from convaudit.frontends import LintRequest
from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import Mask
from convaudit.frontends.onnx.channels.plan import make_plan
from convaudit.frontends.onnx.channels.skipped import skipped_claims
from convaudit.frontends.onnx.channels.within_rounding import claims_within_rounding, ignored_kernels
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Claim, Linted


def lint_model(
    walked: Walked,
    how: LintRequest | None = None,
    settings: Settings | None = None,
    data: Mapping[str, Array] | None = None,
) -> Linted:
    """What a model carries for nothing.

    Args:
        walked: The model.
        how: What may be done to find it; None: nothing is run.
        settings: How it is run, where it is; None: as ``Settings`` says.
        data: Values of its inputs by name; None: random ones.

    Raises:
        LoadError: Weights are missing.
    """
    facts = analyse(walked)
    claims = make_plan(walked, facts).claims

    def claims_of(ignored: Mapping[str, Mask]) -> Sequence[Claim]:
        return make_plan(walked, analyse(walked, ignored)).claims

    steps, notes = ignored_kernels(walked, facts, how, settings or Settings(), data)
    claims += claims_within_rounding(claims, steps, claims_of)
    claims += skipped_claims(walked)
    return Linted(claims=claims, examined=frozenset(facts.weights), notes=(*facts.notes, *notes))
