"""All claims about a torch model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convaudit.frontends import LintRequest
from convaudit.frontends.torch.linter.exported import FromGraph, NotExportedError, lint_exported
from convaudit.frontends.torch.linter.weights import examine_layers
from convaudit.frontends.torch.walker.recorder import Observer
from convaudit.frontends.torch.walker.walk import run_torch, stored_tensors
from convaudit.linting.weights import WeightFacts, unused_inputs
from convaudit.records import ConvLayer, Network
from convaudit.records.findings import Claim, Linted

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

_ONLY_WEIGHTS = (
    "only single weights were looked at: {}; for the rules of the graph, export the model "
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
    try:
        graph = lint_exported(model, network, how, called_with)
    except NotExportedError as error:
        graph = FromGraph((), frozenset(), (_ONLY_WEIGHTS.format(error),))
    alone = [
        claim
        for layer in network.layers
        if layer.name in examined.facts and layer.name not in graph.layers
        for claim in _of_one_weight(layer, examined.facts[layer.name])
    ]
    claims = tuple(
        replace(claim, fixable=False, reason=_NOT_HERE if claim.fixable else claim.reason or _NOT_HERE)
        for claim in (*graph.claims, *alone)
    )
    return Linted(claims=claims, examined=frozenset(examined.facts), notes=(*examined.notes, *graph.notes))


def _of_one_weight(layer: ConvLayer, facts: WeightFacts) -> Iterator[Claim]:
    yield from facts.claims
    yield from unused_inputs(layer, facts)
