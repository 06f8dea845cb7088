"""Times of a model's convolutions from profiles that other machines wrote: nothing is run."""

from __future__ import annotations

from dataclasses import replace

from convaudit.errors import UsageError
from convaudit.feeds import open_sizes
from convaudit.frontends.onnx.timer.absent import shared_kernel
from convaudit.frontends.onnx.timer.by_name import onnxruntime_kernels, tensorrt_kernels
from convaudit.frontends.onnx.timer.given_profile import GivenProfile, read_profile
from convaudit.frontends.onnx.timer.original import Original
from convaudit.frontends.onnx.timer.samples import summed
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.timing import LayerSamples, PartSamples, Timed

_MOST_NAMES = 5
_NO_TWIN = "its time is from a file: give --twin-timings to tell what its groups are worth"


def times_from_files(walked: Walked, timings: str, twin_timings: str | None) -> Timed:
    """What profiles tell of every convolution of a model.

    Args:
        walked: What the walker found.
        timings: A file with a profile of the model.
        twin_timings: One with a profile of the network with groups=1 throughout; None: there is none.

    Raises:
        LoadError: A file cannot be opened.
        UsageError: It is not a profile, or one of another model.
    """
    original = Original(walked, open_sizes(walked.network))
    profile = read_profile(timings)
    layers, parts = _joined(original, profile, timings)
    warnings = list(profile.warnings)
    if twin_timings is not None:
        twin = read_profile(twin_timings)
        dense, others = _joined(original, twin, twin_timings)
        warnings += [*twin.warnings, *_left_over(others, twin_timings)]
        layers = tuple(
            _with_twin(layer, of_twin) if record.groups > 1 else layer
            for record, layer, of_twin in zip(original.layers, layers, dense, strict=True)
        )
    else:
        layers = tuple(
            replace(layer, reason=layer.reason or _NO_TWIN) if record.groups > 1 else layer
            for record, layer in zip(original.layers, layers, strict=True)
        )
    return Timed(
        layers=layers,
        runs=tuple(run.seconds for run in profile.runs),
        parts=parts,
        files=(timings,) if twin_timings is None else (timings, twin_timings),
        warnings=tuple(warnings),
    )


def _joined(
    original: Original, profile: GivenProfile, path: str
) -> tuple[tuple[LayerSamples, ...], tuple[PartSamples, ...]]:
    """Samples of each convolution, and of all that is none.

    Raises:
        UsageError: No kernel computes a convolution of this model.
    """
    if profile.runtime == "onnxruntime":
        kernels = onnxruntime_kernels(original, profile.runs, original.given_names)
    else:
        kernels = tensorrt_kernels(original, profile.runs[0].events)
    if not any(kernel.layers for kernel in kernels.values()):
        raise UsageError(
            f"{path}: a profile of another model: none of its {len(kernels)} kernels is named after "
            "a convolution of this one"
        )

    def absent(position: int) -> str:
        shared = shared_kernel(position, original, kernels)
        return shared or f"no kernel in {path} is named after it"

    layers, parts = summed(profile.runs, kernels, len(original.layers), absent)
    return layers, tuple(part for part in parts if part.kind != "between" or any(part.seconds))


def _with_twin(layer: LayerSamples, twin: LayerSamples) -> LayerSamples:
    reasons = [layer.reason, f"its twin: {twin.reason}" if twin.reason else None]
    return replace(
        layer,
        dense_in_model=twin.in_model,
        dense_step=twin.step,
        dense_kernel=twin.kernel,
        reason="; ".join(filter(None, reasons)) or None,
    )


def _left_over(parts: tuple[PartSamples, ...], path: str) -> list[str]:
    """A warning of the twin's kernels that belong to nothing."""
    names = [part.name for part in parts if part.kind == "unattributed"]
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return [f"{path}: belong to no layer: {', '.join(names[:_MOST_NAMES])}{more}"]
