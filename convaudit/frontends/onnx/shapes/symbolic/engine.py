"""The nodes one after the other, each with what is known of its operands; bodies of control flow as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import GraphProto, ModelProto, NodeProto, TypeProto, defs, shape_inference

from convaudit.errors import ConvauditError
from convaudit.formulas import Count, Formula, is_nonnegative
from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.shapes.inferred import Inferred
from convaudit.frontends.onnx.shapes.prepared import OURS
from convaudit.frontends.onnx.shapes.symbolic import control
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, sparse_tensor, stored_tensor
from convaudit.frontends.onnx.shapes.symbolic.rules import STANDARD, rule_of
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown, checked_shape
from convaudit.frontends.onnx.shapes.symbolic.values import evaluate
from convaudit.records import Shape

Tensors = dict[str, Tensor]
_MOST_ASSUMED = 32


def infer(model: ModelProto, inferred: Inferred) -> dict[Address, Tensors]:
    """What is known of the tensors of every graph, by the graph's address and the tensor's name.

    ``inferred`` holds what earlier stages found: it is used where no rule of ours knows more.
    """
    engine = Engine(model, inferred)
    engine.graph(model.graph, (), {})
    return engine.found


class Engine:
    """One pass over a model."""

    def __init__(self, model: ModelProto, inferred: Inferred) -> None:
        self._inferred = inferred
        self._opsets = {item.domain: item.version for item in model.opset_import}
        self._opsets.setdefault("", self._opsets.get("ai.onnx", 1))
        self._imports = list(model.opset_import)
        self._tokens: dict[str, Count] = {}
        self._assumed: list[Formula] = []
        self.found: dict[Address, Tensors] = {}

    def graph(self, graph: GraphProto, address: Address, outer: Mapping[str, Tensor]) -> Tensors:
        """What is known of the tensors of one graph, and of those around it."""
        known = dict(outer)
        own = self.found[address] = {}
        for value in graph.input:
            if value.name not in own:
                known[value.name] = own[value.name] = self._earlier(address, value.name, known)
        stored = [(tensor.name, stored_tensor(tensor)) for tensor in graph.initializer]
        stored += [(tensor.values.name, sparse_tensor(tensor)) for tensor in graph.sparse_initializer]
        for name, tensor in stored:
            known[name] = own[name] = tensor
        for index, node in enumerate(graph.node):
            results = self._results(node, (*address, index), known)
            for place, name in enumerate(node.output):
                if name:
                    result = results[place] if place < len(results) else Tensor()
                    known[name] = own[name] = self._merged(result, address, name)
                    self._assume(known[name].shape)
        return known

    def _earlier(self, address: Address, name: str, known: Mapping[str, Tensor]) -> Tensor:
        """What is known of a graph's input: given by the node around a body, or declared of the model."""
        given = known.get(name) if address else None
        if given is not None:
            return given
        return self._merged(Tensor(), address, name)

    def _results(self, node: NodeProto, address: Address, known: Mapping[str, Tensor]) -> Sequence[Tensor]:
        operands = [known.get(name) if name else None for name in node.input]
        opset = self._opsets.get(_domain(node.domain), self._opsets.get("", 1))
        call = Call(node, operands, opset, self._assumed)
        try:
            body = control.BODIES.get(node.op_type) if not _domain(node.domain) else None
            if body is not None:
                return body(self.graph, call, address, known)
            rule = rule_of(node.domain, node.op_type)
            results = list(rule(call)) if rule is not None else self._by_onnx(call)
            value = evaluate(call, results[0].dtype) if results else None
        except (Unknown, ConvauditError, ValueError, TypeError, IndexError, ZeroDivisionError):
            return []
        except RecursionError:  # a formula nested too deeply to calculate with
            return []
        results = [result._replace(shape=checked_shape(result.shape)) for result in results]
        if value is not None and results[0].value is None:
            results[0] = results[0]._replace(value=value, shape=value.shape)
        return results

    def _merged(self, result: Tensor, address: Address, name: str) -> Tensor:
        """A result, with sizes that only an earlier stage knows."""
        shape = result.shape
        if shape is None or None in shape:
            earlier = checked_shape(self._inferred.shape(address, name))
            if shape is None:
                shape = earlier
            elif earlier is not None and len(earlier) == len(shape):
                shape = tuple([a if a is not None else b for a, b in zip(shape, earlier, strict=True)])
        return Tensor(result.dtype or self._inferred.element_type(address, name), shape, result.value)

    def _assume(self, shape: Shape | None) -> None:
        """Note sizes of tensors that no proof, but every run, has as 0 or more."""
        for size in shape or ():
            if (
                isinstance(size, Formula)
                and len(self._assumed) < _MOST_ASSUMED
                and size not in self._assumed
                and not is_nonnegative(size)
            ):
                self._assumed.append(size)

    # --- ops whose shape onnx's own rule tells -----------------------------------------------------------

    def _by_onnx(self, call: Call) -> list[Tensor]:
        """Results of one of ONNX's own ops, by onnx's inference of the single node, formulas as names."""
        node = call.node
        if _domain(node.domain) or node.op_type not in STANDARD:
            raise Unknown
        try:
            schema = defs.get_schema(node.op_type, call.opset, "")
            types = {
                name: self._type(operand or Tensor())
                for name, operand in zip(node.input, call.operands, strict=True)
                if name
            }
            found = shape_inference.infer_node_outputs(schema, node, types, opset_imports=self._imports)
        except (defs.SchemaError, shape_inference.InferenceError, RuntimeError, KeyError):
            raise Unknown from None
        return [self._tensor(found.get(name)) for name in node.output]

    def _type(self, tensor: Tensor) -> TypeProto:
        result = TypeProto()
        result.tensor_type.elem_type = tensor.dtype
        if tensor.shape is not None:
            result.tensor_type.shape.SetInParent()
            for size in tensor.shape:
                dim = result.tensor_type.shape.dim.add()
                if isinstance(size, int):
                    dim.dim_value = size
                elif size is not None:
                    dim.dim_param = self._token(size)
        return result

    def _token(self, size: Count) -> str:
        for token, meaning in self._tokens.items():
            if meaning == size:
                return token
        token = f"size_{len(self._tokens)}"
        self._tokens[token] = size
        return token

    def _tensor(self, found: TypeProto | None) -> Tensor:
        if found is None or not found.HasField("tensor_type"):
            return Tensor()
        kind = found.tensor_type
        if not kind.HasField("shape"):
            return Tensor(kind.elem_type)
        sizes = [
            dim.dim_value if dim.HasField("dim_value") else self._tokens.get(dim.dim_param)
            for dim in kind.shape.dim
        ]
        return Tensor(kind.elem_type, tuple(sizes))


def _domain(domain: str) -> str:
    return "" if domain in ("ai.onnx", OURS) else domain
