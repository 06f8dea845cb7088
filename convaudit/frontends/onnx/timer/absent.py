"""Why a convolution has no time of its own in a run of its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from convaudit.frontends.onnx.runtime import Placement, short_name
from convaudit.frontends.onnx.timer.kernels import Kernel
from convaudit.frontends.onnx.timer.original import Original

_MOST_NAMES = 3
_LONGEST_NAME = 100


def reason_of_absence(
    position: int,
    original: Original,
    kernels: Mapping[str, Kernel],
    placements: Mapping[str, Placement | None],
) -> str:
    """The reason, in words.

    Args:
        position: Of the convolution.
        original: The model as it was given to the runtime.
        kernels: What the runtime made of it, by the names of events.
        placements: Where it put each convolution.
    """
    return next(_reasons(position, original, kernels, placements))


def _reasons(
    position: int,
    original: Original,
    kernels: Mapping[str, Kernel],
    placements: Mapping[str, Placement | None],
) -> Iterator[str]:
    """All that may be one, the surest first."""
    layer = original.layers[position]
    computed = {only for kernel in kernels.values() for only in kernel.layers}
    shared = shared_kernel(position, original, kernels)
    if shared:
        yield shared
    if position in computed or layer.calls == 0:
        yield f"{f'the body {layer.scope}' if layer.scope else 'its kernel'} did not run on this input"
    for other in original.equals(position):
        if other in computed:
            yield f"the runtime computes it once, as {original.layers[other].name}, which is the same"
    place = placements[layer.name]
    if place is not None and place.compiled_nodes > 1:
        together = f"{place.compiled_nodes} nodes that {short_name(place.provider)} compiled into one"
        yield f"it is one of {together}: their times cannot be told apart"
    if original.is_constant(position):
        yield "it depends on no input: the runtime computed it as it loaded the model"
    if any(kernel.unknown for kernel in kernels.values()):
        yield "none of the kernels that ran can be told to compute it"
    yield "the runtime left it out: no kernel computes it"


def shared_kernel(position: int, original: Original, kernels: Mapping[str, Kernel]) -> str | None:
    """That a kernel computes a convolution with others, in words; None if none does."""
    for name, kernel in kernels.items():
        if position in kernel.layers and len(kernel.layers) > 1:
            others = [original.layers[other].name for other in kernel.layers if other != position]
            more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
            return f"{name[:_LONGEST_NAME]} computes it together with {', '.join(others[:_MOST_NAMES])}{more}"
    return None
