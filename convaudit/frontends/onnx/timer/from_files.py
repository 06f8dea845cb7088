"""Times of a model's convolutions from profiles that other machines wrote: nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convaudit.errors import UsageError
from convaudit.feeds import open_sizes
from convaudit.formulas import Count
from convaudit.frontends.onnx.timer.absent import shared_kernel
from convaudit.frontends.onnx.timer.by_name import onnxruntime_kernels, tensorrt_kernels
from convaudit.frontends.onnx.timer.given_profile import GivenProfile, read_profile
from convaudit.frontends.onnx.timer.original import Original
from convaudit.frontends.onnx.timer.profile import Event
from convaudit.frontends.onnx.timer.samples import summed
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer
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
    layers, parts, read = _joined(original, profile, timings)
    _refuse_twin(original, read, timings)
    warnings = [*profile.warnings, *_of_other_sizes(original, read, timings)]
    if twin_timings is not None:
        twin = read_profile(twin_timings)
        dense, others, read = _joined(original, twin, twin_timings)
        dense = tuple(
            LayerSamples(reason=f"it has groups in {twin_timings} as well")
            if _is_grouped(record, event)
            else one
            for record, one, event in zip(original.layers, dense, read, strict=True)
        )
        warnings += [*twin.warnings, *_left_over(others, twin_timings)]
        warnings += _of_other_sizes(original, read, twin_timings)
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
) -> tuple[tuple[LayerSamples, ...], tuple[PartSamples, ...], list[Event | None]]:
    """Samples of each convolution, and of all that is none; an event of each one's kernel.

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
    events = {
        kernels[event.name].layers: event for event in profile.runs[-1].events if kernels[event.name].layers
    }
    parts = tuple(part for part in parts if part.kind != "between" or any(part.seconds))
    return layers, parts, [events.get((position,)) for position in range(len(layers))]


def _channels_a_group(event: Event | None) -> int | None:
    """Of the weight that a kernel read, as far as that is told."""
    known = event is not None and event.weight is not None and len(event.weight) > 2
    return event.weight[1] if known and event and event.weight else None


def _is_grouped(record: ConvLayer, event: Event | None) -> bool:
    """Whether the kernel of a layer with groups read a weight as small as the layer's."""
    read = _channels_a_group(event)
    return bool(record.groups > 1 and read and record.weight_shape and read == record.weight_shape[1])


def _refuse_twin(original: Original, read: Sequence[Event | None], path: str) -> None:
    """Refuse a profile of the network without groups.

    Raises:
        UsageError: The kernel of a layer with groups read a weight without.
    """
    for record, event in zip(original.layers, read, strict=True):
        channels, own = _channels_a_group(event), record.weight_shape[1] if record.weight_shape else None
        if record.groups > 1 and channels and isinstance(own, int) and channels >= own * record.groups:
            raise UsageError(
                f"{path}: a profile of another model: {record.name} has {own} channels a group here, and "
                f"{channels} there; a profile of the twin belongs to --twin-timings"
            )


def _of_other_sizes(original: Original, read: Sequence[Event | None], path: str) -> list[str]:
    """A warning where kernels read input of another size than the layers have."""
    others = [
        (record.name, event.read, record.input_shape)
        for record, event in zip(original.layers, read, strict=True)
        if event is not None
        and event.read
        and record.input_shape
        and _is_other(event.read, record.input_shape)
    ]
    if not others:
        return []
    name, there, here = others[0]
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    sizes = ["x".join(map(str, shape)) for shape in (there, here)]
    return [
        f"{path}: was written at other sizes: {name} read {sizes[0]} there, and has {sizes[1]} here{more}; "
        "the counts are of the latter: give the same sizes by --input or --dim"
    ]


def _is_other(there: Sequence[int], shape: Sequence[Count | None]) -> bool:
    """Whether a kernel's input is of another size: not if only its channels come last, or fill up a block."""
    here = [size for size in shape if isinstance(size, int)]
    if len(here) < len(shape) or len(there) != len(here):
        return False
    return sorted(there) != sorted(here) and (there[0], *there[2:]) != (here[0], *here[2:])


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
