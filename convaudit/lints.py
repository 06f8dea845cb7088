"""``lint`` and ``fix``: what a network carries for nothing, and the network without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from convaudit.analyzer import analyze
from convaudit.arguments import given_dims, given_inputs
from convaudit.errors import LoadError
from convaudit.frontends import (
    FixRequest,
    LintRequest,
    OpenedModel,
    Request,
    RunRequest,
    TimeRequest,
    open_model,
)
from convaudit.linting.report import lint_report
from convaudit.linting.selection import TIMED, selected_rules
from convaudit.linting.timed import punished_groups, untimed
from convaudit.records.displayed import terminal_text
from convaudit.records.findings import Finding, Fixed, Linted, LintReport, LintTotals
from convaudit.requests import run_settings

if TYPE_CHECKING:
    from onnx import ModelProto

    from convaudit.api import Source


class Findings(list[Finding]):
    """Findings of one model, with their totals; printed, they are the command line's table."""

    def __init__(self, report: LintReport) -> None:
        super().__init__(report.findings)
        self.report = report

    @property
    def totals(self) -> LintTotals:
        """Sums, each removable element counted once."""
        return self.report.totals

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be looked at, and why."""
        return self.report.notes

    def _repr_html_(self) -> str:
        from convaudit.reporters.notebook import lint_html

        return lint_html(self.report)

    def to_dict(self) -> dict[str, Any]:
        """The findings as plain lists, dictionaries and exact numbers, as their JSON Schema says."""
        from convaudit.reporters.findings import lint_dict

        return lint_dict(self.report)

    def to_json(self) -> str:
        """The same as JSON text: a list of this one model."""
        from convaudit.reporters import FORMATS

        return FORMATS["json"].render("lint", [self.report])

    def __repr__(self) -> str:
        return f"<convaudit.Findings of {self.report.source!r}: {len(self)}>"

    def __str__(self) -> str:
        return terminal_text("lint", [self.report])


def lint(
    source: Source,
    *,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    input_shape: Any = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
) -> Findings:
    """What a network carries for nothing: each finding is a proof.

    Args:
        source: What ``audit`` takes.
        select: What alone to look for: codes of rules, prefixes such as ``"CA2"``, names; else all.
        ignore: What not to look for; it beats ``select``.
        input_shape: As in ``audit``.
        inputs: As in ``audit``.
        dims: As in ``audit``.
        data: Arrays by input name, or an .npz file of them: the model is run on them, to find what drowns in
            rounding on these.

    Returns:
        A list of findings, in the order of the layers. ``notes`` says what could not be looked at, and
        ``report.layers`` and ``report.examined`` how many convolutions there are, and were.

    Raises:
        LoadError: The source is not a readable and safe model, or no convolution has weights to look at.
        UsageError: There is no such rule, or the model does not have an input that is named.
    """
    keywords = {"input_shape": input_shape, "inputs": inputs, "dims": dims, "data": data}
    return Findings(linted(source, source_keywords=keywords, select=_words(select), ignore=_words(ignore)))


def linted(
    source: Source,
    *,
    source_keywords: Mapping[str, Any],
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    time: float | None = None,
    how: Mapping[str, Any] | None = None,
) -> LintReport:
    """As ``lint``, for whoever tells more of it.

    Args:
        source: What ``audit`` takes.
        source_keywords: How it is opened.
        select: As in ``lint``.
        ignore: As in ``lint``.
        time: Seconds for finding groups that kernels punish; None: nothing is timed.
        how: How it is run where it is, as keywords of ``audit``.

    Raises:
        LoadError: As ``lint``.
    """
    rules = selected_rules(select, ignore, timed=time is not None)
    run = source_keywords.get("data") is not None
    request = LintRequest(**run_settings(dict(how or {})), run=run, time=time)
    model = _opened(source, source_keywords, request)
    found = _with_times(model, model.lint(request), request, rules)
    report = lint_report(analyze(model.network), found, rules)
    if report.layers and not report.examined:
        why = report.notes[0] if report.notes else "nobody says why"
        raise LoadError(f"{report.source}: not one convolution has weights that could be looked at: {why}")
    return report


def _with_times(model: OpenedModel, found: Linted, how: LintRequest, rules: Sequence[str]) -> Linted:
    """What was found, with the groups that kernels punish, if it is to be timed."""
    if how.time is None or not TIMED.intersection(rules):
        return found
    from convaudit.sweeps import sweep_fewer

    names = [field.name for field in fields(RunRequest) if field.name != "progress"]
    settings = {name: getattr(how, name) for name in names}
    sweeps = sweep_fewer(model, TimeRequest(**settings, budget_seconds=how.time))
    notes = untimed(sweeps) if sweeps else ("nothing is timed: no layer has groups",)
    return replace(found, claims=(*found.claims, *punished_groups(sweeps)), notes=(*found.notes, *notes))


def failed_report(source: str, error: str) -> LintReport:
    """That of a model which could not be looked at."""
    totals = LintTotals(**dict.fromkeys(field.name for field in fields(LintTotals)))
    return LintReport(
        source=source, format="", layers=0, examined=0, rules=(), findings=(), totals=totals, error=error
    )


def fix(
    source: str | os.PathLike[str] | ModelProto,
    findings: Iterable[Finding] | None = None,
    *,
    within_rounding: bool = False,
    unverified: bool = False,
    input_shape: Any = None,
    dims: Mapping[str, int] | None = None,
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> ModelProto:
    """The network without what it carries for nothing, verified against the original.

    Args:
        source: A path to an ONNX model, or a ModelProto.
        findings: What is to go, as ``lint`` found it; None: all that can.
        within_rounding: Also what is certified within rounding only.
        unverified: Hand it back even if the model does not run.
        input_shape: As in ``audit``.
        dims: As in ``audit``.
        data: Arrays to verify on; None: random ones.
        seed: Seed of random input, by default 0.

    Raises:
        UsageError: Nothing can be fixed.
        ExecutionError: It does not run, or computes something else.
        LoadError: The source is not a readable and safe model, or weights are missing.
    """
    made = made_smaller(
        source,
        None,
        findings=findings,
        source_keywords={"input_shape": input_shape, "dims": dims, "data": data},
        how={"seed": seed, "within_rounding": within_rounding, "unverified": unverified},
    )
    proto: ModelProto = made.proto
    return proto


def made_smaller(
    source: Any,
    target: str | None,
    *,
    findings: Iterable[Finding] | None = None,
    source_keywords: Mapping[str, Any],
    how: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Fixed:
    """As ``fix``, written to a file where one is named."""
    chosen = dict(how)
    own = {name: chosen.pop(name) for name in ("within_rounding", "unverified") if name in chosen}
    selected = None if findings is None else frozenset(one.key for one in findings)
    request = FixRequest(**run_settings(chosen), **own, selected=selected)
    return _opened(source, source_keywords, request).fix(target, request)


def _words(given: str | Iterable[str]) -> list[str]:
    """Words of one text with commas between them, or of several."""
    texts = [given] if isinstance(given, str) else given
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def _opened(source: Any, source_keywords: Mapping[str, Any], how: LintRequest) -> OpenedModel:
    keywords = dict(source_keywords)
    request = Request(
        input_shape=given_inputs(keywords.pop("input_shape", None)),
        dims=given_dims(keywords.pop("dims", None)),
        lint=how,
        **keywords,
    )
    return open_model(source, request)
