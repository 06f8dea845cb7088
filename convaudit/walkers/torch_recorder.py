"""Watches a forward at torch's dispatcher, where every way of writing a convolution looks the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from convaudit.formulas import Count
from convaudit.records import Branch, ConvLayer, OtherOp
from convaudit.walkers.torch_layers import Layers
from convaudit.walkers.torch_ops import ConvCall, count_macs, op_name, read_conv, unknown_cost
from convaudit.walkers.torch_stored import Stored

_BATCH_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default
"""To learn its result's shape torch decomposes it into a dozen operators: half of a whole fake forward."""

Observer = Callable[[ConvLayer, ConvCall, Tensor], None]
"""Is told of each convolution that ran: its row (a layer without name), its operands, its output."""


class Recorder(TorchDispatchMode):
    """Records the operators that run inside ``with recorder:``.

    layers  the convolutions
    stored  the tensors of the model
    used    names of those that an operator read
    """

    supports_higher_order_operators = True

    def __init__(self, stored: Stored, *, root: str, observer: Observer | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers = Layers(stored, root)
        self.used: set[str] = set()
        self.stored = stored
        self._observer = observer
        self._other_ops: dict[tuple[str, tuple[Branch, ...]], tuple[int, Count | None]] = {}
        self._uncounted: Counter[str] = Counter()

    def miss(self, unseen: Mapping[str, int]) -> None:
        """Note operators that run where this recorder cannot see them, by type and number."""
        self._other_ops.update({(op, ()): (count, None) for op, count in unseen.items()})

    def other_ops(self) -> tuple[OtherOp, ...]:
        """The other multiplying operators, and those of unknown cost, by type."""
        return tuple(
            OtherOp(
                op=op.removeprefix("aten."),
                count=count,
                macs=macs,
                reason=unknown_cost(op) if macs is None else None,
                branches=branches,
            )
            for (op, branches), (count, macs) in self._other_ops.items()
        )

    def uncounted_ops(self) -> tuple[tuple[str, int], ...]:
        """The operators that multiply-accumulate nothing, by type and number."""
        return tuple((op.removeprefix("aten."), number) for op, number in sorted(self._uncounted.items()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if op_name(func).startswith("prim."):
            return func(*args, **kwargs)  # asks a tensor for its device or layout
        if op_name(func) == "higher_order.cond":
            return self._follow_arms(*args)
        if _is_composite(func):
            with self:  # inference mode hands over whole operators, such as conv2d or linear
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        output = _run(func, args, kwargs, tensors)
        self.used.update(name for name in map(self.stored.name, tensors) if name)
        self.stored.follow(tensors, [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)])
        if tensors:  # whatever takes none only makes one
            self._account(func, args, kwargs, output)
        return output

    def _follow_arms(self, taken: Any, then: Any, other: Any, operands: Any = ()) -> Any:
        output = None
        for arm in self.layers.arms(taken, then, other):
            with self:
                output = arm(*operands)
        return output

    def _account(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        call = read_conv(func, args, kwargs)
        if call is not None:
            output = call.arranged(output)
            row = self.layers.add(call, output)
            if self._observer is not None:
                self._observer(row, call, output)
            return
        op, macs = op_name(func), count_macs(func, args, kwargs)
        if macs is None and unknown_cost(op) is None:
            self._uncounted[op] += 1
            return
        key = op, self.layers.branches
        count, known = self._other_ops.get(key, (0, 0))
        self._other_ops[key] = count + 1, None if macs is None or known is None else known + macs


def in_one_line(error: Exception, width: int = 400) -> str:
    """What a forward failed with, for a message."""
    if isinstance(error, DataDependentOutputException | DynamicOutputShapeException):
        return f"what {op_name(error.func)} returns depends on the input's values"
    return shorten(str(error), width, placeholder=" ...") or type(error).__name__


@cache
def _is_composite(func: Any) -> bool:
    return isinstance(func, OpOverload) and func._can_decompose()


def _run(func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
    if func is _BATCH_NORM and isinstance(args[0], FakeTensor):
        return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    try:
        return func(*args, **kwargs)
    except DataDependentOutputException:
        if any(isinstance(tensor, FakeTensor) or tensor.is_meta for tensor in tensors):
            raise
        with unset_fake_temporarily():  # of stored tensors alone the value is known
            return func(*args, **kwargs)
