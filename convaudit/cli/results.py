"""Where the results of a check go: standard output, files, and what GitHub Actions reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import click

from convaudit.checks.outcome import CheckedModel
from convaudit.cli.output import write_document, write_result
from convaudit.errors import UsageError
from convaudit.reporters import DEFAULT_FORMAT, FORMATS


def write_outputs(
    checked: Sequence[CheckedModel], name: str, output: str | None, paths: Mapping[str, str | None]
) -> None:
    """The result in one format, and a file for each other one that has a path."""
    write_document("check", checked, name, output)
    for other, path in paths.items():
        if path:
            write_document("check", checked, other, path)


def write_github(checked: Sequence[CheckedModel], name: str, output: str | None) -> None:
    """Annotations, and the job's summary behind what other steps wrote to it.

    The runner reads commands in both streams: where a document for programs goes to standard output, they
    go to standard error.
    """
    commands = FORMATS["github"].render("check", checked)
    if name == DEFAULT_FORMAT or output not in (None, "-"):
        write_result(commands, None)
    elif name != "github":
        click.echo(commands, nl=False, err=True)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(FORMATS["markdown"].render("check", checked))
        except OSError as error:
            raise UsageError(f"cannot write GITHUB_STEP_SUMMARY: {error}") from error
