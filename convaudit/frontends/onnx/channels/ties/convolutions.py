"""What convolutions and matrix products tie: filters to output channels, columns to input channels."""

from __future__ import annotations

from convaudit.frontends.onnx.channels.coupling import Axis, Couplings
from convaudit.frontends.onnx.channels.facts import Mask, ValueKey
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.ties.row import (
    Tying,
    label,
    numbers,
    only,
    operand,
    result,
    tie_or_pin,
)
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.records import ConvLayer

_OF_FILTERS = ("bias", "w_scale", "w_zero_point", "y_scale", "y_zero_point")


def channel_axis(layer: ConvLayer, rank: int) -> int:
    """The axis of the channels in a layer's input and output of that many axes."""
    return rank - 1 if layer.layout == "channels_last" else rank - 1 - len(layer.kernel_size or ())


def tie_convolution(site: Site, couplings: Couplings) -> None:
    """Filters go with their output channels, columns with the input's, groups as a whole."""
    op, layer = CONV_OPS[site.op], site.layer
    operands = dict(zip(op.roles, site.inputs, strict=False))
    plain = layer is not None and layer.layout != "reordered" and not op.any_weight_layout
    if layer is None or not plain or op.deformable or op.causal or layer.kernel_size is None:
        raise Unknown
    x, weight, y = only(operands.get("x")), only(operands.get("weight")), only(result(site))
    who = label(site)
    if not couplings.rank(x) or not couplings.rank(y):
        raise Unknown
    ins, outs = (Axis(key, channel_axis(layer, couplings.rank(key))) for key in (x, y))
    for key, axis in (x, ins.axis), (y, outs.axis):
        couplings.pin_all(key, f"{who} works along it", but=(axis,))
    couplings.pin_all(weight, f"the kernel of {who}", but=(0, 1))
    if weight not in couplings.static:
        couplings.pin_all(weight, f"the weight of {who} is computed at run time")
    filters, columns = (
        (Axis(weight, 1), Axis(weight, 0)) if op.transposed else (Axis(weight, 0), Axis(weight, 1))
    )
    if layer.groups == 1:
        tie_or_pin(couplings, filters, outs, f"sizes of {who}")
        tie_or_pin(couplings, columns, ins, f"sizes of {who}")
    else:
        _grouped(layer, couplings, ins, outs, weight)
    for role in _OF_FILTERS:
        key = operands.get(role)  # type: ignore[call-overload]
        if key is not None and couplings.rank(key) == 1 and couplings.size(Axis(key, 0)) != 1:
            tie_or_pin(couplings, Axis(key, 0), outs, f"sizes of {who}")
    if (residual := operands.get("residual")) is not None:
        tie_or_pin(couplings, Axis(residual, outs.axis), outs, f"sizes of {who}")
        couplings.pin_all(residual, f"{who} works along it", but=(outs.axis,))


