"""``convaudit check``: budgets and baselines, for CI and before a commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from convaudit.arguments import read_input
from convaudit.checks.budgets import check_budgets
from convaudit.checks.config import Config, load_config, nearest_config, nested_configs
from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.checks.settings import KEYS, CheckSettings
from convaudit.cli.baselines import Baselines
from convaudit.cli.errors import ExitCode, failure_text, note, report_failure
from convaudit.cli.folders import expanded
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
from convaudit.cli.output import check_outputs
from convaudit.cli.progress import progress_bar
from convaudit.cli.results import write_github, write_outputs
from convaudit.cli.values import FILE, MODEL, Value, read_dim
from convaudit.cli.view import file_formats, file_options, output_options
from convaudit.errors import UsageError
from convaudit.records import AuditReport
from convaudit.reporters import chosen_format
from convaudit.reporters.text import listed

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
@click.option("--config", type=FILE, help="Settings of all models; else of the file that is nearest to each.")
@source_options
@verify_options
@time_budget_option
@output_options("check")
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
    format_name: str | None,
    output: str | None,
    **options: Any,
) -> None:
    """Check each MODEL, or all that a file names, against budgets and a baseline."""
    base = load_config(Path(config)) if config else nearest_config()
    sources = expanded(models) or base.sources()
    if not sources:
        raise UsageError("no MODEL is given, and no convaudit.toml or pyproject.toml names one")
    name = chosen_format("check", format_name, output)
    files = [base] * len(sources) if config else nested_configs(base, sources)
    _say_whose_settings(files, sources)
    given = _given(options)
    settings = [file.settings(source, given) for file, source in zip(files, sources, strict=True)]
    _refuse_idle(options, settings, write_baseline)
    kept = sorted({str(own.baseline) for own in settings if own.baseline is not None})
    outputs = [output, *(options[form] for form in file_formats() if options[form])]
    check_outputs(outputs, *sources, options["data"], *(str(file.path) for file in files if file.path), *kept)
    if write_baseline:
        check_outputs([*outputs, *kept])
    baselines = Baselines()
    checked = [
        replace(
            checked_model(source, own, options, baselines, write_baseline),
            config=str(file.path) if file.path else None,
        )
        for source, own, file in zip(sources, settings, files, strict=True)
    ]
    write_outputs(checked, name, output, {form: options[form] for form in file_formats()})
    if os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github:
        write_github(checked, name, output)
    for text in baselines.missing():
        note(text)
    if any(model.error is not None for model in checked):
        click.get_current_context().exit(ExitCode.TROUBLE)
    for text in baselines.save():
        note(text)
    failed = any(model.failures for model in checked)
    click.get_current_context().exit(ExitCode.FINDING if failed else ExitCode.OK)


def _say_whose_settings(files: Sequence[Config], sources: Sequence[str]) -> None:
    """Which files of settings hold, where that is not the one that lies in the current folder."""
    held: dict[Path, list[str]] = {}
    for file, source in zip(files, sources, strict=True):
        if file.path is not None:
            held.setdefault(file.path, []).append(source)
            for other in file.unread:
                held.setdefault(other, [])
    for path, models in held.items():
        if not models:
            note(f"settings: {path} is not read: convaudit.toml beside it counts")
        elif len(held) > 1 or path.parent != Path():
            note(f"settings: {path} for {listed(models)}")


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
        outcomes += baselines.keep(settings.baseline, report)
    elif settings.baseline is not None:
        outcomes += baselines.compare(report, settings)
    return outcomes


def _refuse_idle(options: Mapping[str, Any], settings: Sequence[CheckSettings], write_baseline: bool) -> None:
    """Refuse options that would do nothing for any of the models."""
    if write_baseline and all(own.baseline is None for own in settings):
        raise UsageError("--write-baseline needs a --baseline FILE to write")
    timed = any(own.budgets.needs_time for own in settings)
    if not timed and not any(own.budgets.require_verified for own in settings):
        verify_keywords(options, needs=f"--verify, {_TIMED_BY}")
    if not timed and options["time_budget"] is not None:
        raise UsageError(f"--time-budget says how long to time; it needs {_TIMED_BY}")
    if options["require_baseline"] and (write_baseline or all(own.baseline is None for own in settings)):
        raise UsageError("--require-baseline is for comparing with a --baseline; leave it out")
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
