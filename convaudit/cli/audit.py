"""``convaudit MODEL...``: audit, render, and say by the exit code how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from convaudit.cli.color import colored
from convaudit.cli.command import Command
from convaudit.cli.errors import ExitCode, fail, report_failure
from convaudit.cli.options import FILE, audit_keywords, source_options, verify_options
from convaudit.cli.output import write_result
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import LIST

if TYPE_CHECKING:
    from convaudit.report import Report
    from convaudit.reporters.select import Selection

EPILOG = """
Examples:
  convaudit model.onnx                        one row for each convolution
  convaudit model.onnx --dim batch=1 --sort macs --top 10
  convaudit model.onnx --verify               and prove each, by re-executing it
  convaudit a.onnx b.onnx                     one summary row for each model
  convaudit model.onnx -f json -o audit.json  exact integers, for scripts

Exit codes:
  0  audited, all checks hold
  1  a finding: a mismatch with --verify, something unknown with --strict
  2  could not audit: usage, or an unreadable or unsafe file
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the result is to be shown."""

    format: str
    style: str
    selection: Selection
    columns: tuple[str, ...] | None
    width: int | None


@click.command(cls=Command, epilog=EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@source_options
@verify_options
@click.option(
    "--only",
    metavar="KIND",
    help="List one kind: grouped, depthwise, dense, pointwise, transposed, deformable.",
)
@click.option("--sort", metavar="KEY", help="Sort by name, params, macs, macs_saved, share, groups, ...")
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="List the first N; by MACs unless sorted."
)
@click.option("--columns", type=LIST, help="Columns of the table or of the CSV: name,kernel,macs.")
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "markdown", "csv", "json"]),
    default="table",
    show_default=True,
    help="How to print the report.",
)
@click.option(
    "--table-style", default="compact", show_default=True, help="compact, or any style of tabulate."
)
@click.option("-o", "--output", type=FILE, help="Write to a file instead of standard output.")
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is unknown.")
def audit(
    models: tuple[str, ...],
    only: str | None,
    sort: str | None,
    top: int | None,
    columns: tuple[str, ...] | None,
    output_format: str,
    table_style: str,
    output: str | None,
    strict: bool,
    **source: Any,
) -> None:
    """Audit each MODEL: an .onnx file. This is the default command."""
    from convaudit.reporters.select import Selection
    from convaudit.reporters.table import terminal_width

    view = View(
        format=output_format,
        style=table_style,
        selection=Selection(only=only, sort=sort, top=top),
        columns=columns or None,
        width=terminal_width() if output is None else None,
    )
    reports = audited(models, audit_keywords(source))
    if reports:
        text = rendered(reports, view, several=len(models) > 1)
        write_result(colored(text) if output_format == "table" and output is None else text, output)
    failed = len(reports) < len(models)
    finding = any(map(has_mismatch, reports)) | (strict and reported_unknowns(reports))
    click.get_current_context().exit(
        ExitCode.TROUBLE if failed else ExitCode.FINDING if finding else ExitCode.OK
    )


def audited(models: Sequence[str], keywords: dict[str, Any]) -> list[Report]:
    """Reports of all models that could be audited; of the others one line each on stderr."""
    from convaudit.api import audit as audit_model

    reports = []
    for model in models:
        try:
            with progress_bar(model) as progress:
                reports.append(audit_model(model, **keywords, progress=progress))
        except Exception as error:  # one model's failure must not hide the others
            report_failure(error, model)
    return reports


def rendered(reports: Sequence[Report], view: View, *, several: bool) -> str:
    """The reports in the view's format; of several models one summary row each, in JSON all of all."""
    if view.format == "json":
        from convaudit.reporters.json import render_json

        return render_json(reports, view.selection, as_list=several)
    return _rendered_models(reports, view) if several else _rendered_layers(reports[0], view)


def _rendered_layers(report: Report, view: View) -> str:
    if view.format == "csv":
        from convaudit.reporters.csv import render_csv

        return render_csv(report, view.selection, view.columns)
    if view.format == "markdown":
        from convaudit.reporters.markdown import render_markdown

        return render_markdown(report, view.selection, view.columns)
    from convaudit.reporters.table import Layout, render_table

    layout = Layout(width=view.width, style=view.style, columns=view.columns)
    return render_table(report, view.selection, layout)


def _rendered_models(reports: Sequence[Report], view: View) -> str:
    from convaudit.reporters.models import render_models_csv, render_models_markdown, render_models_table
    from convaudit.reporters.table import Layout

    if view.format == "csv":
        return render_models_csv(reports)
    if view.format == "markdown":
        return render_models_markdown(reports)
    return render_models_table(reports, Layout(width=view.width, style=view.style))


def has_mismatch(report: Report) -> bool:
    """Whether verification caught a layer computing something else than it should."""
    return any(layer.verification and layer.verification.status == "mismatch" for layer in report.layers)


def reported_unknowns(reports: Sequence[Report]) -> bool:
    """Name on stderr what is unknown; whether anything is."""
    from convaudit.analyzer import unknowns

    lines = [f"{report.source}: {line}" for report in reports for line in unknowns(report)]
    for line in lines:
        fail(f"strict: {line}")
    return bool(lines)
