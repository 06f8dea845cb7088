"""Which tensors of an ONNX model live at once, in the order of its nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from convaudit.analyzer.costs import tensor_bytes
from convaudit.analyzer.liveness import Step, live_activations, most_of
from convaudit.formulas import Count, product
from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.loops import choice
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS
from convaudit.frontends.onnx.walker.scopes import Node, Scope
from convaudit.records import LiveActivations

_WHOLE = frozenset(
    {"Dropout", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Ops whose first output is their first operand, seen with other axes: no runtime has to copy it."""
_PART = frozenset({"Slice", "Split"})
_FOLDED = frozenset({"Shape", "Size"})
"""Ops whose result needs no values: with their input's size it is a constant."""
_DRAWN = frozenset({"RandomNormal", "RandomUniform"})
"""Ops without operands whose result is not a constant."""


def live_in(nodes: Sequence[Node], main: Scope) -> LiveActivations:
    """How many bytes of activations live at once, at least.

    Tensors that are stored, or computed from those alone, are not activations. While a body runs, what it
    makes lives beside what the graphs around it need later; of exclusive branches the costlier one counts.

    Args:
        nodes: All nodes of the model in the order of execution, each followed by those of its bodies.
        main: The main graph.
    """
    return _Graphs(nodes, main).live()


class _Graphs:
    def __init__(self, nodes: Sequence[Node], main: Scope) -> None:
        self._scopes: dict[Address, Scope] = {(): main}
        self._nodes: defaultdict[Address, list[Node]] = defaultdict(list)
        for node in nodes:
            self._scopes.setdefault(node.scope.address, node.scope)
            self._nodes[node.scope.address].append(node)
        self._active: dict[Address, set[str]] = {}
        self._steps: dict[Address, list[tuple[Node, Sequence[str]]]] = {}
        for address, scope in self._scopes.items():
            self._look(address, scope)
        self._free: dict[Address, set[str]] = {}
        self._found: dict[Address, LiveActivations] = {}

    def live(self) -> LiveActivations:
        for address in reversed(self._scopes):  # bodies before the graphs around them
            self._found[address] = self._of_graph(address)
        return self._found[()]

    def _look(self, address: Address, scope: Scope) -> None:
        """Note which tensors of a graph are activations, and which nodes make them."""
        active = {value.name for value in scope.graph.input if value.name not in scope.stored}
        self._active[address] = active
        self._steps[address] = []
        for node in self._nodes[address]:
            op = node.proto.op_type
            reads = list(
                dict.fromkeys(name for name in node.proto.input if name and self._is_active(scope, name))
            )
            if (reads and op not in _FOLDED) or op in _DRAWN or node.bodies:
                active.update(name for name in node.proto.output if name)
                self._steps[address].append((node, reads))

    def _is_active(self, scope: Scope, name: str) -> bool:
        inside: Scope | None = scope
        while inside is not None:
            if name in self._active[inside.address]:
                return True
            inside = None if inside.defines(name) else inside.parent
        return False

    def _of_graph(self, address: Address) -> LiveActivations:
        scope = self._scopes[address]
        own = self._active[address]
        steps = [self._step(node, reads) for node, reads in self._steps[address]]
        self._free[address] = {name for step in steps for name in step.reads if name not in own}
        given = {value.name for value in scope.graph.input}
        charged = own if not address else own - given  # a body is given what the graphs around it count

        def size(name: str) -> Count | None:
            return tensor_bytes(product(scope.shape(name)), scope.dtype(name)) if name in charged else 0

        outputs = [value.name for value in scope.graph.output if value.name in own]
        return live_activations(steps, given & charged, outputs, size)

    def _step(self, node: Node, reads: Sequence[str]) -> Step:
        op = node.op
        bodies = [address for name, _ in node.bodies if (address := (*node.address, name)) in self._found]
        if bodies:
            captured = {name for address in bodies for name in self._free[address]}
            reads = list(dict.fromkeys([*reads, *sorted(captured)]))
        writes = [name for name in node.proto.output if name]
        return Step(
            name=node.origin.path,
            reads=reads,
            writes=writes,
            together=op in CONV_OPS
            or (op in MULTIPLYING_OPS and (op != "Einsum" or len(node.proto.input) > 1)),
            over=_added(op, node),
            view=_view(op, node, reads),
            inside=most_of(self._found[one] for one in bodies if _may_run(node, one)) if bodies else None,
        )


def _added(op: str, node: Node) -> Sequence[str]:
    """The operands that a multiplying op adds and does nothing else with, as onnxruntime's residuals."""
    names = list(node.proto.input)
    if op in CONV_OPS:
        added = {at for at, role in enumerate(CONV_OPS[op].roles) if role in ("bias", "residual")}
    elif op in MULTIPLYING_OPS:
        added = set(MULTIPLYING_OPS[op].added)
    else:
        return ()
    return [names[at] for at in sorted(added) if at < len(names) and names.count(names[at]) == 1]


def _view(op: str, node: Node, reads: Sequence[str]) -> Literal["whole", "part"] | None:
    if not reads or node.input(0) != reads[0]:
        return None  # a constant is reshaped
    if op in _WHOLE and len(node.proto.output) == 1:
        return "whole"
    return "part" if op in _PART else None


def _may_run(node: Node, body: Address) -> bool:
    return node.op != "If" or choice(node) in (None, body[-1])
