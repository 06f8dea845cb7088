"""All claims about a torch model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convaudit.frontends import LintRequest
from convaudit.frontends.torch.linter.weights import examine_layers
from convaudit.frontends.torch.walker.recorder import Observer
from convaudit.frontends.torch.walker.walk import run_torch, stored_tensors
from convaudit.linting.weights import unused_inputs
from convaudit.records import Network
from convaudit.records.findings import Linted

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

_GRAPH = (
    "only single weights were looked at; for the rules of the graph, export the model "
    "(torch.onnx.export(module, args, 'm.onnx')) and lint that"
)
_NOT_HERE = "what takes it out reads ONNX models: export the model with torch.onnx.export, and fix that"


def lint_torch(
    model: TorchModel, network: Network, how: LintRequest, called_with: Mapping[str, Any]
) -> Linted:
    """What a torch model carries for nothing.

    Args:
        model: A module or an exported program.
        network: What walking it found.
        how: The data and the times that it may ask for are an ONNX model's.
        called_with: ``input_shape`` and ``inputs`` of its forward.
    """

    def run(observer: Observer) -> None:
        run_torch(model, network, observer, **called_with, seed=how.seed or 0)

    examined = examine_layers(network, stored_tensors(model), run)
    claims = tuple(
        replace(claim, reason=_NOT_HERE)
        for layer in network.layers
        if (facts := examined.facts.get(layer.name)) is not None
        for claim in (*facts.claims, *unused_inputs(layer, facts))
    )
    return Linted(claims=claims, examined=frozenset(examined.facts), notes=(*examined.notes, _GRAPH))
