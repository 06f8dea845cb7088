"""``convaudit diff A B``: layer by layer, with the exit codes of diff(1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from convaudit.cli.errors import ExitCode, report_failure
from convaudit.cli.group import Command
from convaudit.cli.options import source_keywords, source_options
from convaudit.cli.output import write_result
from convaudit.cli.view import output_options
from convaudit.errors import UsageError
from convaudit.frontends import names_code
from convaudit.reporters import FORMATS, View, chosen_format

if TYPE_CHECKING:
    from convaudit.report import Report

_EPILOG = """
Examples:
  convaudit diff before.onnx after.onnx
  convaudit diff torchvision:mobilenet_v2 exported.onnx -i 1x3x224x224
  convaudit diff main.onnx branch.onnx -o comment.md

Layers are matched by what they compute and by name; a new name or place alone is not a difference.

Exit codes:
  0  equal
  1  they differ
  2  could not audit one of them
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@source_options
@output_options("diff")
def diff(before: str, after: str, format_name: str | None, output: str | None, **options: Any) -> None:
    """Compare two models: layers added, removed and changed, and the totals."""
    from convaudit.checks.diff import difference_of
    from convaudit.reporters.grid import terminal_width

    name = chosen_format("diff", format_name, output)
    view = View(width=terminal_width() if output is None else None)
    difference = difference_of(*audited_pair([before, after], source_keywords(options)))
    write_result(FORMATS[name].render("diff", difference, view), output)
    click.get_current_context().exit(ExitCode.OK if difference.equal else ExitCode.FINDING)


def audited_pair(sources: list[str], keywords: dict[str, Any]) -> list[Report]:
    """The reports of both models, each with what of the options concerns it.

    Arguments of a factory go to factories, and a dimension is fixed in the models that leave it open.

    Raises:
        UsageError: Neither model has the dimension.
    """
    dims, kwargs = keywords.pop("dims"), keywords.pop("kwargs")
    factories = list(filter(names_code, sources)) or sources
    own = [{**keywords, "kwargs": kwargs if source in factories else None} for source in sources]
    reports = list(map(_audited, sources, own))
    stray = sorted(set(dims).difference(*(report.symbols for report in reports)))
    if stray:
        raise UsageError(f"neither {sources[0]} nor {sources[1]} has an open dimension {stray[0]!r}")
    for i, report in enumerate(reports):
        known = {name: dims[name] for name in report.symbols if name in dims}
        if known:
            reports[i] = _audited(sources[i], {**own[i], "dims": known})
    return reports


def _audited(source: str, keywords: Mapping[str, Any]) -> Report:
    from convaudit.api import audit

    try:
        return audit(source, **keywords)
    except Exception as error:
        report_failure(error, source)
        click.get_current_context().exit(ExitCode.TROUBLE)
