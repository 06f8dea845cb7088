"""Results of If, Loop and Scan, from those of their bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from onnx import GraphProto, TensorProto

from convaudit.formulas import Count, maximum
from convaudit.frontends.onnx.graphs import Address, bodies
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, normalized
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown, joined
from convaudit.records import Shape

Look: TypeAlias = "Callable[[GraphProto, Address, Mapping[str, Tensor]], Mapping[str, Tensor]]"
"""Tells what is known of the tensors of a body, from what is known around it."""
BodyRule: TypeAlias = "Callable[[Look, Call, Address, Mapping[str, Tensor]], Sequence[Tensor]]"
_MOST_ROUNDS = 8


def _if(look: Look, call: Call, address: Address, known: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """What both branches have in common, or what the only one has that can run."""
    arms = {
        name: _outputs(look, graph, (*address, name), known)
        for name, graph in bodies(call.node)
        if name in ("then_branch", "else_branch")
    }
    if len(arms) != 2:
        raise Unknown
    chosen = _scalar(call.tensor(0))
    if chosen is not None:
        return arms["then_branch" if chosen else "else_branch"]
    return [_common(a, b) for a, b in zip(arms["then_branch"], arms["else_branch"], strict=False)]


def _loop(look: Look, call: Call, address: Address, known: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """A body that runs on what it carries: only what no iteration changes is known of that."""
    body = _body(call)
    carried = [call.tensor(index)._replace(value=None) for index in range(2, len(call.node.input))]
    names = [value.name for value in body.input]
    if len(names) != 2 + len(carried) or len(body.output) < 1 + len(carried):
        _look_inside(look, body, address, known)
        raise Unknown
    fixed = {names[0]: Tensor(TensorProto.INT64, ()), names[1]: Tensor(TensorProto.BOOL, ())}
    states, results = _settled(look, body, address, known, fixed, names[2:], carried, first=1)
    trips = _trips(call, results[0], body)
    scanned = [
        Tensor(result.dtype, None if result.shape is None else (trips, *result.shape))
        for result in results[1 + len(carried) :]
    ]
    return [*states, *scanned]


def _trips(call: Call, condition: Tensor, body: GraphProto) -> Count | None:
    """Iterations of a Loop whose condition is always true."""
    if call.has(1) and _scalar(call.tensor(1)) != 1:
        return None
    passed = body.output[0].name == body.input[1].name or _passes_on(body)
    if not passed and _scalar(condition) != 1:
        return None
    count = _scalar(call.tensor(0)) if call.has(0) else None
    return None if count is None else maximum(count, 0)


def _passes_on(body: GraphProto) -> bool:
    """Whether the condition that goes in comes out unchanged."""
    sources = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    name = body.output[0].name
    for _ in range(len(sources)):
        name = sources.get(name, name)
    return bool(name == body.input[1].name)


def _scan(look: Look, call: Call, address: Address, known: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """A body that runs on slices of its last operands."""
    if call.opset < 9:
        raise Unknown
    body = _body(call)
    scanned = call.attributes.integer("num_scan_inputs", 0)
    count = len(call.node.input) - scanned
    names = [value.name for value in body.input]
    if scanned < 1 or count < 0 or len(names) != len(call.node.input) or len(body.output) < count:
        _look_inside(look, body, address, known)
        raise Unknown
    axes = call.attributes.integers("scan_input_axes") or [0] * scanned
    length: Count | None = None
    fixed: dict[str, Tensor] = {}
    for index, axis in zip(range(count, count + scanned), axes, strict=True):
        operand = call.tensor(index)
        row: Shape | None = None
        if operand.shape is not None:
            place = normalized(axis, len(operand.shape))
            length = operand.shape[place] if length is None else length
            row = operand.shape[:place] + operand.shape[place + 1 :]
        fixed[names[index]] = Tensor(operand.dtype, row)
    carried = [call.tensor(index)._replace(value=None) for index in range(count)]
    states, results = _settled(look, body, address, known, fixed, names[:count], carried, first=0)
    outputs = call.attributes.integers("scan_output_axes") or [0] * (len(results) - count)
    return [
        *states,
        *(_stacked(result, axis, length) for result, axis in zip(results[count:], outputs, strict=True)),
    ]


def _stacked(result: Tensor, axis: int, length: Count | None) -> Tensor:
    if result.shape is None:
        return Tensor(result.dtype)
    place = normalized(axis, len(result.shape) + 1)
    return Tensor(result.dtype, (*result.shape[:place], length, *result.shape[place:]))


def _settled(
    look: Look,
    body: GraphProto,
    address: Address,
    known: Mapping[str, Tensor],
    fixed: Mapping[str, Tensor],
    names: Sequence[str],
    carried: Sequence[Tensor],
    first: int,
) -> tuple[list[Tensor], list[Tensor]]:
    """States and results of a body once another iteration changes nothing that is known."""
    states = list(carried)
    for _ in range(_MOST_ROUNDS):
        inside = {**known, **fixed, **dict(zip(names, states, strict=True))}
        results = _outputs(look, body, (*address, "body"), inside)
        after = [_common(a, b) for a, b in zip(states, results[first:], strict=False)]
        if [state.shape for state in after] == [state.shape for state in states]:
            return after, results
        states = after
    states = [Tensor(state.dtype) for state in states]
    inside = {**known, **fixed, **dict(zip(names, states, strict=True))}
    return states, _outputs(look, body, (*address, "body"), inside)


def _look_inside(look: Look, body: GraphProto, address: Address, known: Mapping[str, Tensor]) -> None:
    """A malformed node spoils only its own results: of its body all is known that needs no formal input."""
    nothing = {value.name: Tensor() for value in body.input}
    _outputs(look, body, (*address, "body"), {**known, **nothing})


def _outputs(look: Look, graph: GraphProto, address: Address, known: Mapping[str, Tensor]) -> list[Tensor]:
    inside = look(graph, address, known)
    return [inside.get(value.name, Tensor()) for value in graph.output]


def _common(first: Tensor, second: Tensor) -> Tensor:
    return Tensor(first.dtype if first.dtype == second.dtype else 0, joined(first.shape, second.shape))


def _scalar(tensor: Tensor) -> Count | None:
    """The value of a tensor of one element."""
    if tensor.value is None or tensor.value.size != 1:
        return None
    element: Count | None = tensor.value.ravel()[0]
    return element


def _body(call: Call) -> GraphProto:
    graphs = dict(bodies(call.node))
    if "body" not in graphs:
        raise Unknown
    return graphs["body"]


BODIES: dict[str, BodyRule] = {"If": _if, "Loop": _loop, "Scan": _scan}
"""By op type."""
