"""``convaudit MODEL...``: audit, render, and say by the exit code how it went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convaudit.cli.errors import ExitCode, fail, note, report_failure
from convaudit.cli.folders import expanded
from convaudit.cli.group import Command
from convaudit.cli.options import audit_keywords, source_options, time_options, verify_options
from convaudit.cli.output import check_output, write_document
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import COLUMN_LIST, KIND, MODEL, SORT_KEY, STYLE
from convaudit.cli.view import check_before, check_findings, check_untimed, check_view, output_options
from convaudit.reporters import Document, View, chosen_format

if TYPE_CHECKING:
    from convaudit.records import AuditReport
    from convaudit.report import Report

_WITHOUT_NOTES = ("table", "csv")
"""Formats whose text has no warnings and notes, which go to standard error."""
_EPILOG = """
MODEL is one of:
  model.onnx               ONNX; .onnxtxt and .json too
  model.pt2, model.pt      what torch.export.save or torch.jit.save wrote
  models/                  a folder: all of these in it
  package.module:factory   your own Python code, which is run
  nets.py:factory          the same by the file that the code is in
  torchvision:resnet50     an architecture of torchvision, without weights
  timm:resnet50            one of timm, at the size that timm says

Examples:
  convaudit model.onnx                        one row for each convolution
  convaudit model.onnx --dim batch=1 --sort macs --top 10
  convaudit model.onnx --verify               and prove each, by re-executing it
  convaudit model.onnx --time                 and what groups save in time
  convaudit torchvision:resnet50 -i 1x3x224x224
  convaudit model.onnx --depth 2              what its blocks cost
  convaudit a.onnx models/ --sort macs        one summary row for each model
  convaudit model.onnx -o audit.json          exact integers, for scripts
  convaudit model.onnx --lint -o page.html    a page, with what does nothing

Exit codes:
  0  audited, all checks hold
  1  a finding: with --verify a mismatch or miscount, with --strict an unknown
  2  could not audit: usage, an unreadable or unsafe file, nothing to run
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("models", nargs=-1, required=True, type=MODEL, metavar="MODEL...")
@source_options
@verify_options
@time_options
@click.option(
    "--only",
    type=KIND,
    multiple=True,
    help="List these kinds alone: grouped, depthwise, dense (groups=1), pointwise (1x1), transposed, "
    "deformable; may be repeated.",
)
@click.option("--sort", type=SORT_KEY, help="Sort by name, params, macs, share, time, realised, ...")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the first N; unless sorted, those of the most MACs, or time.",
)
@click.option("--all", "every", is_flag=True, help="List every row, however many there are.")
@click.option(
    "--all-ops",
    is_flag=True,
    help="List the other multiplying ops too: Gemm, MatMul, LSTM, ..., in one ranking.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    metavar="N",
    help="Subtotals by block of the name, N levels deep: layer1, layer1.0, ...",
)
@click.option(
    "--columns",
    type=COLUMN_LIST,
    help="Columns of tables and CSV: name,kernel,macs. Of name, op, kind, channels, kernel, input, output, "
    "weight, dtype, groups, calls, params, macs, flops, dense_params, dense_macs, params_saved, macs_saved, "
    "share (of the model), share_conv, weight_bytes, activation_bytes, intensity, verified, bits, error, "
    "those of --time, and all keys of the JSON.",
)
@output_options("audit")
@click.option("--table-style", type=STYLE, help="compact, as it is unless given, or any style of tabulate.")
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is unknown.")
@click.option("--lint", is_flag=True, help="Find what it carries for nothing as well, for --format html.")
def audit(
    models: tuple[str, ...],
    only: tuple[tuple[str, ...], ...],
    sort: str | None,
    top: int | None,
    every: bool,
    all_ops: bool,
    depth: int | None,
    columns: tuple[str, ...] | None,
    format_name: str | None,
    output: str | None,
    table_style: str | None,
    strict: bool,
    lint: bool,
    **source: Any,
) -> None:
    """List every convolution of each MODEL; the default command."""
    from convaudit.reporters.grid import terminal_width

    models = expanded(models)
    document: Document = "models" if len(models) > 1 else "audit"
    check_output(output, *models, source["data"], source["timings"], source["twin_timings"])
    name = chosen_format(document, format_name, output)
    width = terminal_width() if output is None else None
    view = View(
        only=tuple(kind for kinds in only for kind in kinds) or None,
        all_ops=all_ops,
        depth=depth,
        every=every,
        sort=sort,
        top=top,
        columns=columns or None,
        style=table_style,
        width=width,
        remarks=False,
    )
    check_view(view, name, several=len(models) > 1)
    check_findings(name, lint=lint)
    if not (source["time"] or source["timings"]):
        check_untimed(view)
    if source["time"] or source["verify"] or lint:
        check_before(view, name)
    reports = audited(models, {**audit_keywords(source), "lint": lint})
    if reports:
        write_document(document, reports if document == "models" else reports[0], name, output, view)
        if name in _WITHOUT_NOTES:
            note_cautions(reports)
    failed = len(reports) < len(models)
    unproven = reported_unproven(reports)
    finding = any(map(failed_verification, reports)) | (strict and reported_unknowns(reports))
    click.get_current_context().exit(
        ExitCode.TROUBLE if failed or unproven else ExitCode.FINDING if finding else ExitCode.OK
    )


def audited(models: Sequence[str], keywords: dict[str, Any]) -> list[Report]:
    """Reports of all models that could be audited; of the others one line each on stderr."""
    from convaudit.api import audit as audit_model

    done = {"verified": keywords["verify"], "timed": keywords["time"] or keywords["timings"]}
    words = f"layers {', then '.join(word for word, asked in done.items() if asked)}".rstrip()
    reports = []
    for model in models:
        try:
            with progress_bar(model, words) as progress:
                reports.append(audit_model(model, **keywords, progress=progress))
        except Exception as error:  # one model's failure must not hide the others
            report_failure(error, model)
    return reports


def note_cautions(reports: Sequence[AuditReport]) -> None:
    """What to be wary of, summed up on stderr: results are for whoever reads stdout."""
    from convaudit.reporters.lines import summed_cautions

    for report in reports:
        for line in summed_cautions(report):
            note(f"{report.source}: {line}" if len(reports) > 1 else line)


def failed_verification(report: AuditReport) -> bool:
    """Whether verification caught a layer, or its accounting, to be wrong."""
    return any(layer.verification and layer.verification.failed for layer in report.layers)


def reported_unproven(reports: Sequence[AuditReport]) -> bool:
    """Name on stderr every report whose verification compared nothing at all: that is not a pass."""
    unproven = False
    for report in reports:
        verdicts = [layer.verification for layer in report.layers if layer.verification]
        if verdicts and not any(verdict.verified or verdict.failed for verdict in verdicts):
            fail(f"{report.source}: not one layer could be verified; the report says why")
            unproven = True
    return unproven


def reported_unknowns(reports: Sequence[AuditReport]) -> bool:
    """Name on stderr what is unknown; whether anything is."""
    from convaudit.analyzer import unknowns

    lines = [f"{report.source}: {line}" for report in reports for line in unknowns(report)]
    for line in lines:
        fail(f"strict: {line}")
    return bool(lines)
