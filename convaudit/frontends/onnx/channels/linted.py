"""All claims about an ONNX model."""

from __future__ import annotations

from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.negligible import certified
from convaudit.frontends.onnx.channels.plan import make_plan
from convaudit.frontends.onnx.channels.within_rounding import further
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Linted


def lint_model(walked: Walked) -> Linted:
    """What a model carries for nothing.

    Raises:
        LoadError: Weights are missing.
    """
    facts = analyse(walked)
    claims = make_plan(walked, facts).claims
    ignored = certified(walked, facts)
    if ignored:
        rounded = make_plan(walked, analyse(walked, ignored)).claims
        claims += further(claims, rounded, "on every input, by bounds of the activations")
    return Linted(claims=claims, examined=frozenset(facts.weights), notes=facts.notes)
