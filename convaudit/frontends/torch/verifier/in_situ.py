"""Verifies a torch model's convolutions: what one forward computed, re-executed by convaudit's own engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from convaudit.engine.operands import Array
from convaudit.feeds import given_feeds
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.ops import ConvCall
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.verifier.compiled import (
    CompiledCalls,
    compare_compiled,
    compiled_parts,
    with_compiled,
)
from convaudit.frontends.torch.verifier.declared import Declarations, with_declared
from convaudit.frontends.torch.verifier.evidence import judge_call, runtime_info
from convaudit.frontends.torch.verifier.places import Places
from convaudit.frontends.torch.walker.walk import run_torch
from convaudit.records import ConvLayer, Network, Verification, Verified
from convaudit.shapes import as_text

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

Progress = Callable[[int], None]
"""Is told how many convolutions have been judged since the last call."""


def verify_in_situ(
    model: TorchModel,
    network: Network,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    data: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verified:
    """Judge every convolution on the activations of one real forward, as it runs.

    Only one convolution's operands are held at a time. A layer that is called several times gets the worst
    verdict of its calls, each at the size that it ran at. What ``nn.Conv*`` modules declare is compared
    with the operators that ran in them, and what ``torch.compile`` made of the module with this forward.

    Args:
        model: The model that was walked.
        network: What walking it found.
        input_shape: As ``network`` was walked with.
        inputs: The same.
        data: Arrays by input name, or an .npz file of them, in place of those.
        seed: Draws the values where only shapes are given.
        progress: Is told of what has been judged.

    Returns:
        One verdict per layer of ``network``, in order.

    Raises:
        UsageError: The inputs cannot be used.
        ExecutionError: The forward fails.
    """
    arrays = None if data is None else list(given_feeds(network.inputs, data).values())
    given = {"input_shape": input_shape, "inputs": inputs}
    forward = _Forward(network, progress)
    with forward.called.watched():
        run_torch(model, network, forward.observe, attach=forward.attach, **given, arrays=arrays, seed=seed)
    found = forward.verdicts()
    if isinstance(model, nn.Module) and (parts := compiled_parts(model) | forward.called.parts):
        arguments = make_inputs(private.unwrapped(model), **given)
        found = with_compiled(
            network.layers, found, parts, compare_compiled(model, arguments, Values(seed, arrays))
        )
    drawn = arrays is None and inputs is None
    return Verified(
        verdicts=tuple(found),
        runtime=runtime_info(model, network, seed if drawn else None),
        warnings=private.losses(),
    )


class _Forward:
    """What one forward shows of a network's layers."""

    def __init__(self, network: Network, progress: Progress | None) -> None:
        self.called = CompiledCalls()
        self._layers = network.layers
        self._places = Places(network)
        self._verdicts: dict[int, Verification] = {}
        self._declared = Declarations()
        self._progress = progress

    def attach(self, duplicate: nn.Module, stored: Stored) -> None:
        """Know the modules of the copy that is going to run."""
        self._declared.attach(duplicate, stored)
        self.called.attach(duplicate)

    def observe(self, row: ConvLayer, call: ConvCall, output: Tensor) -> None:
        """Judge a convolution that ran."""
        place = self._places.of(row)
        if place is None:
            return  # values sent the forward another way than in the audit
        self._declared.ran(place, call, output)
        verdict = _at_its_size(judge_call(row, call, output), row, self._layers[place])
        verdicts = (self._verdicts.get(place, verdict), verdict)
        self._verdicts[place] = max(verdicts, key=lambda verdict: verdict.severity)
        if self._progress is not None:
            self._progress(1)

    def verdicts(self) -> list[Verification]:
        """One for each layer."""
        for place, findings in self._declared.found.items():
            self._verdicts[place] = with_declared(self._verdicts[place], findings)
        missing = Verification(status="not_executed", reason="the forward on these values did not run it")
        return [self._verdicts.get(place, missing) for place in range(len(self._layers))]


def _at_its_size(verdict: Verification, row: ConvLayer, layer: ConvLayer) -> Verification:
    if row.input_shape == layer.input_shape:
        return verdict
    ran, audited = as_text(row.input_shape), as_text(layer.input_shape)
    reason = f"{verdict.reason}; the values had it run at {ran}, not at the audit's {audited}"
    return replace(verdict, reason=reason)
