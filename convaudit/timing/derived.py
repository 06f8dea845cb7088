"""A report with times: each layer's, the parts of a run, and what the groups are worth."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from convaudit.formulas.growth import ratio
from convaudit.records import AuditReport, LayerCost
from convaudit.records.timing import LayerSamples, ModelTiming, Samples, Timed, TimePart, Timing


def with_timing(report: AuditReport, timed: Timed) -> AuditReport:
    """The report with a ``Timing`` for each layer, and one for the model.

    Args:
        report: Of the model that was timed.
        timed: What its front end measured, for the same layers in the same order.
    """
    total = median(timed.runs) if timed.runs else None
    layers = tuple(
        replace(layer, timing=_timing(layer, samples, total))
        for layer, samples in zip(report.layers, timed.layers, strict=True)
    )
    warnings = tuple(dict.fromkeys((*report.warnings, *timed.warnings)))
    model = _model_timing(timed, total)
    runtime = report.runtime or timed.runtime
    return replace(report, layers=layers, timing=model, runtime=runtime, warnings=warnings)


def _timing(layer: LayerCost, samples: LayerSamples, total: float | None) -> Timing:
    promised = ratio(layer.dense_macs, layer.macs) if layer.groups > 1 else None
    in_model = _middle(samples.in_model)
    seconds, dense_seconds = _middle(samples.alone), _middle(samples.dense)
    realised = dense_seconds / seconds if seconds and dense_seconds else None
    return Timing(
        seconds=seconds,
        dense_seconds=dense_seconds,
        promised=None if promised is None else float(promised),
        realised=realised,
        efficiency=realised / float(promised) if realised and promised else None,
        kernel=samples.kernel,
        dense_kernel=samples.dense_kernel,
        model_seconds=in_model,
        model_share=in_model / total if in_model is not None and total else None,
        reorders=samples.reorders,
        reason=samples.reason,
    )


def _model_timing(timed: Timed, total: float | None) -> ModelTiming:
    parts = tuple(
        TimePart(
            name=part.name,
            kind=part.kind,
            count=part.count,
            seconds=median(part.seconds),
            share=median(part.seconds) / total if total else 0.0,
        )
        for part in timed.parts
    )
    return ModelTiming(
        seconds=total, spread=None, runs=len(timed.runs), parts=parts, runtime=timed.runtime, cpu=timed.cpu
    )


def _middle(samples: Samples) -> float | None:
    return median(samples) if samples else None
