"""Where a node's operands are stored: behind them may be a chain of layout and type changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from onnx import SparseTensorProto, TensorProto

from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.loader.tensors import decode, dtype_name
from convaudit.frontends.onnx.walker.scopes import Scope
from convaudit.records import Shape
from convaudit.shapes import known_elements

# Ops whose result is their first operand in another layout, type or scale.
PASS_THROUGH = frozenset(
    {"Identity", "Cast", "CastLike", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "Flatten"}
    | {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
)
_CONSTANTS = ("Constant", "ConstantOfShape")
_DOMAINS = ("", "ai.onnx", "com.microsoft")  # com.microsoft has its own QuantizeLinear and DequantizeLinear


@dataclass(frozen=True, slots=True)
class TracedOperand:
    """An operand of a node, and the stored tensor behind it."""

    shape: Shape | None  # as the node sees it
    dtype: str  # as it is stored
    name: str | None  # of the stored tensor, unique in the model; None: computed at run time
    elements: int | None  # as stored: of a sparse tensor those that are there

    @property
    def is_partly_stored(self) -> bool:
        """Whether fewer (or more) elements are stored than the node sees."""
        return self.elements is not None and known_elements(self.shape) not in (None, self.elements)


def trace(scope: Scope, name: str) -> TracedOperand:
    """Follow an operand back to the tensor that it is stored as, if it is.

    Args:
        scope: Where the node stands that reads it.
        name: Name of the operand, in that scope.
    """
    shape = scope.shape(name)
    home, stored = _stored_tensor(scope, name)
    if home is None:
        return TracedOperand(shape, scope.dtype(name), None, None)
    tensor = _tensor(home, stored)
    if tensor is None:
        kept = home.shape(stored)
        return TracedOperand(shape, home.dtype(stored), home.key(stored), known_elements(kept))
    values = tensor.values if isinstance(tensor, SparseTensorProto) else tensor
    shape = _kept_shape(scope, name) if shape is None else shape
    return TracedOperand(shape, dtype_name(values.data_type), home.key(stored), prod(values.dims))


def trace_all(scope: Scope, name: str) -> Iterator[TracedOperand]:
    """Every stored tensor that ``name`` may be: those that bodies of control flow hand out, too."""
    seen: set[tuple[Address, str]] = set()
    waiting = [(scope, name)]
    while waiting:
        inside, inner = waiting.pop()
        home, made = _behind(inside, inner)
        if home is None:
            continue
        if made in home.producers and home.producers[made].op_type not in _CONSTANTS:
            if (home.address, made) not in seen:
                seen.add((home.address, made))
                waiting += home.makers(made)
        elif (parameter := trace(inside, inner)).name is not None:
            yield parameter


def stored_integers(scope: Scope, name: str) -> list[int] | None:
    """Values of a stored list of integers, or of one; None if the structure holds none."""
    home, stored = _stored_tensor(scope, name)
    if home is None:
        return None
    tensor = _tensor(home, stored)
    if tensor is None:
        attributes = home.producers[stored].attribute
        values = [[*item.ints] or [item.i] for item in attributes if item.name in ("value_int", "value_ints")]
        return values[0] if values else None
    if not isinstance(tensor, TensorProto) or tensor.data_location == TensorProto.EXTERNAL:
        return None
    array = decode(tensor, None, "raw_data", f"tensor {tensor.name!r}")
    return [int(value) for value in array.ravel()] if array.dtype.kind in "iub" else None


def _tensor(home: Scope, name: str) -> TensorProto | SparseTensorProto | None:
    """A stored tensor as the file has it; None if it is written as numbers or as a shape."""
    if name in home.stored:
        return home.stored[name]
    found: TensorProto | SparseTensorProto | None = None
    node = home.producers[name]
    for attribute in node.attribute if node.op_type == "Constant" else ():
        if attribute.name in ("value", "sparse_value"):
            found = attribute.t if attribute.name == "value" else attribute.sparse_tensor
    return found


def _stored_tensor(scope: Scope, name: str) -> tuple[Scope | None, str]:
    """The scope and name of the stored tensor behind ``name``; no scope if it is computed at run time."""
    home, name = _behind(scope, name)
    if home is None or _is_stored(home, name):
        return home, name
    node = home.producers.get(name)
    if node is not None and node.op_type == "ConstantOfShape" and node.input:
        # of a stored shape it is a constant; of a computed one, zeros made at run time
        shape_home, shape = _behind(home, node.input[0])
        if shape_home is not None and _is_stored(shape_home, shape):
            return home, name
    return None, name


def _is_stored(home: Scope, name: str) -> bool:
    return name in home.stored or (name in home.producers and home.producers[name].op_type == "Constant")


def _behind(scope: Scope, name: str) -> tuple[Scope | None, str]:
    """What stands before all changes of layout, type and scale, and its scope; none if nothing defines it."""
    # a valid graph has no cycles; an invalid one must not hang us
    for _ in range(_LONGEST_CHAIN):
        home = scope.home(name)
        node = home.producers.get(name) if home is not None else None
        if home is None or node is None or name in home.stored:
            return home, name
        passes = node.op_type in PASS_THROUGH and node.domain in _DOMAINS and name == node.output[0]
        if not passes or not node.input:
            return home, name
        scope, name = home, node.input[0]
    return None, name


def is_dequantised(scope: Scope, name: str) -> bool:
    """Whether a DequantizeLinear stands between an operand and the stored tensor behind it."""
    for _ in range(_LONGEST_CHAIN):
        home = scope.home(name)
        node = home.producers.get(name) if home is not None else None
        if home is None or node is None or not node.input or node.op_type not in PASS_THROUGH:
            return False
        if node.op_type == "DequantizeLinear":
            return True
        scope, name = home, node.input[0]
    return False


_LONGEST_CHAIN = 64


def _kept_shape(scope: Scope, name: str) -> Shape | None:
    """Shape behind ops that inference does not know but that keep it: com.microsoft's dequantisation."""
    for _ in range(_LONGEST_CHAIN):
        shape, home = scope.shape(name), scope.home(name)
        if shape is not None or home is None:
            return shape
        node = home.producers.get(name)
        if node is None or node.op_type not in ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear"):
            return None
        scope, name = home, node.input[0]
    return None
