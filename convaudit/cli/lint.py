"""``convaudit lint MODEL...``: what networks carry for nothing."""

from __future__ import annotations

from typing import Any

import click

from convaudit.cli.errors import ExitCode, note
from convaudit.cli.group import Command
from convaudit.cli.options import data_option, source_keywords, source_options
from convaudit.cli.output import write_result
from convaudit.reporters import FORMATS

_EPILOG = """
Examples:
  convaudit lint model.onnx

Exit codes:
  0  nothing is carried for nothing
  1  something is
  2  could not look: usage, or an unreadable or unsafe file
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@source_options
@data_option
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if something is found.")
def lint(models: tuple[str, ...], exit_zero: bool, **options: Any) -> None:
    """Find what each MODEL carries for nothing, with proofs."""
    from convaudit.lints import linted

    keywords = {**source_keywords(options), "data": options["data"]}
    reports = [linted(model, source_keywords=keywords) for model in models]
    for report in reports:
        for line in report.notes:
            note(line)
    write_result(FORMATS["table"].render("lint", reports), None)
    found = any(report.findings for report in reports)
    click.get_current_context().exit(ExitCode.FINDING if found and not exit_zero else ExitCode.OK)
