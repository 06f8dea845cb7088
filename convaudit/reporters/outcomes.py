"""What checks found, for people: as text for a log, as Markdown for a pull request or a job's summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from convaudit.checks.outcome import CheckedModel, Culprit, Outcome
from convaudit.reporters.text import markdown_code, markdown_text, printable

MARKDOWN_MARK = "<!-- convaudit check -->"
"""First line of the Markdown, by which a bot finds its earlier comment and replaces it."""
_MOST = 3
_SIGNS = {"passed": ":white_check_mark:", "failed": ":x:", "skipped": ":heavy_minus_sign:"}


def shown_culprits(outcome: Outcome) -> list[Culprit]:
    """The parts of the model to name where there is little room: three layers, and as many other parts."""
    layers, others = (
        [part for part in outcome.culprits if part.is_layer == is_layer][:_MOST] for is_layer in (True, False)
    )
    return [part for part in outcome.culprits if part in layers or part in others]


def culprit_lines(outcome: Outcome) -> list[str]:
    """The same in words, and how many more there are."""
    lines = list(map(culprit_text, shown_culprits(outcome)))
    more = len(outcome.culprits) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def culprit_text(culprit: Culprit) -> str:
    """``features.0.0: 10,838,016 (3.6%)``."""
    return printable(f"{culprit.name}: {culprit.detail}" if culprit.detail else culprit.name)


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
    return f"{passed} of {number} checks passed"


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


def render_outcomes_text(models: Sequence[CheckedModel]) -> str:
    """One block a model, one line an outcome, what it rests on below, and a last line for all.

    Why a model could not be audited is not repeated: it went to standard error.
    """
    return "\n".join([*(line for model in models for line in _text_block(model)), overall(models)]) + "\n"


def _text_block(model: CheckedModel) -> Iterator[str]:
    yield f"{printable(model.source)}: {verdict(model)}"
    width = max((len(outcome.rule) for outcome in model.outcomes), default=0)
    for outcome in model.outcomes:
        status = outcome.status.upper() if outcome.status == "failed" else outcome.status
        yield f"  {status:7}  {outcome.rule:{width}}  {printable(outcome.message)}"
        for line in culprit_lines(outcome):
            yield f"{'':{width + 13}}{line}"
    yield ""


def render_outcomes_markdown(models: Sequence[CheckedModel]) -> str:
    """A heading, and a table for each model, in GitHub's and GitLab's dialect."""
    blocks = [MARKDOWN_MARK, f"## convaudit: {overall(models)}"]
    for model in models:
        blocks.append(f"### {markdown_code(model.source)}: {verdict(model)}")
        blocks.append(markdown_text(model.error) if model.error is not None else _markdown_rows(model))
    return "\n\n".join(blocks) + "\n"


def _markdown_rows(model: CheckedModel) -> str:
    rows = ["|  | check | finding |", "|---|---|---|"]
    for outcome in model.outcomes:
        finding = "<br>".join(map(markdown_text, [outcome.message, *culprit_lines(outcome)]))
        rows.append(f"| {_SIGNS[outcome.status]} | `{outcome.rule}` | {finding} |")
    return "\n".join(rows)
