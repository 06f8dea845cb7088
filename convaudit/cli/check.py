"""``convaudit check``: budgets and baselines, for CI and before a commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from convaudit.arguments import read_input
from convaudit.checks.budgets import check_budgets
from convaudit.checks.config import load_config, nearest_config
from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.checks.settings import KEYS, CheckSettings
from convaudit.cli.baselines import Baselines
from convaudit.cli.errors import ExitCode, failure_text, note, report_failure
from convaudit.cli.group import Command
from convaudit.cli.options import (
    Decorated,
    audit_keywords,
    decorated,
    source_options,
    time_budget_option,
    verify_keywords,
    verify_options,
    without_verification,
)
from convaudit.cli.output import check_output, write_document, write_result
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import FILE, MODEL, Value, read_dim
from convaudit.cli.view import file_formats, file_options
from convaudit.errors import UsageError
from convaudit.records import AuditReport
from convaudit.reporters import DEFAULT_FORMAT, FORMATS

_EPILOG = """
Examples:
  convaudit check model.onnx --max-params 5M --max-macs 600M --max-size 20MB
  convaudit check model.onnx --max-time 12ms --min-realised 50%
  convaudit check model.onnx --max-removable 1%
  convaudit check model.onnx --baseline base.json --write-baseline
  convaudit check model.onnx --baseline base.json --tolerance 2%
  convaudit check --junit convaudit.xml   all models of a settings file

In [tool.convaudit] of pyproject.toml, or in convaudit.toml, options go by
their names:
  max-params = "5M"
  models."nets/*.onnx".max-macs = "600M"

Exit codes:
  0  within every budget
  1  over a budget, or grown over the baseline
  2  could not audit: usage, or an unreadable or unsafe file
"""
_TIMED_BY = "--max-time or --min-realised"
SIZES = ("input", "dim")
"""Settings that have their options from ``source_options``."""


def budget_options(command: Decorated) -> Decorated:
    """One option for each setting, but for those that fix sizes."""
    return decorated(command, *(_option(name) for name in KEYS if name not in SIZES))


def _option(name: str) -> Callable[[Decorated], Decorated]:
    key = KEYS[name]
    if not key.metavar:
        return click.option(f"--{name}/--no-{name}", default=None, help=key.help)
    return click.option(
        f"--{name}",
        type=Value(key.metavar, key.read, lambda: key.choices),
        multiple=bool(key.choices),
        help=key.help,
    )


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("models", nargs=-1, type=MODEL, metavar="[MODEL]...")
@budget_options
@click.option("--write-baseline", is_flag=True, help="Write the baseline instead of comparing with it.")
@click.option("--config", type=FILE, help="Settings; else of the nearest convaudit.toml or pyproject.toml.")
@source_options
@verify_options
@time_budget_option
@file_options
@click.option(
    "--github/--no-github",
    default=None,
    help="Annotate, and write the job's summary; by default inside GitHub Actions.",
)
def check(
    models: tuple[str, ...],
    write_baseline: bool,
    config: str | None,
    github: bool | None,
    **options: Any,
) -> None:
    """Check each MODEL, or all that a file names, against budgets and a baseline."""
    file = load_config(Path(config)) if config else nearest_config()
    sources = models or file.sources()
    if not sources:
        raise UsageError("no MODEL is given, and no convaudit.toml or pyproject.toml names one")
    for name in file_formats():
        check_output(options[name], *sources)
    given = _given(options)
    settings = [file.settings(source, given) for source in sources]
    _refuse_idle(options, settings, write_baseline)
    baselines = Baselines()
    checked = [
        checked_model(source, own, options, baselines, write_baseline)
        for source, own in zip(sources, settings, strict=True)
    ]
    write_outputs(checked, {name: options[name] for name in file_formats()})
    if os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github:
        write_github(checked)
    if any(model.error is not None for model in checked):
        click.get_current_context().exit(ExitCode.TROUBLE)
    for path in baselines.save():
        note(f"wrote {path}")
    failed = any(model.failures for model in checked)
    click.get_current_context().exit(ExitCode.FINDING if failed else ExitCode.OK)


def checked_model(
    source: str,
    settings: CheckSettings,
    options: Mapping[str, Any],
    baselines: Baselines,
    write_baseline: bool,
) -> CheckedModel:
    """Audit one model and judge it; one model's failure must not hide the others."""
    from convaudit.api import audit

    start = perf_counter()
    try:
        if write_baseline and settings.baseline is None:
            raise UsageError(f"{source}: --write-baseline needs a --baseline FILE to write")
        if not settings.budgets.given() and settings.baseline is None:
            raise UsageError(
                f"{source}: no budget holds for it, so nothing would be checked; give one such as "
                "--max-params 5M, or a --baseline"
            )
        with progress_bar(source) as progress:
            report = audit(source, **_keywords(settings, options), progress=progress)
        outcomes = _outcomes(report, settings, baselines, write_baseline)
    except Exception as error:
        report_failure(error, source)
        return CheckedModel(source=source, error=failure_text(error, source), seconds=perf_counter() - start)
    return CheckedModel(source=source, outcomes=tuple(outcomes), seconds=perf_counter() - start)


