"""``convaudit diff A B``: layer by layer, with the exit codes of diff(1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from convaudit.cli.errors import ExitCode, report_failure
from convaudit.cli.group import Command
from convaudit.cli.options import (
    Decorated,
    data_option,
    decorated,
    provider_option,
    source_keywords,
    source_options,
    threads_option,
    time_budget_option,
)
from convaudit.cli.output import check_output, write_document
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import MODEL
from convaudit.cli.view import output_options
from convaudit.errors import UsageError
from convaudit.frontends import names_code
from convaudit.reporters import View, chosen_format
from convaudit.requests import diff_request

if TYPE_CHECKING:
    from convaudit.alternating import Opened
    from convaudit.checks import Difference
    from convaudit.frontends import TimeRequest

_EPILOG = """
Examples:
  convaudit diff before.onnx after.onnx
  convaudit diff torchvision:mobilenet_v2 exported.onnx -i 1x3x224x224
  convaudit diff main.onnx branch.onnx -o comment.md
  convaudit diff float.onnx int8.onnx --time   what each change is worth

Layers are matched by what they compute and by name; a new name or place alone
is not a difference.

Exit codes:
  0  equal
  1  they differ
  2  could not audit one of them
"""


def _time_options(command: Decorated) -> Decorated:
    return decorated(
        command,
        click.option(
            "--time", is_flag=True, help="Run both in turn: what each change promised, and what it is worth."
        ),
        time_budget_option,
        data_option,
        provider_option,
        threads_option("timing", "1"),
        section="Time",
    )


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("before", type=MODEL, metavar="A")
@click.argument("after", type=MODEL, metavar="B")
@source_options
@_time_options
@output_options("diff")
def diff(before: str, after: str, format_name: str | None, output: str | None, **options: Any) -> None:
    """Compare two models: layers added, removed and changed, and the totals."""
    from convaudit.checks.diff import difference_of
    from convaudit.reporters.grid import terminal_width

    check_output(output, before, after, options["data"])
    name = chosen_format("diff", format_name, output)
    view = View(width=terminal_width() if output is None else None)
    how = _time_request(options)
    first, second = opened_pair([before, after], {**source_keywords(options), "data": options["data"]})
    difference = _timed(first, second, how) if how else difference_of(first.report, second.report)
    write_document("diff", difference, name, output, view)
    click.get_current_context().exit(ExitCode.OK if difference.equal else ExitCode.FINDING)


def _time_request(options: Mapping[str, Any]) -> TimeRequest | None:
    how = {name: options[name] for name in ("time_budget", "provider", "threads")}
    for name, value in how.items():
        if value is not None and not options["time"]:
            raise UsageError(f"--{name.replace('_', '-')} says how to time two models; it needs --time")
    return diff_request(options["time"], how)


def _timed(first: Opened, second: Opened, how: TimeRequest) -> Difference:
    from convaudit.alternating import timed_difference

    sources = f"{first.report.source} and {second.report.source}"
    try:
        with progress_bar(sources) as progress:
            return timed_difference(first, second, how, progress)
    except Exception as error:
        report_failure(error, sources)
        click.get_current_context().exit(ExitCode.TROUBLE)


def opened_pair(sources: list[str], keywords: dict[str, Any]) -> list[Opened]:
    """Both models, each opened with what of the options concerns it.

    Arguments of a factory go to factories, and a dimension is fixed in the models that leave it open.

    Raises:
        UsageError: Neither model has the dimension.
    """
    dims, kwargs = keywords.pop("dims"), keywords.pop("kwargs")
    factories = list(filter(names_code, sources)) or sources
    own = [{**keywords, "kwargs": kwargs if source in factories else None} for source in sources]
    opened = list(map(_opened, sources, own))
    stray = sorted(set(dims).difference(*(model.report.symbols for model in opened)))
    if stray:
        raise UsageError(f"neither {sources[0]} nor {sources[1]} has an open dimension {stray[0]!r}")
    for i, model in enumerate(opened):
        known = {name: dims[name] for name in model.report.symbols if name in dims}
        if known:
            opened[i] = _opened(sources[i], {**own[i], "dims": known})
    return opened


def _opened(source: str, keywords: Mapping[str, Any]) -> Opened:
    from convaudit.alternating import open_audited

    try:
        return open_audited(source, keywords)
    except Exception as error:
        report_failure(error, source)
        click.get_current_context().exit(ExitCode.TROUBLE)
