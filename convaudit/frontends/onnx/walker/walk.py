"""From an ONNX model to a ``Network``: expand functions, fix inputs, infer shapes, walk the graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from convaudit.arguments import GivenInput, given_dims, inputs_by_name
from convaudit.formulas import Count, multiply
from convaudit.frontends.onnx.functions import Expanded, expand_functions
from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.shapes.inference import declare, execute_once, stages
from convaudit.frontends.onnx.shapes.inferred import Dimensions, Inferred
from convaudit.frontends.onnx.shapes.inputs import Feeds, fix_inputs
from convaudit.frontends.onnx.walker.convolutions import PADS_IGNORED, conv_layer, ignores_pads, is_known
from convaudit.frontends.onnx.walker.hand_made import hand_made_groups
from convaudit.frontends.onnx.walker.liveness import live_in
from convaudit.frontends.onnx.walker.loops import choice, iterations
from convaudit.frontends.onnx.walker.names import Names
from convaudit.frontends.onnx.walker.other_ops import UNKNOWN_SHAPE, count_other_ops, other_layers
from convaudit.frontends.onnx.walker.params import count_parameters, parameters_of
from convaudit.frontends.onnx.walker.scopes import Node, Scope
from convaudit.records import Branch, ConvLayer, Network, OtherOp, Shape, ShapeSource, TensorInfo, with_notes

_SOURCES: dict[ShapeSource, str] = {
    "run": "its sizes are those of one run; they may differ on another input",
    "declared": "its sizes are those that the file declares; nothing else tells them",
}
"""Notes on layers of which not the structure told the shapes."""
_CLAIMED = "some sizes are those that the file declares; neither inference nor a run tells them"


def walk_onnx(
    model: OnnxModel,
    *,
    input_shapes: Mapping[str, GivenInput | Sequence[int]] | None = None,
    dims: Mapping[str, int] | None = None,
    allow_run: bool = True,
    feeds: Callable[[Sequence[TensorInfo]], Feeds] | None = None,
) -> Walked:
    """Find every convolution of an ONNX model, with the shapes and counts that its structure determines.

    Args:
        model: What the loader read.
        input_shapes: Shapes of inputs by name (key "": the only one).
        dims: Sizes of open dimensions by name.
        allow_run: Whether the model may run once where its structure alone does not determine a shape.
        feeds: Makes the arrays to run it on.

    Raises:
        UsageError: The model has no such input, or what is said of it does not fit.
        GroupsError: A convolution's channels are not divisible by its groups.
        ShapeError: A convolution's shapes contradict each other.
        ModelError: A node breaks another rule of ONNX.
    """
    expanded = expand_functions(model.proto)
    inputs = fix_inputs(expanded.model, inputs_by_name(input_shapes or {}), given_dims(dims))
    inferred = Inferred(Dimensions(inputs.symbols))

    def look() -> _Findings:
        return _Findings.of(Scope(expanded, inferred))

    warnings: list[str] = []
    for warning in stages(inputs, inferred):
        warnings += [warning] if warning else []
        found = look()
        if found.complete:
            break
    else:
        if allow_run:
            arrays = feeds(inputs.tensors) if feeds is not None else None
            warnings.append(execute_once(model, inputs, arrays, inferred))
            found = look().telling("run", found)
        if not found.complete:
            declare(expanded.model, inputs, inferred)
            found, before = look().telling("declared", found), found
            warnings += [_CLAIMED] if found.shapes != before.shapes else []
    warnings += found.contradictions()
    parameters = {node.address: tuple(parameters_of(node)) for node in found.nodes}
    hand_made = hand_made_groups(found.nodes, found.convolutions, found.layers)
    network = Network(
        source=model.source,
        format="onnx",
        inputs=inputs.tensors,
        layers=with_notes(found.layers, hand_made),
        hand_made_groups=hand_made,
        other_layers=other_layers(found.nodes, parameters, found.names),
        other_ops=found.other_ops,
        uncounted_ops=found.uncounted_ops,
        model_params=count_parameters(chain.from_iterable(parameters.values())),
        live_activations=live_in(found.nodes, found.main),
        file_bytes=model.file_bytes,
        warnings=tuple(warnings),
    )
    return Walked(model, expanded, network, found.addresses, inferred)


@dataclass(frozen=True)
class Walked:
    """A model that was walked: all that whoever looks at its convolutions' nodes again is handed.

    Attributes:
        model: What the loader read: the way to the weights.
        expanded: The graphs that were walked.
        network: What they hold.
        addresses: Where the node of each layer stands in ``expanded``, by the layer's name.
        inferred: Shapes and element types of its tensors.
    """

    model: OnnxModel
    expanded: Expanded
    network: Network
    addresses: Mapping[str, Address]
    inferred: Inferred


@dataclass(frozen=True)
class _Findings:
    """What the graphs hold, with the shapes known so far."""

    main: Scope
    nodes: list[Node]
    convolutions: list[Node]  # the node of each layer
    layers: tuple[ConvLayer, ...]
    other_ops: tuple[OtherOp, ...]
    uncounted_ops: tuple[tuple[str, int], ...]
    names: Names  # of the layers

    @classmethod
    def of(cls, scope: Scope) -> _Findings:
        nodes = list(_visit(scope, Names()))
        convolutions = [node for node in nodes if node.op in CONV_OPS]
        names = Names()
        layers = tuple([conv_layer(node, names.of_layer(node.origin)) for node in convolutions])
        return cls(scope, nodes, convolutions, layers, *count_other_ops(nodes), names)

    @property
    def addresses(self) -> dict[str, Address]:
        """Where each layer's node stands, by the layer's name."""
        return {layer.name: node.address for layer, node in zip(self.layers, self.convolutions, strict=True)}

    def contradictions(self) -> Iterator[str]:
        """Warnings of layers that say their padding in two ways."""
        for layer, node in zip(self.layers, self.convolutions, strict=True):
            if ignores_pads(node):
                yield f"{layer.name}: {PADS_IGNORED}"

    @property
    def complete(self) -> bool:
        """Whether every shape that a count needs is known."""
        return all(map(_is_known, self.layers)) and all(op.reason != UNKNOWN_SHAPE for op in self.other_ops)

    @property
    def shapes(self) -> list[object]:
        """All that depends on shapes."""
        return [*map(_shapes, self.layers), self.other_ops]

    def telling(self, source: ShapeSource, earlier: _Findings) -> _Findings:
        """These findings, in which layers that know more of their sizes than earlier say from where."""
        layers = []
        for before, layer in zip(earlier.layers, self.layers, strict=True):
            news = (source,) if _shapes(layer) != _shapes(before) else ()
            told = (*before.shapes_from, *news)
            notes = (*layer.notes, *(_SOURCES[one] for one in told))
            layers.append(replace(layer, shapes_from=told, notes=notes))
        return replace(self, layers=tuple(layers))


def _visit(scope: Scope, paths: Names) -> Iterator[Node]:
    """All nodes in the order of execution, each followed by those of its bodies."""
    for node in scope.nodes():
        yield node
        bodies = node.bodies
        path = paths.unique(node.origin.path) if bodies else ""
        is_open = node.op == "If" and choice(node) is None
        for name, graph in bodies:
            calls = _nested_calls(scope.calls, iterations(node, name, graph))
            exclusive = (Branch(choice=path, arm=name),) if is_open else ()
            body = scope.body(
                node, name, path=f"{path}/{name}", calls=calls, branches=scope.branches + exclusive
            )
            yield from _visit(body, paths)


def _nested_calls(outer: Count | None, inner: Count | None) -> Count | None:
    """How often it runs that runs ``inner`` times in each of ``outer`` calls; never, if either is 0."""
    return 0 if 0 in (outer, inner) else multiply(outer, inner)


def _is_known(layer: ConvLayer) -> bool:
    return all(map(is_known, _shapes(layer)))


def _shapes(layer: ConvLayer) -> tuple[Shape | None, ...]:
    return layer.input_shape, layer.output_shape, layer.weight_shape