def _outcomes(
    report: AuditReport, settings: CheckSettings, baselines: Baselines, write_baseline: bool
) -> list[Outcome]:
    outcomes = check_budgets(report, settings.budgets) if settings.budgets.given() else []
    if settings.baseline is not None and write_baseline:
        baselines.keep(settings.baseline, report)
    elif settings.baseline is not None:
        outcomes += baselines.compare(settings.baseline, report, settings.tolerance)
    return outcomes


def write_outputs(checked: Sequence[CheckedModel], paths: Mapping[str, str | None]) -> None:
    """The text on standard output, and a file for each format that has a path."""
    for name, path in {DEFAULT_FORMAT: "-", **paths}.items():
        if path:
            write_document("check", checked, name, path)


def write_github(checked: Sequence[CheckedModel]) -> None:
    """Annotations on standard output; the job's summary behind what other steps wrote to it."""
    write_result(FORMATS["github"].render("check", checked), None)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(FORMATS["markdown"].render("check", checked))
        except OSError as error:
            raise UsageError(f"cannot write GITHUB_STEP_SUMMARY: {error}") from error


def _refuse_idle(options: Mapping[str, Any], settings: Sequence[CheckSettings], write_baseline: bool) -> None:
    """Refuse options that would do nothing for any of the models."""
    timed = any(own.budgets.needs_time for own in settings)
    if not timed and not any(own.budgets.require_verified for own in settings):
        verify_keywords(options, needs=f"--verify, {_TIMED_BY}")
    if not timed and options["time_budget"] is not None:
        raise UsageError(f"--time-budget says how long to time; it needs {_TIMED_BY}")
    if options["tolerance"] is not None and (write_baseline or all(own.baseline is None for own in settings)):
        raise UsageError("--tolerance is for comparing with a --baseline; nothing is compared: leave it out")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the command line names; asking how to verify requires it."""
    values = {name: options[name.replace("-", "_")] for name in KEYS if name not in SIZES}
    for name, value in values.items():
        if KEYS[name].choices:
            values[name] = tuple(choice for given in value for choice in given)
    if options["verify"] or options["verify_isolated"]:
        values["require-verified"] = True
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _keywords(settings: CheckSettings, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of ``audit``. Sizes on the command line beat those of the file name by name.

    An input's shape there leaves nothing of the file's sizes: it may fix the very dimensions that they do.
    """
    verified, timed = settings.budgets.require_verified, settings.budgets.needs_time
    merged = dict(options) if verified or timed else without_verification(options)
    merged |= {"time": timed, "time_budget": options["time_budget"] if timed else None}
    if not options["input_shapes"]:
        merged["input_shapes"] = list(map(read_input, settings.input))
        merged["dims"] = list({**dict(map(read_dim, settings.dim)), **dict(options["dims"])}.items())
    if verified and not options["verify_isolated"]:
        merged["verify"] = True
    return {**audit_keywords(merged), "lint": settings.budgets.needs_lint}