def _grouped(layer: ConvLayer, couplings: Couplings, ins: Axis, outs: Axis, weight: ValueKey) -> None:
    """Whole groups go, or else the same places of all groups."""
    sizes = couplings.size(ins), couplings.size(outs)
    if sizes[0] is None or sizes[1] is None:
        raise Unknown
    reads, makes = sizes[0] // layer.groups, sizes[1] // layer.groups
    couplings.tie(Axis(weight, 0), ins if layer.transposed else outs)
    why = f"the group sizes of {layer.name} would become uneven" if (reads, makes) != (1, 1) else None
    if _loses_places(couplings.free(ins), couplings.free(outs), layer.groups):
        for axis, size in (ins, reads), (outs, makes):
            couplings.tie(axis, axis, None, numbers(layer.groups * size) % size, why)
        inner, size = (outs, makes) if layer.transposed else (ins, reads)
        couplings.tie(inner, Axis(weight, 1), None, numbers(layer.groups * size) % size, why)
    else:
        couplings.pin(Axis(weight, 1), why or f"the kernel of {layer.name}")
        couplings.tie(outs, outs, None, numbers(sizes[1]) // makes * makes, why)
        couplings.tie(ins, outs, None, numbers(sizes[0]) // reads * makes, why)
    if why is not None:
        couplings.note(outs, why)
        couplings.note(ins, why)


def _loses_places(ins: Mask, outs: Mask, groups: int) -> bool:
    """Whether no whole group is free, but a place of all groups is."""
    free = ins.reshape(groups, -1), outs.reshape(groups, -1)
    if (free[0].all(axis=1) & free[1].all(axis=1)).any():
        return False
    return any(one.shape[1] > 1 and bool(one.all(axis=0).any()) for one in free)


def _matrices(site: Site, couplings: Couplings, a: ValueKey, b: ValueKey, y: ValueKey) -> None:
    """``a @ b`` as NumPy has it."""
    why = f"sizes of {label(site)}"
    ranks = couplings.rank(a), couplings.rank(b), couplings.rank(y)
    if not ranks[0] or not ranks[1]:
        raise Unknown
    tie_or_pin(couplings, Axis(a, ranks[0] - 1), Axis(b, max(ranks[1] - 2, 0)), why)
    last = ranks[2] - 1
    if ranks[1] > 1:
        tie_or_pin(couplings, Axis(b, ranks[1] - 1), Axis(y, last), why)
    rows = last - (ranks[1] > 1)
    if ranks[0] > 1:
        tie_or_pin(couplings, Axis(a, ranks[0] - 2), Axis(y, rows), why)
    for key, rank in ((a, ranks[0]), (b, ranks[1])):
        for axis in range(rank - 2):
            if couplings.size(Axis(key, axis)) != 1:
                tie_or_pin(couplings, Axis(key, axis), Axis(y, ranks[2] - rank + axis), why)


def _matmul(a: int, b: int, of_rows: tuple[int, ...] = (), of_columns: tuple[int, ...] = ()) -> Tying:
    def tying(site: Site, couplings: Couplings) -> None:
        first, second, y = only(operand(site, a)), only(operand(site, b)), only(result(site))
        _matrices(site, couplings, first, second, y)
        for index in of_columns:
            key = operand(site, index)
            if key is not None and couplings.rank(key) == 1 and couplings.size(Axis(key, 0)) != 1:
                tie_or_pin(couplings, Axis(key, 0), Axis(y, couplings.rank(y) - 1), f"sizes of {label(site)}")
            elif key is not None:
                couplings.pin_all(key, f"sizes of {label(site)}")
        for index in of_rows:
            key = operand(site, index)
            if key is not None:
                couplings.pin_all(key, f"sizes of {label(site)}")

    return tying


def _gemm(bias: int, b: int = 1, of_columns: tuple[int, ...] = ()) -> Tying:
    def tying(site: Site, couplings: Couplings) -> None:
        a, second, y = only(operand(site, 0)), only(operand(site, b)), only(result(site))
        why = f"sizes of {label(site)}"
        rows, shared = (1, 0) if site.attributes.integer("transA", 0) else (0, 1)
        inner, columns = (1, 0) if site.attributes.integer("transB", 0) else (0, 1)
        tie_or_pin(couplings, Axis(a, shared), Axis(second, inner), why)
        tie_or_pin(couplings, Axis(a, rows), Axis(y, 0), why)
        tie_or_pin(couplings, Axis(second, columns), Axis(y, 1), why)
        for index in (bias, *of_columns):
            key = operand(site, index)
            for axis in range(couplings.rank(key) if key is not None else 0):
                own = Axis(only(key), axis)
                if couplings.size(own) != 1:
                    tie_or_pin(couplings, own, Axis(y, 2 - couplings.rank(own.key) + axis), why)

    return tying


CONVOLUTION_TIES: dict[str, Tying] = {
    **dict.fromkeys(CONV_OPS, tie_convolution),
    "Gemm": _gemm(2),
    "MatMul": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1, of_rows=(2,), of_columns=(3,)),
    "QLinearMatMul": _matmul(0, 3, of_rows=(1, 2), of_columns=(4, 5, 6, 7)),
    "com.microsoft.QGemm": _gemm(6, 3, of_columns=(4, 5)),
}
