"""Constant folding of shape arithmetic, which shape inference cannot follow through every op.

Exporters write even a fixed padding as a dozen nodes (ConstantOfShape, Concat, Reshape, Slice, Transpose,
Cast in front of a Pad). Only small tensors are computed; weights are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, helper, numpy_helper

from convaudit.loaders.tensors import decode
from convaudit.walkers.onnx.functions import Address
from convaudit.walkers.onnx.inferred import Inferred

Values = dict[str, np.ndarray]

_LARGEST = 1024  # elements; a shape has a handful
_FOLDABLE = frozenset(
    {"Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Flatten", "Floor", "Gather"}
    | {"Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Range", "ReduceMax"}
    | {"ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterND", "Slice", "Split", "Sqrt"}
    | {"Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"}
)


def fold_constants(model: ModelProto, inferred: Inferred) -> ModelProto | None:
    """A copy of ``model`` in which small constant results are Constant nodes; every node keeps its place.

    None if there is nothing to fold.
    """
    folded = ModelProto()
    folded.CopyFrom(model)
    folding = _Folding(inferred, model.opset_import)
    folding.graph(folded.graph, (), {})
    return folded if folding.changed else None


class _Folding:
    def __init__(self, inferred: Inferred, opsets: Iterable[OperatorSetIdProto]) -> None:
        self._inferred = inferred
        self._opsets = list(opsets)
        self.changed = False

    def graph(self, graph: GraphProto, address: Address, outer: Values) -> None:
        values = dict(outer)
        values.update((tensor.name, _array(tensor)) for tensor in graph.initializer if _is_small(tensor))
        for index, node in enumerate(graph.node):
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self.graph(attribute.g, (*address, index, attribute.name), values)
            results = self._results(node, address, values)
            if results is not None:
                values.update(results)
                if len(node.output) == 1 and node.op_type != "Constant":
                    _replace(node, values[node.output[0]])
                    self.changed = True

    def _results(self, node: NodeProto, address: Address, values: Values) -> Values | None:
        """Values of a node's outputs where all of them are small constants."""
        if node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Shape":
            return self._shape(node, address)
        if node.op_type == "Constant":
            return self._evaluate(node, {}) if _is_small_constant(node) else None
        operands = {name: values.get(name) for name in node.input if name}
        known = {name: value for name, value in operands.items() if value is not None}
        if node.op_type not in _FOLDABLE or len(known) < len(operands):
            return None
        return self._evaluate(node, known)

    def _shape(self, node: NodeProto, address: Address) -> Values | None:
        shape = self._inferred.shape(address, node.input[0]) if node.input else None
        if shape is None or node.attribute or len(node.output) != 1:
            return None
        if not all(isinstance(size, int) for size in shape):
            return None
        return {node.output[0]: np.array(shape, dtype=np.int64)}

    def _evaluate(self, node: NodeProto, operands: Values) -> Values | None:
        from onnx.reference import ReferenceEvaluator

        inputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in operands]
        outputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output]
        graph = helper.make_graph([node], "fold", inputs, outputs)
        try:
            if _explodes(node, operands):
                return None
            model = helper.make_model(graph, opset_imports=self._opsets)
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(model).run(None, operands)
        except Exception:  # an invalid node is not ours to judge; its result stays unknown
            return None
        if any(not isinstance(result, np.ndarray) or result.size > _LARGEST for result in results):
            return None
        return dict(zip(node.output, results, strict=True))


def _is_small(tensor: TensorProto) -> bool:
    return (
        tensor.data_location != TensorProto.EXTERNAL and 0 <= np.prod(tensor.dims, dtype=object) <= _LARGEST
    )


def _is_small_constant(node: NodeProto) -> bool:
    return all(not attribute.HasField("t") or _is_small(attribute.t) for attribute in node.attribute)


def _array(tensor: TensorProto) -> np.ndarray:
    return decode(tensor, None, "raw_data", f"tensor {tensor.name!r}")


def _explodes(node: NodeProto, operands: Values) -> bool:
    """Whether the result would be large although the operands are small."""
    if node.op_type == "ConstantOfShape":
        return bool(np.prod(next(iter(operands.values())), dtype=object) > _LARGEST)
    if node.op_type == "Range":
        start, limit, step = (operands[name].item() for name in node.input)
        return not step or (limit - start) / step > _LARGEST
    return False


def _replace(node: NodeProto, value: np.ndarray) -> None:
    del node.input[:]
    del node.attribute[:]
    node.op_type, node.domain = "Constant", ""
    node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.asarray(value))))
