"""Holds the code that ``torch.compile`` made of a module against the module run eagerly.

Convolutions are seen and judged in an eager run, but it is the compiled code that the user runs. Both runs'
outputs are compared, and what rounding may do to them is measured: the same is run once more with each
parameter and input changed by its last place at most, as in stochastic arithmetic (Vignes 1993).
"""

from __future__ import annotations

import copy
import inspect
import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.guard import quiet
from convaudit.frontends.torch.inputs import Inputs, RandomTensor
from convaudit.frontends.torch.modules import clean_path
from convaudit.frontends.torch.walker.layers import PlacedLayer
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.records import ConvLayer, Verification

_SPREAD = 16
"""How much further than the measured effect of rounding another order of operations may lead, RMS."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the compiled code returned, compared with the eager run."""

    outcome: Literal["agrees", "differs", "undecided"]
    reason: str


def compiled_parts(module: nn.Module) -> set[str]:
    """Paths of the submodules that are compiled, be it by a wrapper or in place."""
    return {clean_path(path) for path, part in module.named_modules() if _is_compiled(part)}


def compare_compiled(
    module: nn.Module, arguments: Inputs, value: Callable[[Tensor | RandomTensor], Tensor]
) -> Agreement:
    """Run copies of ``module`` compiled, eagerly, and eagerly with everything rounded another way.

    Args:
        module: A module with compiled parts, which stays as it is.
        arguments: What it is called with.
        value: Gives each input its value.
    """
    args, kwargs = arguments.realise(value)

    def run(stance: str, *, nudged: bool = False) -> list[Tensor]:
        duplicate, given = _compiled_copy(module), copy.deepcopy((args, kwargs))
        if nudged:
            _nudge([*duplicate.parameters(), *private.tree_leaves(given)])
        with torch.random.fork_rng(), torch.no_grad(), torch.compiler.set_stance(stance), quiet():
            torch.manual_seed(int(nudged))
            output = duplicate(*given[0], **given[1])
        return [leaf for leaf in private.tree_leaves(output) if isinstance(leaf, Tensor)]

    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        eager, nudged = run("force_eager"), run("force_eager", nudged=True)
        compiled = run("default")
    except Exception as error:
        return Agreement("undecided", f"the compiled code cannot be run: {in_one_line(error, 160)}")
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
    if not eager:
        return Agreement("undecided", "the module returns no tensor by which to judge its compiled code")
    if len(compiled) != len(eager):
        return Agreement("differs", f"it returns {len(compiled)} tensors, not {len(eager)}")
    found = [_compared(*outputs) for outputs in zip(eager, nudged, compiled, strict=False)]
    numbered = [
        replace(comparison, reason=f"output {number}: {comparison.reason}")
        for number, comparison in enumerate(found)
    ]
    worst_first = ("differs", "undecided", "agrees")
    return min(numbered, key=lambda comparison: worst_first.index(comparison.outcome))


def with_compiled(
    layers: Sequence[ConvLayer], verdicts: Sequence[Verification], parts: set[str], comparison: Agreement
) -> list[Verification]:
    """The verdicts, where a layer lies in a compiled part with what its compiled code was found to do."""
    return [
        _as_compiled(verdict, comparison)
        if isinstance(layer, PlacedLayer) and _inside(layer.module, parts)
        else verdict
        for layer, verdict in zip(layers, verdicts, strict=True)
    ]


def _inside(path: str, parts: set[str]) -> bool:
    return any(not part or path == part or path.startswith(f"{part}.") for part in parts)


def _as_compiled(verdict: Verification, comparison: Agreement) -> Verification:
    if not verdict.verified:
        return verdict
    if comparison.outcome == "agrees":
        return replace(verdict, reason=f"{verdict.reason}; the compiled code returns the same")
    eagerly = f"{verdict.words} when run eagerly, but"
    if comparison.outcome == "differs":
        return Verification(
            status="mismatch", reason=f"{eagerly} the compiled code differs: {comparison.reason}"
        )
    return Verification(
        status="not_executed", reason=f"{eagerly} not known to be as compiled: {comparison.reason}"
    )


