"""The rules of the graph, on the ONNX network that torch exports the model as.

torch.export follows a model or refuses to: control flow that depends on values is not frozen. The exported
network is trusted once each of its convolutions is one of the model's, with the same accounting and weight.
"""

from __future__ import annotations

import ast
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING, Any

import torch
from onnx import numpy_helper
from torch import Tensor
from torch.export import ExportedProgram

from convaudit.errors import ConvauditError, UsageError, first_line
from convaudit.frontends import LintRequest, OpenedModel, Request, open_model
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.guard import quiet, settings_kept
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.modules import private_copy
from convaudit.frontends.torch.verifier.evidence import as_array
from convaudit.frontends.torch.walker.layers import PlacedLayer
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.frontends.torch.walker.walk import stored_tensors
from convaudit.records import ConvLayer, Network
from convaudit.records.findings import Claim, Linted
from convaudit.shapes import as_text

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

NEEDED = "onnxscript"
"""What torch's exporter cannot do without; convaudit can."""
MOST_PARAMETERS = 400_000_000
"""Of a model that is exported in memory: ONNX messages end at 2 GiB."""

_KEEPING_ZEROS = ("Cast", "CastLike", "Expand", "Identity")


class NotExportedError(Exception):
    """Why the rules of the graph were not looked at."""


@dataclass(frozen=True, slots=True)
class FromGraph:
    """What an export tells of the layers that run once."""

    claims: tuple[Claim, ...]
    layers: frozenset[str]  # those whose claims are all in here
    notes: tuple[str, ...]


def lint_exported(
    model: TorchModel, network: Network, how: LintRequest, called_with: Mapping[str, Any]
) -> FromGraph:
    """Export a model, and look at what comes of it.

    Raises:
        NotExportedError: It cannot be exported here, or what comes of it is not the same network.
    """
    proto = _exported(model, network, called_with)
    how = replace(how, run=False, time=None)  # the user's data and times are those of the module
    request = Request(lint=how)
    try:
        names = _names(open_model(proto, request).network, network, proto, stored_tensors(model))
        for node in proto.graph.node:
            node.name = names.get(node.name, node.name)
        _without_zero_biases(proto)
        opened: OpenedModel = open_model(proto, request)
        if {layer.name for layer in opened.network.layers} != set(names.values()):
            raise NotExportedError("the names of the exported convolutions are not unique")
        linted: Linted = opened.lint(how)
    except ConvauditError as error:
        raise NotExportedError(first_line(error)) from error
    once = {layer.name for layer in network.layers if layer.calls == 1}
    claims = tuple(
        replace(claim, regions=tuple(region for region in claim.regions if region.layer in once))
        for claim in linted.claims
        if claim.layer in once
    )
    sizes = ", ".join(f"{one.name} {as_text(one.shape)}" for one in network.inputs)
    note = f"the rules of the graph were looked at in the model as torch exports it; they hold for {sizes}"
    return FromGraph(claims, frozenset(once & linted.examined), (*linted.notes, note))


