"""What was taken out of a network, and what proves that it computes the same, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from convaudit.analyzer import analyze
from convaudit.formulas import Count
from convaudit.formulas.proportion import ratio
from convaudit.linting.rules import LINT_RULES
from convaudit.records.findings import Fixed
from convaudit.records.twins import OutputDifference
from convaudit.records.verification import status_words
from convaudit.reporters.text import counted, listed, printable
from convaudit.units import human

_MOST = 5
"""Outputs that are told one by one."""


def fix_lines(made: Fixed) -> list[str]:
    """The file, what became of its size, parameters and MACs, and what verified it."""
    files = listed([f"{name} ({human(size, 'B')})" for name, size in made.files])
    totals = [analyze(network).totals for network in (made.before, made.after)]
    found = Counter(f"{claim.rule} {LINT_RULES[claim.rule].name}" for claim in made.applied)
    size = f"size {_became(made.sizes.get('before'), made.sizes.get('after'), 'B')}, " if made.sizes else ""
    lines = [
        f"{files}: {counted([('finding' if len(made.applied) == 1 else 'findings', len(made.applied))])} "
        f"taken out: {counted(found.items())}",
        f"{size}conv params {_became(totals[0].params, totals[1].params)}, "
        f"MACs {_became(totals[0].macs, totals[1].macs)}",
        *_proof(made),
    ]
    return [printable(line) for line in lines]


def fix_remarks(made: Fixed) -> list[str]:
    """What is left, with the reasons, and what else is not as it was."""
    lines = [
        f"left: {claim.rule} {claim.layer}: {claim.message}; {claim.reason or 'there is no fix'}"
        for claim in made.left
    ]
    return [printable(line) for line in (*lines, *(f"note: {note}" for note in made.notes))]


def _proof(made: Fixed) -> Iterator[str]:
    if made.verified is None:
        yield "UNVERIFIED: the model does not run here, so its outputs are not held against the original's"
        return
    runtime, verdicts = made.verified.runtime, made.verified.verdicts
    statuses = Counter(status_words(verdict.status) for verdict in verdicts)
    inputs = "the given input"
    if runtime.seed is not None:
        inputs = f"{made.runs} random inputs (seeds {runtime.seed} to {runtime.seed + made.runs - 1})"
    yield (
        f"verified with {runtime.name} {runtime.version}, {runtime.provider}: its convolutions: "
        f"{counted(statuses.items())}; outputs beside the original's on {inputs}"
    )
    ordered = sorted(made.outputs, key=lambda output: -output.distance)
    yield from map(_difference, ordered[:_MOST])
    if len(ordered) > _MOST:
        yield f"{len(ordered) - _MOST} more outputs differ by less"


def _difference(output: OutputDifference) -> str:
    if not output.largest:
        return f"output {output.name}: the same bit for bit"
    return (
        f"output {output.name}: differs by {output.distance:.2g} of its size, {output.largest:.2g} at most "
        f"in one element; the original's optimisation levels differ by {output.noise:.2g}, "
        f"and rounding explains {output.limit:.2g}"
    )


def _became(before: Count | None, after: Count | None, unit: str = "") -> str:
    share = ratio(after, before)
    change = "" if share is None else f" ({share - 1:+.1%})"
    return f"{human(before, unit)} -> {human(after, unit)}{change}"