# --- what is compiled -----------------------------------------------------------------------------------


def _is_compiled(module: nn.Module) -> bool:
    return private.unwrapped(module) is not module or private.compiled_call(module) is not None


class CompiledCalls:
    """Sees which modules call a function that ``torch.compile`` made, wherever they have it from.

    torch asks what to run instead of it for each call, which is to run it eagerly.

    Attributes:
        parts: Paths of those modules.
    """

    def __init__(self) -> None:
        self.parts: set[str] = set()
        self._paths: dict[int, str] = {}

    def attach(self, duplicate: nn.Module) -> None:
        """Know the modules of ``duplicate``, which is going to run."""
        self._paths = {id(module): clean_path(path) for path, module in duplicate.named_modules()}

    def watched(self) -> AbstractContextManager[None]:
        """Watch what the body calls."""
        return private.compiled_calls(lambda: self.parts.add(self._calling()))

    def _calling(self) -> str:
        """Path of the innermost module whose forward is running."""
        frame = inspect.currentframe()
        while frame is not None:
            if private.is_module_call(frame.f_code) and id(frame.f_locals["self"]) in self._paths:
                return self._paths[id(frame.f_locals["self"])]
            frame = frame.f_back
        return ""


def _compiled_copy(module: nn.Module) -> nn.Module:
    """A copy with tensors of its own; Python's copying forgets what was compiled in place."""
    duplicate = copy.deepcopy(module)
    for original, part in zip(module.modules(), duplicate.modules(), strict=True):
        compiled = private.compiled_call(original)
        if compiled is not None:
            private.compile_in_place(part, compiled)
    return duplicate.eval()


# --- how outputs differ ---------------------------------------------------------------------------------


def _nudge(leaves: Sequence[Any]) -> None:
    """Change each number by one unit in its last place, up, down, or not at all."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for leaf in leaves:
            if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
                step = torch.randint(-1, 2, leaf.shape, generator=generator).to(leaf.device, leaf.dtype)
                leaf.mul_(1 + step * torch.finfo(leaf.dtype).eps)


def _compared(eager: Tensor, nudged: Tensor, compiled: Tensor) -> Agreement:
    shapes = [f"{tuple(tensor.shape)} {tensor.dtype}".replace("torch.", "") for tensor in (compiled, eager)]
    if shapes[0] != shapes[1]:
        return Agreement("differs", f"it is {shapes[0]}, not {shapes[1]}")
    if torch.equal(compiled, eager):
        return Agreement("agrees", "equal")
    if nudged.shape != eager.shape:
        return Agreement("undecided", "its size depends on rounding")
    if eager.is_floating_point() or eager.is_complex():
        return _compared_numbers(eager, nudged, compiled)
    if torch.equal(nudged, eager):
        return Agreement("differs", "its values differ")
    return Agreement("undecided", "its values differ, but rounding alone changes them too")


def _compared_numbers(eager: Tensor, nudged: Tensor, compiled: Tensor) -> Agreement:
    signal, error = _rms(eager), _rms(compiled, eager)
    noise = max(_rms(nudged, eager), signal * torch.finfo(eager.dtype).eps)
    if error <= _SPREAD * noise < signal:
        return Agreement("agrees", "within rounding")
    share = f"by {error / signal:.2g} of its RMS" if signal > 0 and math.isfinite(error) else "without bound"
    if noise * _SPREAD >= signal:
        return Agreement("undecided", f"it differs {share}, but rounding or chance alone changes it as much")
    return Agreement("differs", f"it differs {share}, rounding changes it by {noise / signal:.2g}")


def _rms(values: Tensor, other: Tensor | None = None) -> float:
    """Root mean square of ``values`` less ``other``; infinite where one of both is not finite."""
    wide = torch.complex128 if values.is_complex() else torch.float64
    difference = values.to(wide)
    if other is not None:
        same = (values == other) | (values.isnan() & other.isnan())
        difference = (difference - other.to(wide)).masked_fill(same, 0)
    mean = float(difference.abs().square().mean()) if difference.numel() else 0.0
    return math.sqrt(mean) if math.isfinite(mean) else math.inf
