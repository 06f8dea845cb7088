"""What a check says in words, whatever the format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from convaudit.checks.outcome import CheckedModel, Contributor, Outcome
from convaudit.reporters.text import printable

RESULTS = ("error", "failed", "skipped", "passed")
"""A model's result and, but for the first, a check's: the gravest first."""
_MOST = 3


def shown_contributors(outcome: Outcome) -> list[Contributor]:
    """The parts of the model to name where there is little room: three layers, and as many other parts."""
    layers, others = (
        [part for part in outcome.contributors if part.is_layer == is_layer][:_MOST]
        for is_layer in (True, False)
    )
    return [part for part in outcome.contributors if part in layers or part in others]


def contributor_lines(outcome: Outcome) -> list[str]:
    """The same in words, and how many more there are."""
    lines = list(map(contributor_text, shown_contributors(outcome)))
    more = len(outcome.contributors) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def contributor_text(contributor: Contributor) -> str:
    """``features.0.0: 10,838,016 (3.6%)``."""
    return printable(f"{contributor.name}: {contributor.detail}" if contributor.detail else contributor.name)


def verdict(model: CheckedModel) -> str:
    """One model's result in a few words."""
    if model.error is not None:
        return "could not be audited"
    number, failures = len(model.outcomes), len(model.failures)
    if not number:
        return "nothing checked"  # its baseline was written
    if failures:
        return f"{failures} of {number} checks failed"
    passed = sum(outcome.status == "passed" for outcome in model.outcomes)
    skipped = f", {number - passed} skipped" if passed < number else ""
    return (f"{passed} of {number} checks passed" if passed else "nothing checked") + skipped


def status_of(model: CheckedModel) -> str:
    """The gravest of a model's results: ``error``, ``failed``, ``skipped`` or ``passed``."""
    found = {"error"} if model.error is not None else {outcome.status for outcome in model.outcomes}
    return next((status for status in RESULTS if status in found), "passed")


def overall(models: Sequence[CheckedModel]) -> str:
    """All models' result in one line."""
    failed = sum(bool(model.failures) for model in models)
    broken = sum(model.error is not None for model in models)
    parts = [f"{failed} failed"] * bool(failed) + [f"{broken} could not be audited"] * bool(broken)
    return f"{len(models)} model{'s' * (len(models) != 1)} checked: {', '.join(parts) or _unbroken(models)}"


def _unbroken(models: Sequence[CheckedModel]) -> str:
    """What is not compared has not passed."""
    statuses = Counter(outcome.status for model in models for outcome in model.outcomes)
    if skipped := statuses["skipped"]:
        return f"nothing failed, {skipped} check{'s' * (skipped != 1)} skipped"
    return "all passed" if statuses else "nothing failed"
