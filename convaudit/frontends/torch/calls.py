"""What a call of one of torch's operators tells: its name, its arguments, and the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convaudit.formulas import Count
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.sizes import count_of

Arguments = Mapping[str, Any]
"""An operator's arguments by the names of its schema, defaults filled in."""


def is_higher_order(func: Any) -> bool:
    """Whether an operator runs other code, and is not one overload of one that computes."""
    return not isinstance(func, _OVERLOAD)


_OVERLOAD = type(torch.ops.aten.convolution.default)


def op_name(func: Any) -> str:
    """``aten.convolution`` of ``aten.convolution.default``."""
    return f"higher_order.{func.name()}" if is_higher_order(func) else str(func.overloadpacket)


def tensors_in(nest: Any) -> Iterator[Tensor]:
    """The tensors among an operator's arguments or results, which come in lists, tuples and dictionaries."""
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, list | tuple):
        for item in nest:
            yield from tensors_in(item)
    elif isinstance(nest, dict):
        for item in nest.values():
            yield from tensors_in(item)


def takes_no_values(op: str) -> bool:
    """Whether a tensor gives the operator only its shape and type, as ``zeros_like``'s does."""
    return re.search(r"^aten\.(new_|\w+_like$)", op) is not None


def bind(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Arguments by their schema's names, with its defaults."""
    declared = private.schema(func).arguments
    bound = {argument.name: argument.default_value for argument in declared}
    bound.update(zip((argument.name for argument in declared), args, strict=False))
    bound.update(kwargs)
    return bound


def dtype_name(tensor: Tensor) -> str:
    """NumPy's name of the type; torch's quantised ones go by the integers that they hold."""
    return str(tensor.dtype).removeprefix("torch.").removeprefix("q")


def shape(tensor: Tensor) -> tuple[Count, ...]:
    """A tensor's sizes, symbolic ones as formulas."""
    return tuple(map(count_of, tensor.shape))
