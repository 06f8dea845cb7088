"""A check in Markdown, as a comment on a pull request or the summary of a job.

The summary comes first, what passed is folded, and all of it fits into a comment whatever was checked: what
has no room is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.reporters.outcomes import contributor_lines, overall, status_of, verdict
from convaudit.reporters.text import markdown_code, markdown_text, shorten

CHECK_MARK = "<!-- convaudit check -->"
"""First line of a check, by which a bot finds its earlier comment and replaces it."""
MOST_CHARACTERS = 60_000
"""GitHub takes 65,536 for a comment, and 1 MiB for the summaries of a step."""
_SUMMARY_SHARE = MOST_CHARACTERS // 3
"""What the table of the models may take of it; the rest is for what failed."""
_LONGEST_NAME = 200
_LONGEST_LINE = 1_000
_SIGNS = {"error": "🚫", "failed": "❌", "skipped": "➖", "passed": "✅"}
"""Of each result, the gravest first. Characters, not ``:names:``, which only some readers replace."""
_BAD = ("error", "failed")


def check_comment(models: Sequence[CheckedModel]) -> str:
    """A heading, one row a model, then each model's checks: what failed unfolded, what passed folded."""
    ordered = sorted(models, key=lambda model: [*_SIGNS].index(status_of(model)))
    parts = [CHECK_MARK, f"## convaudit: {overall(models)}", *_summary(ordered)]
    unfolded = [model for model in ordered if status_of(model) in _BAD]
    folded = [model for model in ordered if status_of(model) not in _BAD and model.outcomes]
    room = MOST_CHARACTERS - sum(map(len, parts))
    shown = [*_fitting(unfolded, room)]
    room -= sum(map(len, shown))
    inside = [*_fitting(folded, room)]
    if inside:
        title = f"<details><summary>{_models(len(folded))} without a failure</summary>"
        inside = [title, *inside, "</details>"]
    return "\n\n".join([*parts, *shown, *inside]) + "\n"


def _summary(models: Sequence[CheckedModel]) -> Iterator[str]:
    """A row for each model, as many as there is room for, and how many there is none for."""
    if not models:
        return
    rows = [f"| {_SIGNS[status_of(model)]} | {_name(model)} | {_result(model)} |" for model in models]
    kept = _that_fit(rows, _SUMMARY_SHARE)
    yield "\n".join(["|  | model | result |", "|---|---|---|", *rows[:kept]])
    if kept < len(rows):
        left = [status_of(model) for model in models[kept:]]
        bad = sum(status in _BAD for status in left)
        yield f"No room here for {_models(len(left))} more, {bad} of them with a failure: see `--json FILE`."


def _fitting(models: Sequence[CheckedModel], room: int) -> Iterator[str]:
    """Each model's section while there is room for it, then how many there is none for."""
    last = "No room here for the checks of {}: see `--json FILE`."
    room -= len(last) + 30
    for index, model in enumerate(models):
        section = _section(model, room)
        room -= len(section) + 2
        if room < 0:
            yield last.format(_models(len(models) - index))
            return
        yield section


def _section(model: CheckedModel, room: int) -> str:
    """One model's checks: those that failed come first, and only they if there is no room for all."""
    name = markdown_code(shorten(model.source, _LONGEST_NAME), in_table=False)
    head = f"### {name}: {verdict(model)}\n\n"
    if model.error is not None:
        return head + markdown_text(shorten(model.error, _LONGEST_LINE))
    outcomes = sorted(model.outcomes, key=lambda outcome: [*_SIGNS].index(outcome.status))
    rows = list(map(_row, outcomes))
    table = ["|  | check | finding |", "|---|---|---|"]
    kept = max(1, _that_fit(rows, room - len(head) - 200))
    more = f"\n\nand {len(rows) - kept} more checks: see `--json FILE`" if kept < len(rows) else ""
    return head + "\n".join([*table, *rows[:kept]]) + more


def _row(outcome: Outcome) -> str:
    lines = [shorten(line, _LONGEST_LINE) for line in (outcome.message, *contributor_lines(outcome))]
    return f"| {_SIGNS[outcome.status]} | `{outcome.rule}` | {'<br>'.join(map(markdown_text, lines))} |"


def _that_fit(rows: Sequence[str], room: int) -> int:
    """How many of the rows there is room for."""
    for index, row in enumerate(rows):
        room -= len(row) + 1
        if room < 0:
            return index
    return len(rows)


def _result(model: CheckedModel) -> str:
    """The verdict, and which checks failed."""
    failed = ", ".join(f"`{rule}`" for rule in dict.fromkeys(failure.rule for failure in model.failures))
    return f"{verdict(model)}: {failed}" if failed else verdict(model)


def _name(model: CheckedModel) -> str:
    return markdown_code(shorten(model.source, _LONGEST_NAME))


def _models(number: int) -> str:
    return f"{number} model{'s' * (number != 1)}"
