"""Inner tensors made outputs of the model, those in the bodies of If, Loop and Scan too.

A body's tensor is handed out level by level. Through an If it is one more output, for which the other branch
gives an empty tensor; through a Loop it is one more state variable, so that the last iteration's value
arrives; through a Scan it is one more scan output, of which the last element counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, shape_inference

from convaudit.errors import ExecutionError, first_line
from convaudit.frontends.onnx.graphs import Address, Graphs, bodies, body, graphs
from convaudit.frontends.onnx.loader.tensors import data_type
from convaudit.frontends.onnx.shapes.misinferred import hazard

RANDOM = {
    *("Bernoulli", "Dropout", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}
_LOOP_OWN = 2  # a Loop's own inputs (trip count, condition), and its body's (iteration, condition)


@dataclass(frozen=True)
class Exposed:
    """An output of the model that carries an inner tensor."""

    name: str
    scans: int = 0  # leading axes that count the iterations of Scans around it


class Exposure:
    """Changes a model, in place, so that chosen tensors are its outputs and nothing else is."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._graphs = Graphs(model)
        self._exposed: dict[tuple[Address, str], Exposed] = {}
        self._types: dict[tuple[Address, str], int] = {}
        self._fresh = 0
        del model.graph.output[:]

    def node(self, address: Address) -> NodeProto:
        """The node at an address, as it runs."""
        return self._graphs.node(address)

    def expose(self, graph: Address, name: str, dtype: str = "unknown") -> Exposed:
        """Make a tensor an output of the model; of a body that did not run, it arrives without elements.

        Args:
            graph: Address of the graph that defines it.
            name: Its name there.
            dtype: Its element type as far as that is known; inference may still find it.

        Raises:
            ExecutionError: There is no way out of a body.
        """
        key = (graph, name)
        if key not in self._exposed:
            exposed = self._carry(graph, name, dtype)
            self._model.graph.output.append(ValueInfoProto(name=exposed.name))
            self._exposed[key] = exposed
        return self._exposed[key]

    def _carry(self, graph: Address, name: str, dtype: str) -> Exposed:
        element_type = data_type(dtype) or self._type(graph, name) if graph else TensorProto.UNDEFINED
        scans = 0
        while graph:
            parent, attribute = self._graphs.at(graph[:-2]).graph, str(graph[-1])
            node = parent.node[int(graph[-2])]
            if node.op_type == "If":
                name = self._through_if(node, attribute, name, element_type)
            elif node.op_type == "Loop":
                name = self._through_loop(parent, node, name, element_type)
            elif node.op_type == "Scan":
                name = self._through_scan(node, name)
                scans += 1
            else:
                raise ExecutionError(f"it is in the body of {node.op_type}, which onnxruntime does not open")
            graph = graph[:-2]
        return Exposed(name, scans)

    def _through_if(self, node: NodeProto, attribute: str, name: str, element_type: int) -> str:
        for branch, graph in bodies(node):
            source = name if branch == attribute else self._empty(graph, element_type)
            self._hand_out(graph, source)
        return self._output(node, len(node.output))

    def _through_loop(self, parent: GraphProto, node: NodeProto, name: str, element_type: int) -> str:
        graph = body(node, "body")
        states = len(graph.input) - _LOOP_OWN
        node.input.extend([""] * (_LOOP_OWN - len(node.input)))
        node.input.append(self._empty(parent, element_type))
        state = helper.make_tensor_value_info(self._name(), element_type, None)
        graph.input.append(state)
        self._hand_out(graph, name, position=1 + states)  # behind the condition and the states
        return self._output(node, states)

    def _through_scan(self, node: NodeProto, name: str) -> str:
        self._hand_out(body(node, "body"), name)
        for attribute in node.attribute:
            if attribute.name in ("scan_output_axes", "scan_output_directions"):
                attribute.ints.append(0)
        return self._output(node, len(node.output))

    def _hand_out(self, graph: GraphProto, name: str, position: int | None = None) -> None:
        """Let ``name`` be an output of a body, at a position or at the end."""
        handed = self._name()
        graph.node.append(helper.make_node("Identity", [name], [handed]))
        graph.output.insert(len(graph.output) if position is None else position, ValueInfoProto(name=handed))

    def _output(self, node: NodeProto, position: int) -> str:
        """A new output of a control-flow node, at a position."""
        node.output.extend(self._name() for _ in range(position - len(node.output)))
        name = self._name()
        node.output.insert(position, name)
        return name

    def _empty(self, graph: GraphProto, element_type: int) -> str:
        """A tensor without elements; an initializer, as a new node would shift the others' addresses."""
        name = self._name()
        graph.initializer.append(TensorProto(name=name, dims=[0], data_type=element_type))
        return name

    def _name(self) -> str:
        self._fresh += 1
        return f"convaudit.exposed.{self._fresh}"

    def _type(self, graph: Address, name: str) -> int:
        if not self._types:
            self._types = dict(_element_types(self._model))
        if (graph, name) not in self._types:
            raise ExecutionError(f"the element type of {name!r} in its body is unknown")
        return self._types[graph, name]


def _element_types(model: ModelProto) -> Iterator[tuple[tuple[Address, str], int]]:
    """Element types that shape inference finds, by graph and name."""
    danger = hazard(model)
    if danger:
        raise ExecutionError(f"types inside bodies are unknown: {danger}")
    try:
        inferred = shape_inference.infer_shapes(model)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ExecutionError(f"types inside bodies are unknown: {first_line(error)}") from None
    for address, graph in graphs(inferred.graph):
        for value in (*graph.value_info, *graph.input, *graph.output):
            if value.type.tensor_type.elem_type:
                yield (address, value.name), value.type.tensor_type.elem_type


def prune(graph: GraphProto) -> None:
    """Leave out, in place, the nodes, inputs and constants that no output of a main graph depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= _read(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for values in (graph.initializer, graph.input):
        wanted = [value for value in values if value.name in needed]
        del values[:]
        values.extend(wanted)


def unvarying(graph: GraphProto, varying: set[str]) -> set[str]:
    """Names that nodes of a main graph make without chance, and from nothing that varies.

    Args:
        graph: Its nodes are in order.
        varying: Names that vary, such as those of the inputs that are fed.
    """
    varying, made = set(varying), set()
    for node in graph.node:
        if node.op_type in RANDOM or not varying.isdisjoint((*node.output, *_read(node))):
            varying.update(node.output)
        else:
            made.update(node.output)
    return made


def _read(node: NodeProto) -> set[str]:
    """Names that a node reads, and those that its bodies do."""
    names = set(node.input)
    for _, graph in bodies(node):
        names |= {value.name for value in graph.output}
        for inner in graph.node:
            names |= _read(inner)
    return names
