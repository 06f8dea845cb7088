"""``convaudit lint MODEL...``: what networks carry for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from convaudit.cli.errors import ExitCode, failure_text, note, report_failure
from convaudit.cli.folders import expanded
from convaudit.cli.group import Command
from convaudit.cli.options import (
    Decorated,
    decorated,
    run_keywords,
    run_options,
    source_keywords,
    source_options,
    time_budget_option,
)
from convaudit.cli.output import check_output, write_document, write_result
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import MODEL, Value, read_list
from convaudit.cli.view import output_options
from convaudit.cli.words import lint_words
from convaudit.errors import UsageError
from convaudit.frontends import TIME_BUDGET
from convaudit.reporters import View, chosen_format

if TYPE_CHECKING:
    from convaudit.records.findings import LintReport

_EPILOG = """
Each finding is a proof: the network computes the same without it. A finding
within rounding adds less than the rounding of the sums that it enters.
'convaudit rule CODE' says what a rule means, and how it is proven.

Examples:
  convaudit lint model.onnx
  convaudit lint model.onnx --select CA1,zero-border --ignore CA104
  convaudit lint model.onnx --fix -o smaller.onnx
  convaudit lint model.onnx --data inputs.npz      and on these inputs
  convaudit lint a.onnx b.onnx -f github           annotations, in CI
  convaudit lint model.onnx -o lint.sarif

In [tool.convaudit] of pyproject.toml, or in convaudit.toml:
  lint.ignore = ["CA301"]

Exit codes:
  0  nothing is carried for nothing, or --exit-zero; with --fix, it is written
  1  something is
  2  could not look: usage, an unreadable or unsafe file, no weights; with
     --fix, nothing is written: nothing can be fixed, or it is not the same
"""


RULE_LIST = Value("RULES", read_list, lint_words)


def rule_options(command: Decorated) -> Decorated:
    """Which rules are looked for, and what finding something means."""
    return decorated(
        command,
        click.option(
            "--select",
            type=RULE_LIST,
            multiple=True,
            help="Look for these alone: codes, prefixes such as CA2, names; all unless given.",
        ),
        click.option(
            "--ignore", type=RULE_LIST, multiple=True, help="Do not look for these; it beats --select."
        ),
        click.option("--exit-zero", is_flag=True, help="Exit with 0 even if something is found."),
        section="Rules",
    )


def fix_options(command: Decorated) -> Decorated:
    """``--fix`` and what goes with it."""
    return decorated(
        command,
        click.option(
            "--fix",
            is_flag=True,
            help="Write the network without what is found to --output, once it is verified.",
        ),
        click.option(
            "--within-rounding",
            is_flag=True,
            help="With --fix, take out also what is certified within rounding.",
        ),
        click.option(
            "--unverified",
            is_flag=True,
            help="With --fix, write the network even if it cannot be run and compared.",
        ),
        section="Fix",
    )


def punished_options(command: Decorated) -> Decorated:
    """``--time`` and how long it may take."""
    return decorated(
        command,
        click.option(
            "--time", is_flag=True, help="Time grouped layers too, for groups that kernels punish (CA401)."
        ),
        time_budget_option,
        section="Time",
    )


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("models", nargs=-1, required=True, type=MODEL, metavar="MODEL...")
@rule_options
@fix_options
@source_options
@run_options(doing="verifying or timing", memory="Bound on what --fix holds to compare, 1GiB unless given.")
@punished_options
@output_options("lint")
def lint(models: tuple[str, ...], exit_zero: bool, **options: Any) -> None:
    """Find what each MODEL carries for nothing, with proofs, and take it out."""
    options |= _rules(options)
    models = expanded(models)
    _refuse_idle(models, options)
    fixing = options["fix"]
    check_output(options["output"], *(() if fixing else models), options["data"])
    output = None if fixing else options["output"]
    name = chosen_format("lint", options["format_name"], output)
    reports = [linted_model(model, options) for model in models]
    write_reports(reports, name, output)
    troubled = reported_trouble(reports)
    if fixing and not troubled:
        write_fixed(models[0], reports[0], options, to_read=name == "table")
    found = any(report.findings for report in reports) and not fixing
    click.get_current_context().exit(
        ExitCode.TROUBLE if troubled else ExitCode.FINDING if found and not exit_zero else ExitCode.OK
    )


def linted_model(model: str, options: Mapping[str, Any]) -> LintReport:
    """One model's findings; its failure must not hide the others, and is told at once."""
    from convaudit.lints import failed_report, linted

    budget = TIME_BUDGET if options["time_budget"] is None else options["time_budget"]
    try:
        return linted(
            model,
            source_keywords={**source_keywords(options), "data": options["data"]},
            select=options["select"],
            ignore=options["ignore"],
            time=budget if options["time"] else None,
            how=run_keywords(options),
        )
    except Exception as error:
        report_failure(error, model)
        return failed_report(str(model), failure_text(error, model))


