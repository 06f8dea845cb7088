"""What was made of a network with groups=1, and what proves it, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from convaudit.analyzer import analyze
from convaudit.formulas import Count
from convaudit.formulas.proportion import ratio
from convaudit.records.twins import OutputDifference, Twinned
from convaudit.records.verification import status_words
from convaudit.reporters.text import counted, listed, printable
from convaudit.units import human

_TELLING = 0.1
"""Relative distance that rounding must not explain for an output to tell anything."""


def twin_lines(made: Twinned) -> list[str]:
    """The file, its size, what its parameters and MACs became, and what verified it."""
    files = listed([f"{name} ({human(size, 'B')})" for name, size in made.files])
    totals = [analyze(network).totals for network in (made.before, made.after)]
    runtime = made.verified.runtime
    lines = [
        f"{files}: {len(made.changed)} of {len(made.after.layers)} convolutions changed to groups=1",
        f"parameters {_became(totals[0].model_params, totals[1].model_params)}, "
        f"MACs {_became(totals[0].model_macs or totals[0].macs, totals[1].model_macs or totals[1].macs)}",
        f"verified with {runtime.name} {runtime.version}, {runtime.provider}: each new weight bit for bit; "
        f"convolutions of the twin: {_verdicts(made)}; outputs beside the original's on {_inputs(made)}",
        *_differences(made),
    ]
    return [printable(line) for line in lines]


def twin_remarks(made: Twinned) -> list[str]:
    """What keeps its groups, and what else is not as it was."""
    lines = [f"{name} keeps its groups: {reason}" for name, reason in made.left.items()]
    return [printable(line) for line in (*lines, *(f"note: {note}" for note in made.notes))]


def _became(before: Count | None, after: Count | None) -> str:
    share = ratio(after, before)
    times = "" if share is None else f" ({share:.2f}x)"
    return f"{human(before)} -> {human(after)}{times}"


def _verdicts(made: Twinned) -> str:
    found = Counter(verdict.status for verdict in made.verified.verdicts)
    return counted((status_words(status), number) for status, number in found.items())


def _inputs(made: Twinned) -> str:
    seed = made.verified.runtime.seed
    return (
        "the given input"
        if seed is None
        else f"{made.runs} random inputs (seeds {seed} to {seed + made.runs - 1})"
    )


def _difference(output: OutputDifference) -> str:
    told = "" if output.limit < _TELLING else ", so it tells nothing: try --data with real input"
    return (
        f"output {output.name}: differs by {output.distance:.2g} of its size, {output.largest:.2g} at most "
        f"in one element; the original's optimisation levels differ by {output.noise:.2g}, "
        f"and rounding explains {output.limit:.2g}{told}"
    )


def _differences(made: Twinned, most: int = 5) -> Iterator[str]:
    """The outputs that differ most."""
    ordered = sorted(made.outputs, key=lambda output: -output.distance)
    yield from map(_difference, ordered[:most])
    if len(ordered) > most:
        yield f"{len(ordered) - most} more outputs differ by less"
