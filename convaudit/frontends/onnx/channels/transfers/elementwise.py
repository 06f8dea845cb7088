"""Ops that work element by element, with broadcasting: their values by ONNX's reference implementation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, TensorProto, ValueInfoProto, helper

from convaudit.frontends.onnx.channels.compressed import check_size, unbroadcast
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, first
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown

_NUMPY_BROADCASTING = 7  # since this opset; before, an attribute said how
_CLIP_OPERANDS = 11  # since this opset; before, they were attributes
_NEWEST = 21
_INTEGER_TYPES = {getattr(TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)}
_BROADCASTING = ("broadcast", "axis")


def evaluated(node: NodeProto, opset: int, operands: list[NDArray[Any] | None]) -> NDArray[Any]:
    """The first result of a node of ONNX's own; Unknown is raised where the reference does not give it."""
    attributes = tuple(sorted(attribute.SerializeToString() for attribute in node.attribute))
    types = tuple(None if operand is None else (operand.dtype, operand.shape) for operand in operands)
    feeds: dict[str, Any] = {
        f"x{index}": operand for index, operand in enumerate(operands) if operand is not None
    }
    try:
        with np.errstate(all="ignore"):
            results: Any = _reference(node.op_type, attributes, types, opset).run(None, feeds)
            return np.asarray(results[0])
    except Exception as error:  # an op or type that it does not have, or operands that do not fit
        raise Unknown from error


@lru_cache(maxsize=256)
def _reference(
    op_type: str,
    attributes: tuple[bytes, ...],
    types: tuple[tuple[np.dtype[Any], tuple[int, ...]] | None, ...],
    opset: int,
) -> Any:
    """What evaluates such a node, whatever its tensors are called."""
    from onnx.reference import ReferenceEvaluator

    names = [f"x{index}" if there else "" for index, there in enumerate(types)]
    node = NodeProto(op_type=op_type, input=names, output=["y"])
    node.attribute.extend(AttributeProto.FromString(attribute) for attribute in attributes)
    inputs = [  # some ops are functions whose body depends on their operands' type
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(there[0]), there[1])
        for name, there in zip(names, types, strict=True)
        if there is not None
    ]
    graph = helper.make_graph([node], "one", inputs, [ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model)


def _forward(site: Site) -> Results:
    _check_broadcasting(site)
    operands = [site.known(index) if site.has(index) else None for index in range(len(site.node.input))]
    mask: Mask = np.ones((), np.bool_)
    for index, operand in enumerate(operands):
        if operand is None and site.has(index):
            raise Unknown
        if operand is not None:
            check_size(*np.broadcast_shapes(mask.shape, operand.mask.shape))
            mask = mask & operand.mask
    if not mask.any():
        raise Unknown
    values = evaluated(
        site.node, site.opset, [None if operand is None else operand.values for operand in operands]
    )
    return [KnownElements(mask, values)]


def _backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    _check_broadcasting(site)
    mask = first(wanted)
    return [
        unbroadcast(mask, site.shape(index)) if site.has(index) else None for index in range(len(site.inputs))
    ]


def _check_broadcasting(site: Site) -> None:
    if site.opset < _NUMPY_BROADCASTING and any(name in site.attributes for name in _BROADCASTING):
        raise Unknown


def _same(site: Site) -> Results:
    return [site.known()]


def _absorbed(absorbing: int) -> Transfer:
    """An op of two operands of which one, if it is that number, alone makes the result the same number."""

    def forward(site: Site) -> Results:
        _check_broadcasting(site)
        operands = [site.known(index) for index in range(len(site.inputs))]
        try:
            known = _forward(site)[0]
        except Unknown:
            known = None
        for operand in operands:
            if operand is None:
                continue
            absorbed = operand.mask & (operand.values == absorbing)
            if absorbed.any():
                number = np.asarray(absorbing, operand.values.dtype)
                known = _joined(KnownElements(absorbed, number), known)
        return [known]

    return Transfer(forward, _backward, absorbs=True)


def _joined(known: KnownElements, other: KnownElements | None) -> KnownElements:
    if other is None:
        return known
    check_size(*np.broadcast_shapes(known.mask.shape, known.values.shape, other.values.shape))
    return KnownElements(known.mask | other.mask, np.where(other.mask, other.values, known.values))


def _where(site: Site) -> Results:
    condition, yes, no = (site.known(index) for index in range(3))
    found: KnownElements | None = None
    for chosen, operand in ((True, yes), (False, no)):
        if condition is not None and operand is not None:
            mask = condition.mask & (condition.values == chosen) & operand.mask
            found = _joined(KnownElements(mask, operand.values), found)
    if yes is not None and no is not None:
        either = KnownElements(yes.mask & no.mask & (yes.values == no.values), yes.values)
        found = _joined(either, found)
    return [found]


def _cast(site: Site) -> Results:
    """A cast; of a number that the integers do not hold, each processor makes something else."""
    known = site.known()
    number = site.attributes.integer("to", 0)
    if known is None or known.values.dtype.kind != "f" or number not in _INTEGER_TYPES:
        return _forward(site)
    limits = np.iinfo(helper.tensor_dtype_to_np_dtype(number))
    mask = known.mask & (known.values > float(limits.min) - 1) & (known.values < float(limits.max) + 1)
    values = np.where(mask, known.values, 0)
    return [KnownElements(mask, np.trunc(values).astype(limits.dtype))]


def _clip(site: Site) -> Results:
    if site.opset >= _CLIP_OPERANDS:
        return _forward(site)
    known = site.known()
    if known is None:
        return [None]
    lowest, highest = site.attributes.real("min", -np.inf), site.attributes.real("max", np.inf)
    clipped = np.clip(known.values, lowest, highest)  # what the reference does not do of that opset
    return [KnownElements(known.mask, np.asarray(clipped.astype(known.values.dtype)))]


def _contributed(op: str, **attributes: Any) -> Transfer:
    """An activation of onnxruntime's that ONNX has under another name."""

    def forward(site: Site) -> Results:
        known = site.known()
        if known is None or site.has(1):
            raise Unknown
        node = helper.make_node(op, ["x"], ["y"], **attributes)
        return [KnownElements(known.mask, evaluated(node, _NEWEST, [known.values]))]

    return Transfer(forward, _backward)


BY_ELEMENT = Transfer(_forward, _backward)

_OPS = (
    *("Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd"),
    *("BitwiseNot", "BitwiseOr", "BitwiseXor", "CastLike", "Ceil", "Celu", "Cos", "Cosh"),
    *("Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid"),
    *("HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min"),
    *("Mish", "Mod", "Neg", "Not", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink"),
    *("Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan"),
    *("Tanh", "ThresholdedRelu", "Xor"),
)

ELEMENTWISE_OPS = {
    **dict.fromkeys(_OPS, BY_ELEMENT),
    "Identity": Transfer(_same, _backward),
    "Cast": Transfer(_cast, _backward),
    "Clip": Transfer(_clip, _backward),
    "com.microsoft.Gelu": _contributed("Gelu"),
    "com.microsoft.FastGelu": _contributed("Gelu", approximate="tanh"),
    "com.microsoft.QuickGelu": Transfer(lambda site: [None], _backward),
    "Mul": _absorbed(0),
    "And": _absorbed(0),
    "Or": _absorbed(1),
    "Where": Transfer(_where, _backward, absorbs=True),
}
