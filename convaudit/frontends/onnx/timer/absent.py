"""Why a convolution has no time of its own in a run of its model."""

from __future__ import annotations

from collections.abc import Mapping

from convaudit.frontends.onnx.timer.kernels import Kernel
from convaudit.frontends.onnx.timer.original import Original

_MOST_NAMES = 3
_LONGEST_NAME = 100


def reason_of_absence(position: int, original: Original, kernels: Mapping[str, Kernel]) -> str:
    """The reason, in words.

    Args:
        position: Of the convolution.
        original: The model as it was given to the runtime.
        kernels: What the runtime made of it, by the names of events.
    """
    layer = original.layers[position]
    computing = any(position in kernel.layers for kernel in kernels.values())
    shared = shared_kernel(position, original, kernels)
    if shared:
        return shared
    where = f"the body {layer.scope} " if layer.scope else "its kernel "
    if computing or layer.calls == 0:
        return f"{where}did not run on this input"
    computed = {only for kernel in kernels.values() for only in kernel.layers}
    for other in original.equals(position):
        if other in computed:
            return f"the runtime computes it once, as {original.layers[other].name}, which is the same"
    if original.is_constant(position):
        return "it depends on no input: the runtime computed it as it loaded the model"
    if any(kernel.unknown for kernel in kernels.values()):
        return "none of the kernels that ran can be told to compute it"
    return "the runtime left it out: no kernel computes it"


def shared_kernel(position: int, original: Original, kernels: Mapping[str, Kernel]) -> str | None:
    """That a kernel computes a convolution with others, in words; None if none does."""
    for name, kernel in kernels.items():
        if position in kernel.layers and len(kernel.layers) > 1:
            others = [original.layers[other].name for other in kernel.layers if other != position]
            more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
            return f"{name[:_LONGEST_NAME]} computes it together with {', '.join(others[:_MOST_NAMES])}{more}"
    return None
