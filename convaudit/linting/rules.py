"""The table of rules: a row and a page for each code."""

from __future__ import annotations

from dataclasses import dataclass

from convaudit.records.findings import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRule:
    """One rule."""

    code: str
    name: str
    severity: Severity
    summary: str  # one sentence
    why: str = ""  # why it matters
    proof: str = ""  # how it is proven
    fix: str = ""  # what --fix does


def _table(*rules: LintRule) -> dict[str, LintRule]:
    return {rule.code: rule for rule in rules}


LINT_RULES = _table(
    LintRule(
        code="CA101",
        name="constant-filter",
        severity="warning",
        summary="A filter gives the same number everywhere.",
    ),
    LintRule(
        code="CA102", name="unread-channel", severity="warning", summary="Nothing reads a filter's output."
    ),
    LintRule(
        code="CA103",
        name="negligible-channel",
        severity="warning",
        summary="What a channel adds drowns in the rounding of the sums that it enters.",
    ),
    LintRule(code="CA104", name="duplicate-filter", severity="warning", summary="Two filters are the same."),
    LintRule(
        code="CA105",
        name="unused-input",
        severity="warning",
        summary="All weights that an input channel meets are zero, or the channel is constant.",
    ),
    LintRule(code="CA201", name="zero-border", severity="warning", summary="The kernel's border is zero."),
    LintRule(code="CA202", name="padding-tap", severity="warning", summary="Taps only ever meet padding."),
    LintRule(code="CA203", name="skipped-input", severity="info", summary="A stride skips what is computed."),
    LintRule(code="CA204", name="latent-groups", severity="warning", summary="A dense layer hides groups."),
    LintRule(code="CA301", name="denormal-weights", severity="info", summary="Weights are denormal numbers."),
    LintRule(code="CA302", name="non-finite-weights", severity="error", summary="Weights are not finite."),
    LintRule(
        code="CA401",
        name="punished-groups",
        severity="info",
        summary="The runtime's kernels make a layer's groups slower than fewer groups.",
    ),
)
"""By code."""
