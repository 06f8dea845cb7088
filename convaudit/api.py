"""``audit``, ``check`` and ``diff``: from sources to findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from convaudit.analyzer import analyze
from convaudit.arguments import flag, given_dims, given_inputs
from convaudit.errors import UsageError, did_you_mean
from convaudit.frontends import LintRequest, Request, open_model
from convaudit.records import AuditReport, LayerCost, Optimization, Verified
from convaudit.report import Report
from convaudit.requests import diff_request, run_requests

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn
    from torch.export import ExportedProgram

    from convaudit.checks import Budgets, Difference, Outcomes
    from convaudit.records.findings import Linted

    Source: TypeAlias = str | os.PathLike[str] | ModelProto | nn.Module | ExportedProgram
    Shape: TypeAlias = Sequence[int | str] | str | float
    Shapes: TypeAlias = Shape | Sequence[Shape] | Mapping[str, Shape] | None


def audit(
    source: Source,
    *,
    input_shape: Shapes = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    allow_run: bool = True,
    fake: bool = True,
    verify: Literal["in-situ", "isolated", False] | bool = False,
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    seed: int | None = None,
    lint: bool = False,
    time: Literal["model"] | bool = False,
    time_budget: float | None = None,
    timings: str | os.PathLike[str] | None = None,
    twin_timings: str | os.PathLike[str] | None = None,
    memory_bytes: int | None = None,
    provider: str | None = None,
    threads: int | None = None,
    optimization: Optimization | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """What every convolution of a model costs, what its ``groups`` save, and whether it is right.

    Args:
        source: A path to a model file, a ModelProto, a torch module or exported program, or the text
            ``package.module:factory``, ``nets.py:factory``, ``torchvision:NAME`` or ``timm:NAME``, which run
            the Python code that they name.
        input_shape: Sizes of the input, of several in a list, or by name; what it leaves open stays symbolic.
            With an element type as text, ``"1x20:int64"``; a scalar's value as ``{"sr": 16000}``. Of a torch
            module a size can be a name, ``("batch", 3, "H", "W")`` or ``"32*h"``: counts are formulas then.
        inputs: For a torch module, instead: a tensor, a tuple of arguments, a mapping of keyword arguments.
        dims: Values of symbolic dimensions by name: an ONNX model's own, or those in ``input_shape``.
        kwargs: Arguments of the factory.
        allow_run: Whether the model may be run once where its structure does not determine a shape.
        fake: False runs a torch module's forward for real at once, where one without values cannot do or
            leaves something behind.
        verify: True or "in-situ" re-executes every convolution on the activations of one run of the model,
            "isolated" each alone, with its weights and random input.
        data: The inputs themselves, arrays by name or an .npz file of them: their sizes, and the values of a
            run, to verify or where only a run tells a shape; else random, from ``seed``.
        seed: Seed of random input to verify or time on, by default 0.
        lint: Whether to find what it carries for nothing as well: the report's ``lint``.
        time: True measures every convolution in a run of the model, and alone beside its twin with groups=1;
            "model" in a run of the model only.
        time_budget: Seconds that timing may take, by default 30.
        timings: A profile of the model that another machine wrote, to be timed by instead of a run here.
        twin_timings: A profile of its twin with groups=1 throughout, as ``convaudit twin`` writes it.
        memory_bytes: Bound on what verifying in situ holds beside what onnxruntime needs, by default 1 GiB.
            It decides how many activations are kept at a time, and so how often the model is run; the judge
            works on an eighth of it, 8 to 128 MiB. One layer's input and output are always held; where these
            alone are too large, onnxruntime makes no layout of its own. While timing it bounds the groups=1
            twins.
        provider: What onnxruntime verifies or times an ONNX model on, "openvino" or
            "OpenVINOExecutionProvider"; by default "cpu".
        threads: Threads of the runtime. While timing by default 1; while verifying as many as this process
            may run on, for a torch module as many as torch is set to.
        optimization: onnxruntime's graph optimisation while verifying or timing: "all" by default,
            "extended", "basic" or "disabled".
        progress: Is called with how many convolutions are verified or timed so far, and of how many; where
            they are both, each counts twice.

    Raises:
        LoadError: The source is not a readable and safe model.
        ModelError: A convolution breaks a rule.
        UsageError: The model does not have an input that is named, or an argument would do nothing.
    """
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise UsageError(f"kwargs must be arguments by name, got {kwargs!r:.100}")
    if data is not None and not isinstance(data, str | os.PathLike | Mapping):
        raise UsageError(f"data must be arrays by input name or an .npz file of them, got {data!r:.100}")
    how, timed = run_requests(
        verify,
        time,
        {
            "verify": verify,
            "time_budget": time_budget,
            "timings": timings,
            "twin_timings": twin_timings,
            "seed": seed,
            "memory_bytes": memory_bytes,
            "provider": provider,
            "threads": threads,
            "optimization": optimization,
        },
    )
    if progress is not None and not callable(progress):
        raise UsageError(f"progress must be a function of two numbers, got {progress!r:.100}")
    request = Request(
        input_shape=given_inputs(input_shape),
        inputs=inputs,
        dims=given_dims(dims),
        data=data,
        kwargs=kwargs,
        allow_run=flag(allow_run, "allow_run"),
        fake=flag(fake, "fake"),
        verify=how,
        time=timed,
        lint=LintRequest(run=data is not None) if flag(lint, "lint") else None,
    )
    model = open_model(source, request)
    report = analyze(model.network)
    if request.lint:
        report = _with_findings(report, model.lint(request.lint))
    if (how or timed) and not report.layers:
        none = "no convolution was seen" if report.opaque_ops else "the model contains no convolution"
        raise UsageError(f"{report.source}: nothing to {'verify' if how else 'time'}, {none}")
    verifying, timing = (len(report.layers) if asked else 0 for asked in (how, timed))
    if how:
        how = replace(how, progress=_counting(progress, range(verifying), verifying + timing))
        report = _with_verdicts(report, model.verify(how))
    if timed:
        from convaudit.timing import with_timing

        steps = range(verifying, verifying + timing)
        timed = replace(timed, progress=_counting(progress, steps, steps.stop))
        if progress is not None:
            progress(steps.start, steps.stop)  # runs of the model come first, before any layer is done
        report = with_timing(report, model.time(timed))
    return Report.of(report)


def check(
    model: Source | AuditReport,
    budgets: Budgets,
    *,
    input_shape: Shapes = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
) -> Outcomes:
    """Every budget that a model breaks; an empty list says that it keeps all of them.

    Args:
        model: What ``audit`` takes, or its report.
        budgets: The limits; with ``require_verified`` a model is verified in situ, with ``max_time`` or
            ``min_realised`` it is timed, and ``max_removable`` looks for what does nothing in it. What a
            spread leaves undecided is not broken.
        input_shape: As in ``audit``; a report takes none, and neither ``inputs`` nor ``dims``.
        inputs: As in ``audit``.
        dims: As in ``audit``.

    Raises:
        UsageError: ``budgets`` limits nothing, since then every model would pass; else as ``audit``.
    """
    from convaudit.checks import Outcomes
    from convaudit.checks.budgets import check_budgets

    asked = {"input_shape": input_shape, "inputs": inputs, "dims": dims, **runs_for(model, budgets)}
    report = report_of(model, asked)
    outcomes = check_budgets(report, budgets)
    failed = (outcome for outcome in outcomes if outcome.status == "failed")
    return Outcomes(failed, report.source)


def diff(
    before: Source | AuditReport,
    after: Source | AuditReport,
    *,
    input_shape: Shapes = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    time: bool = False,
    time_budget: float | None = None,
    provider: str | None = None,
    threads: int | None = None,
) -> Difference:
    """Compare two models layer by layer, whatever formats they come from.

    Args:
        before: What ``audit`` takes, or its report.
        after: The other model, or its report.
        input_shape: As in ``audit``, for both models; reports take none, and neither ``inputs`` nor ``dims``.
        inputs: As in ``audit``.
        dims: As in ``audit``.
        time: Runs both models in turn, and says of each layer that is in both what its change promised,
            and what it is worth in time. Reports cannot be timed.
        time_budget: Seconds that this may take, for both models together, by default 30.
        provider: What onnxruntime times ONNX models on, as in ``audit``.
        threads: Of the runtime, by default 1.

    Raises:
        ConvauditError: As ``audit`` does.
    """
    from convaudit.checks.diff import difference_of

    how = diff_request(time, {"time_budget": time_budget, "provider": provider, "threads": threads})
    if how is not None:
        from convaudit.alternating import open_audited, timed_difference

        if isinstance(before, AuditReport) or isinstance(after, AuditReport):
            raise UsageError("time=True runs the models; give the models themselves, not their reports")
        given = {"input_shape": input_shape, "inputs": inputs, "dims": dims}
        return timed_difference(open_audited(before, given), open_audited(after, given), how)
    asked = {"input_shape": input_shape, "inputs": inputs, "dims": dims}
    both = isinstance(before, AuditReport) and isinstance(after, AuditReport)
    sides = [
        model if isinstance(model, AuditReport) and not both else report_of(model, asked)
        for model in (before, after)
    ]
    return difference_of(sides[0], sides[1])


def runs_for(model: Source | AuditReport, budgets: Any) -> dict[str, Any]:
    """What a model has to be run for to be held against budgets; a report is judged by what is in it."""
    if isinstance(model, AuditReport):
        return {}
    return {
        "verify": getattr(budgets, "require_verified", False),
        "time": getattr(budgets, "needs_time", False),
        "lint": getattr(budgets, "needs_lint", False),
    }


def report_of(model: Source | AuditReport, asked: Mapping[str, Any]) -> AuditReport:
    """A report as it is, or the audit of a model with these keywords, which a report cannot take."""
    if not isinstance(model, AuditReport):
        return audit(model, **asked)
    for name, value in asked.items():
        if value is not None and value is not False:
            raise UsageError(f"{name} is for a model; a report was audited already: leave it out")
    return model


def layer_named(source: str, layers: Sequence[LayerCost], name: str) -> LayerCost:
    """The layer that a caller names.

    Raises:
        UsageError: There is none of that name; the message has the nearest one.
    """
    for layer in layers:
        if layer.name == name:
            return layer
    near = did_you_mean(name, [layer.name for layer in layers])
    raise UsageError(f"{source}: no layer is called {name!r:.100}{near or '; an audit lists them'}")


def _with_findings(report: AuditReport, linted: Linted) -> AuditReport:
    from convaudit.linting.report import lint_report
    from convaudit.linting.selection import selected_rules

    return replace(report, lint=lint_report(report, linted, selected_rules(timed=False)))


def _with_verdicts(report: AuditReport, verified: Verified) -> AuditReport:
    rows = zip(report.layers, verified.verdicts, strict=True)
    layers = tuple(replace(layer, verification=verdict) for layer, verdict in rows)
    warnings = tuple(dict.fromkeys((*report.warnings, *verified.warnings)))
    return replace(report, layers=layers, runtime=verified.runtime, warnings=warnings)


def _counting(
    progress: Callable[[int, int], None] | None, layers: range, total: int
) -> Callable[[int], None] | None:
    """Turn steps into sums; a layer that is called several times takes several steps, but counts once."""
    if progress is None:
        return None
    done = layers.start

    def advance(steps: int) -> None:
        nonlocal done
        done = min(done + steps, layers.stop)
        progress(done, total)

    return advance