def write_reports(reports: Sequence[LintReport], name: str, output: str | None) -> None:
    """The findings in their format; notes on standard error, where the format is not for people."""
    from convaudit.reporters.findings import note_lines
    from convaudit.reporters.grid import terminal_width

    view = View(width=terminal_width() if output is None else None)
    if any(report.error is None for report in reports) or name not in ("table", "csv"):
        write_document("lint", reports, name, output, view)
    for report in reports:
        for line in note_lines(report.notes):
            note(f"note: {report.source}: {line}" if len(reports) > 1 else f"note: {line}")


def reported_trouble(reports: Sequence[LintReport]) -> bool:
    """Whether a model could not be looked at; of one that has nothing to look at a note says so."""
    for report in reports:
        if report.error is None and not report.layers:
            note(f"note: {report.source}: it has no convolution, so nothing was looked at")
    return any(report.error is not None for report in reports)


def write_fixed(model: str, report: LintReport, options: Mapping[str, Any], *, to_read: bool) -> None:
    """Write the network without what was found, and say what proves it: below the findings, if to read."""
    from convaudit.lints import made_smaller
    from convaudit.reporters.fixes import fix_lines, fix_remarks
    from convaudit.reporters.grid import terminal_width, wrapped

    with progress_bar(report.source) as progress:
        made = made_smaller(
            model,
            options["output"],
            findings=report.findings,
            source_keywords={**source_keywords(options), "data": options["data"]},
            how={
                **run_keywords(options),
                "within_rounding": options["within_rounding"],
                "unverified": options["unverified"],
            },
            progress=progress,
        )
    for line in fix_remarks(made):
        note(line)
    if to_read:
        write_result("\n" + wrapped(fix_lines(made), terminal_width()), None)
    for line in () if to_read else fix_lines(made):
        note(line)


def _rules(options: Mapping[str, Any]) -> dict[str, list[str]]:
    """Words that select rules; where the command line has none, those of the nearest file."""
    from convaudit.checks.config import nearest_config

    given = {name: [word for words in options[name] for word in words] for name in ("select", "ignore")}
    file = {} if all(given.values()) else nearest_config().lint
    return {name: words or list(file.get(name, ())) for name, words in given.items()}


def _refuse_idle(models: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse what would do nothing, and what cannot be done.

    Raises:
        UsageError: An option is of no use beside the others.
    """
    from convaudit.linting.selection import selected_rules

    selected_rules(options["select"], options["ignore"], timed=options["time"])
    if options["fix"]:
        if len(models) > 1:
            raise UsageError("--fix writes one network; give one MODEL")
        if options["output"] in (None, "-"):
            raise UsageError("--fix needs --output FILE.onnx: a model is never changed in place")
    for name in ("within_rounding", "unverified"):
        if options[name] and not options["fix"]:
            raise UsageError(f"--{name.replace('_', '-')} is for --fix; give both")
    if options["time_budget"] is not None and not options["time"]:
        raise UsageError("--time-budget says how long --time may take; give both")
    if not (options["fix"] or options["time"] or options["data"]):
        for option in ("seed", "memory", "provider", "threads", "opt_level"):
            if options[option] is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')} says how to run a model; it needs --fix, --time or --data"
                )
