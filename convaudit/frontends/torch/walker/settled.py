"""Operators whose result has a shape that no question about sizes changes.

torch asks whether a size is 1, or a layout dense, wherever that could save work; the answers guard nothing
that counts. What is listed here follows from the arguments' shapes alone, for all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from convaudit.formulas import Count, product, quotient
from convaudit.frontends.torch.calls import Arguments, bind, op_name, shape
from convaudit.frontends.torch.sizes import count_of

_NAMES = """
    relu relu6 hardtanh hardswish hardsigmoid sigmoid silu gelu elu leaky_relu tanh softplus mish
    clamp clamp_min neg abs exp sqrt rsqrt sin cos selu celu
"""
ELEMENTWISE = frozenset(f"aten.{name}" for name in _NAMES.split())
"""Of one tensor of real numbers they return real numbers of the same type and shape."""


def asks_nothing(func: Any, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> bool:
    """Whether an operator's result has the same shape whatever torch learns of sizes while it runs."""
    name = op_name(func).removesuffix("_")
    if name in ELEMENTWISE:
        return True
    rule = _SETTLED.get(name)
    if rule is not None:
        return rule(bind(func, args, kwargs))
    return torch.Tag.pointwise in getattr(func, "tags", ()) and _broadcast([shape(one) for one in tensors])


def _always(_arguments: Arguments) -> bool:
    return True


def _broadcast(shapes: Sequence[tuple[Count, ...]]) -> bool:
    """Whether along each axis all sizes are the same formula, or the number 1."""
    axes = zip_longest(*map(reversed, shapes), fillvalue=1)
    return all(len({size for size in axis if size != 1}) <= 1 for axis in axes)


def _rounds_down(a: Arguments) -> bool:
    return not a["ceil_mode"]


def _keeps_elements(a: Arguments) -> bool:
    """Whether a reshape's sizes have the same product, or one -1 stands for an exact quotient."""
    sizes = [count_of(size) for size in a.get("size", a.get("shape"))]
    known = product(size for size in sizes if size != -1)
    elements = product(shape(a["self"]))
    if len(sizes) == len(shape(a["self"])) or -1 not in sizes:
        return -1 not in sizes and known == elements
    return quotient(elements, known) is not None


def _agree(left: str, right: str, left_axis: int, right_axis: int) -> Callable[[Arguments], bool]:
    def rule(a: Arguments) -> bool:
        return shape(a[left])[left_axis] == shape(a[right])[right_axis]

    return rule


def _batched(a: Arguments) -> bool:
    first, second = shape(a["self"]), shape(a["mat2"])
    return first[0] == second[0] and first[2] == second[1]


def _joined(a: Arguments) -> bool:
    """Whether tensors of one rank above 1 have the same sizes but for the axis of the join."""
    shapes = [shape(one) for one in a["tensors"]]
    ranks = {len(one) for one in shapes}
    if len(ranks) != 1 or min(ranks) < 2:
        return False
    axis = a["dim"] % min(ranks)
    return len({(*one[:axis], *one[axis + 1 :]) for one in shapes}) == 1


def _along_number(a: Arguments) -> bool:
    parts = a.get("split_size", a.get("split_sizes", a.get("chunks")))
    numbers = parts if isinstance(parts, list | tuple) else [parts]
    return all(isinstance(size, int) for size in [*numbers, a["self"].shape[a["dim"]]])


_SETTLED: dict[str, Callable[[Arguments], bool]] = {
    **dict.fromkeys(
        (
            "aten._native_batch_norm_legit_no_training",
            "aten._native_batch_norm_legit",
            "aten.native_batch_norm",
            "aten._softmax",
            "aten._log_softmax",
            "aten.native_layer_norm",
            "aten.clone",
            "aten.alias",
            "aten.detach",
            "aten.mean",
            "aten._adaptive_avg_pool2d",
            "aten._adaptive_avg_pool3d",
            "aten.permute",
            "aten.transpose",
            "aten.t",
            "aten.unsqueeze",
            "aten.constant_pad_nd",
        ),
        _always,
    ),
    **dict.fromkeys(
        (
            "aten.avg_pool2d",
            "aten.avg_pool3d",
            "aten.max_pool2d_with_indices",
            "aten.max_pool3d_with_indices",
        ),
        _rounds_down,
    ),
    **dict.fromkeys(("aten.view", "aten._unsafe_view", "aten.reshape"), _keeps_elements),
    **dict.fromkeys(("aten.split", "aten.split_with_sizes", "aten.chunk"), _along_number),
    "aten.cat": _joined,
    "aten.mm": _agree("self", "mat2", 1, 0),
    "aten.bmm": _batched,
    "aten.addmm": _agree("mat1", "mat2", 1, 0),
}
"""When each is settled."""