def _exported(model: TorchModel, network: Network, called_with: Mapping[str, Any]) -> Any:
    """The model as an ONNX message, as it computes in eval mode."""
    if isinstance(model, torch.jit.ScriptModule):
        raise NotExportedError("torch does not export TorchScript")
    if find_spec(NEEDED) is None:
        raise NotExportedError(f"torch exports with {NEEDED}, which is not installed")
    if (network.model_params or 0) > MOST_PARAMETERS:
        raise NotExportedError("the model is too large to be exported in memory")
    settings: dict[str, Any] = {"dynamo": True, "optimize": False, "verbose": False}
    try:
        with settings_kept(), torch.no_grad(), _silent(), quiet():
            if isinstance(model, ExportedProgram):
                program: Any = torch.onnx.export(model, **settings)
                return program.model_proto
            module = private.unwrapped(model)
            args, kwargs = make_inputs(module, **called_with).realise(Values())
            duplicate, _ = private_copy(module)
            program = torch.onnx.export(duplicate, args, kwargs=kwargs, **settings)
            return program.model_proto
    except UsageError as error:
        raise NotExportedError(first_line(error)) from error
    except Exception as error:
        raise NotExportedError(f"torch does not export it: {_reason(error)}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep off the terminal what is logged and printed on the way: the exception says what failed."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """What an export failed with: torch's own words, not the exporter's on what to do next."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return re.sub("\x1b\\[[0-9;]*m", "", in_one_line(cause, 160))


def _without_zero_biases(proto: Any) -> None:
    """Take away the biases of zeros that the exporter computes for convolutions that have none."""
    zeros = set[str]()
    for node in proto.graph.node:
        if node.op_type == "Constant":
            values = [numpy_helper.to_array(item.t) for item in node.attribute if item.name == "value"]
            zeros.update(node.output if values and not values[0].any() else ())
        elif node.op_type in _KEEPING_ZEROS and node.input[0] in zeros:
            zeros.update(node.output)
        elif node.op_type in ("Conv", "ConvTranspose") and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]


def _names(exported: Network, network: Network, proto: Any, stored: Mapping[str, Tensor]) -> dict[str, str]:
    """What each exported convolution is called in the model.

    Raises:
        NotExportedError: One of either has no match.
    """
    scopes = {node.name: _scopes(node) for node in proto.graph.node}
    initializers = {tensor.name: tensor for tensor in proto.graph.initializer}
    left = {layer.name: layer.calls for layer in network.layers if isinstance(layer.calls, int)}
    if len(left) < len(network.layers):
        raise NotExportedError("how often its convolutions run is unknown")
    names, times = {}, Counter[str]()
    for other in exported.layers:
        layer = next(_alike(other, network, left, scopes.get(other.name, [])), None)
        if layer is None:
            raise NotExportedError(f"the exported convolution {other.name} is none of the model's")
        for name in stored.keys() & {other.weight_name, other.bias_name}:
            if initializers[name].raw_data != as_array(stored[name]).tobytes():
                raise NotExportedError(f"{layer.name}: the exported weight is another one")
        times[layer.name] += 1
        left[layer.name] -= 1
        again = f" (call {times[layer.name]})" if times[layer.name] > 1 else ""
        names[other.name] = f"{layer.name}{again}"
    if missing := [name for name, count in left.items() if count]:
        raise NotExportedError(f"{missing[0]} is not among the exported convolutions")
    return names


def _alike(
    other: ConvLayer, network: Network, left: Mapping[str, int], scopes: Sequence[str]
) -> Iterator[ConvLayer]:
    """Layers that an exported convolution may be: of the same weight, or of the same module if computed."""
    for layer in network.layers:
        if not left[layer.name] or not _same_accounting(layer, other):
            continue
        computed = isinstance(layer, PlacedLayer) and layer.computed
        if computed and isinstance(layer, PlacedLayer):
            if not layer.module or layer.module in scopes:
                yield layer
        elif layer.weight_name == other.weight_name:
            yield layer


def _same_accounting(layer: ConvLayer, other: ConvLayer) -> bool:
    """Whether two records are of the same convolution, as far as both know their sizes."""
    same = ("kernel_size", "stride", "padding", "dilation", "groups", "transposed", "weight_shape")
    if any(getattr(layer, name) != getattr(other, name) for name in same) or layer.bias > other.bias:
        return False  # the exporter may give a convolution a bias of zeros
    pairs = zip(
        (*(layer.input_shape or ()), *(layer.output_shape or ())),
        (*(other.input_shape or ()), *(other.output_shape or ())),
        strict=False,
    )
    return all(one == two for one, two in pairs if isinstance(one, int) and isinstance(two, int))


def _scopes(node: Any) -> list[str]:
    """Paths of the modules that a node was exported from."""
    texts = (item.value for item in node.metadata_props if item.key == "pkg.torch.onnx.name_scopes")
    try:
        return [str(scope) for scope in ast.literal_eval(next(texts, "[]"))]
    except (ValueError, SyntaxError):
        return []
