"""The twin of a whole model: chosen, made, written aside, verified there, and only then put in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import onnx
from onnx import ModelProto

from convaudit.analyzer.costs import tensor_bytes
from convaudit.engine.operands import Array
from convaudit.errors import UsageError, did_you_mean
from convaudit.formulas import Count, multiply, product
from convaudit.frontends import RunRequest
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel, load_onnx
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.twin.network import dense_network
from convaudit.frontends.onnx.twin.same_operands import check_same_operands
from convaudit.frontends.onnx.twin.weights import why_without_twin
from convaudit.frontends.onnx.variant.files import check_form, check_target, put_in_place, scratch_folder
from convaudit.frontends.onnx.variant.proof import compared_outputs, refuse_failed
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.variant.writing import write_model
from convaudit.frontends.onnx.verifier import verify_in_situ
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import operands
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer
from convaudit.records.twins import Twinned
from convaudit.units import human

MEMORY_BYTES = 2**30
_RUNS = 3
"""Random inputs on which both networks run."""


def make_twin(
    walked: Walked,
    names: Sequence[str] | None,
    target: str | None,
    *,
    settings: Settings,
    how: RunRequest,
    data: Mapping[str, Array] | None,
    walk: Callable[[OnnxModel], Walked],
) -> Twinned:
    """Make and verify the twin of a model.

    Args:
        walked: The model.
        names: The layers to change; None: every one with groups.
        target: The file to write; None: the network is handed back in memory.
        settings: What to verify it on.
        how: Seed, bound on memory, progress.
        data: Arrays by input name to verify it on; None: random ones, from three seeds.
        walk: Walks the twin, with the same inputs fixed.

    Raises:
        UsageError: A layer does not exist, has no groups or no twin; or the target is part of the model.
        ExecutionError: The twin is too large, or is not the same function.
        LoadError: Weights are missing.
    """
    layers, left = chosen_layers(walked, names)
    if target is not None:
        check_target(walked.model, target, "twin")
    _check_memory(walked.network.source, layers, how.memory_bytes or MEMORY_BYTES)
    with scratch_folder(target, "twin.onnx") as aside:
        spill = Spill(aside.parent / "weights")
        made = dense_network(walked, layers, spill)
        written = write_model(walked.model, made.proto, spill, aside)
        spill.remove()
        after = walk(replace(load_onnx(written[0]), source=f"the twin of {walked.network.source}"))
        check_same_operands(walked, after, layers)
        check_form(walked.model, written[0], "twin")
        outputs = compared_outputs(
            walked, after, layers, what="twin", settings=settings, data=data, seeds=_seeds(how)
        )
        verified = verify_in_situ(
            after, settings=settings, data=data, **how.given("seed", "memory_bytes", "progress")
        )
        refuse_failed(walked.network.source, after.network, verified, "twin")
        network = replace(after.network, source=target or after.network.source)
        sizes = [path.stat().st_size for path in written]
        proto = onnx.load(written[0]) if target is None else None
        names_written = put_in_place(written, target)
        return Twinned(
            before=walked.network,
            after=network,
            changed=tuple(layer.name for layer in layers),
            left=left,
            notes=made.notes,
            outputs=outputs,
            runs=1 if data is not None else _RUNS,
            verified=verified,
            files=tuple(zip(names_written, sizes, strict=True)),
            proto=proto,
        )


def chosen_layers(walked: Walked, names: Sequence[str] | None) -> tuple[list[ConvLayer], dict[str, str]]:
    """The layers to change, and of those with groups that stay, why.

    Raises:
        UsageError: A name is unknown, or its layer is dense or has no twin; or there is nothing to change.
    """
    network = walked.network
    known = {layer.name: layer for layer in network.layers}
    if names is not None:  # a comma may be part of a name
        names = [one for text in names for one in ([text] if text in known else _split(text))]
    for name in names or ():
        if name not in known:
            near = did_you_mean(name, known) or "; convaudit MODEL lists them"
            raise UsageError(f"{network.source}: no layer is called {name!r:.100}{near}")
        if known[name].groups == 1:
            raise UsageError(f"{network.source}: {name} has groups=1 already; leave it out")
    wanted = [
        layer for layer in network.layers if layer.groups > 1 and (names is None or layer.name in names)
    ]
    if not wanted:
        raise UsageError(f"{network.source}: no convolution has groups, so its twin is the model itself")
    whole = with_dense_tensors(walked.model, walked.expanded.model)
    index = Graphs(whole)
    reasons = {layer.name: _why_not(layer, walked, whole, index) for layer in wanted}
    left = {name: why for name, why in reasons.items() if why is not None}
    if left and (names is not None or len(left) == len(wanted)):
        name, why = next(iter(left.items()))
        others = f" (as do {len(left) - 1} others)" if len(left) > 1 else ""
        raise UsageError(f"{network.source}: {name} keeps its groups{others}: {why}")
    return [layer for layer in wanted if layer.name not in left], left


def _split(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name] or [text]


def _why_not(layer: ConvLayer, walked: Walked, whole: ModelProto, index: Graphs) -> str | None:
    why = why_without_twin(layer)
    if why is not None:
        return why
    if not isinstance(_dense_bytes(layer), int):
        return "the size of its weight is unknown"
    address = walked.addresses[layer.name]
    names = operands(index.node(address))
    constants = Constants(walked.model, whole, index, address[:-1])
    for role in ("weight", "w_zero_point"):
        if role in names and not constants.take(names[role]):
            return f"its {role.replace('w_', 'weight ').replace('_', ' ')} is computed at run time"
    return None


def _dense_bytes(layer: ConvLayer) -> Count | None:
    """Of the weight with groups=1."""
    shape = layer.weight_shape
    return None if shape is None else tensor_bytes(multiply(product(shape), layer.groups), layer.weight_dtype)


def _check_memory(source: str, layers: Sequence[ConvLayer], memory: int) -> None:
    sizes = {
        (layer.weight_name or layer.name, layer.groups): (_dense_bytes(layer), layer.name) for layer in layers
    }
    known = [(size, name) for size, name in sizes.values() if isinstance(size, int)]
    total = sum(size for size, _ in known)
    if total > memory:
        largest, name = max(known)
        raise UsageError(
            f"{source}: with groups=1 the weights of {len(layers)} layers take {human(total, 'B')}, "
            f"{name} alone {human(largest, 'B')}, and --memory allows {human(memory, 'B')}; "
            "allow more, or choose --layers"
        )


def _seeds(how: RunRequest) -> list[int]:
    first = how.seed or 0
    return [first + run for run in range(_RUNS)]
