"""Watches a forward at torch's dispatcher, where every way of writing a convolution looks the same."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import is_higher_order, op_name, takes_no_values, tensors_in
from convaudit.frontends.torch.operands import read_operands
from convaudit.frontends.torch.ops import ConvCall, read_conv
from convaudit.frontends.torch.other_ops import count_macs, may_convolve, unknown_cost
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.walker.bodies import Follower, python_body
from convaudit.frontends.torch.walker.hand_made import HandMade
from convaudit.frontends.torch.walker.layers import Layers
from convaudit.frontends.torch.walker.other_layers import OtherLayers
from convaudit.frontends.torch.walker.threads import unfollowed
from convaudit.records import Branch, ConvLayer, OtherOp

_BATCH_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default
"""To learn its result's shape torch decomposes it into a dozen operators: half of a whole fake forward."""

Observer = Callable[[ConvLayer, ConvCall, Tensor], None]
"""Is told of each convolution that ran: its row (a layer without name), its operands, its output."""


class Recorder(private.TorchDispatchMode):
    """Records the operators that run inside ``with recorder:``.

    Attributes:
        layers: The convolutions.
        hand_made: Which of them are one with groups.
        other_layers: The other multiplying operators.
        stored: The tensors of the model.
        used: Names of those that an operator read.
        closed: Whether the forward is over: a thread that goes on is left alone.
        run: Runs an operator, of which it is given the function, its arguments, and the tensors among them.
    """

    supports_higher_order_operators = True

    def __init__(self, stored: Stored, *, root: str, observer: Observer | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers = Layers(stored, root)
        self.hand_made = HandMade()
        self.used: set[str] = set()
        self.closed = False
        self.run: Callable[[Any, Any, Any, list[Tensor]], Any] = run_operator
        self.stored = stored
        self._observer = observer
        self.other_layers = OtherLayers(self.layers, stored)
        self._opaque: dict[tuple[str, str, tuple[Branch, ...]], int] = {}
        self._uncounted: Counter[str] = Counter()
        self._not_composite: set[Any] = set()
        self._lock = threading.RLock()  # a forward may run in several threads
        self._thread = threading.local()

    def miss(self, unseen: Mapping[str, int]) -> None:
        """Note operators that run where this recorder cannot see them, by type and number."""
        for op, count in unseen.items():
            self.unseen(op, unknown_cost(op) or "not seen", count)

    def other_ops(self) -> tuple[OtherOp, ...]:
        """The other multiplying operators, and those of unknown cost, by type."""
        opaque = (
            OtherOp(op=op, count=count, macs=None, reason=reason, branches=branches, opaque=True)
            for (op, reason, branches), count in self._opaque.items()
        )
        return (*self.other_layers.by_op(), *opaque)

    def unseen(self, op: str, reason: str, count: int = 1) -> None:
        """Note that convolutions may have run in ``op``, which nobody saw."""
        with self._lock:
            key = op, f"{reason}, in {self.layers.where()}", self.layers.place.branches
            self._opaque[key] = self._opaque.get(key, 0) + count

    @property
    def sees_this_thread(self) -> bool:
        """Whether this recorder handed over the operator that runs: TorchScript's threads inherit it."""
        return getattr(self._thread, "running", False)

    @property
    def saw_everything(self) -> bool:
        """Whether no convolution can have run unseen."""
        return not self._opaque

    def uncounted_ops(self) -> tuple[tuple[str, int], ...]:
        """The operators that multiply-accumulate nothing, by type and number."""
        return tuple((op.removeprefix("aten."), number) for op, number in sorted(self._uncounted.items()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.closed or op_name(func).startswith("prim."):
            return func(*args, **kwargs)  # asks a tensor for its device or layout
        if func not in self._not_composite:
            if is_higher_order(func):
                output = Follower(self.layers, self._call).follow(func, args, kwargs)
            else:  # inference mode hands over whole operators, such as conv2d or linear
                output = self._call(func.decompose, *args, **kwargs)
                if output is NotImplemented:
                    self._not_composite.add(func)
            if output is not NotImplemented:
                return output
        tensors = [*tensors_in((args, kwargs))]
        body = python_body(func, tensors)
        if body is not None:
            with suppress(Exception):  # one in NumPy, say, cannot run without values
                return self._call(body, *args, **kwargs)
        self._thread.running = True
        try:
            output = self.run(func, args, kwargs, tensors)
        finally:
            self._thread.running = False
        with self._lock:
            self.used.update(name for name in map(self.stored.name, tensors) if name)
            sources = [] if takes_no_values(op_name(func)) else tensors
            self.stored.follow(sources, tensors_in(output))
            if tensors:  # whatever takes none only makes one
                self._account(func, args, kwargs, output)
        return output

    def _call(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self:
            return body(*args, **kwargs)

    def _account(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        call = read_conv(func, args, kwargs)
        if call is not None:
            output = call.arranged(output)
            row = self.layers.add(call, output)
            self.hand_made.convolution(call.x, output, row)
            if self._observer is not None:
                with unfollowed(), private.unwatched():
                    self._observer(row, call, output)
            return
        op, macs = op_name(func), count_macs(func, args, kwargs)
        self.hand_made.operator(op, func, args, kwargs, output)
        reason = None if macs is not None else unknown_cost(op)
        if reason is not None and may_convolve(op):
            self.unseen(op, reason)
        elif macs is None and reason is None:
            self._uncounted[op] += 1
        else:
            self.other_layers.add(op, macs, read_operands(func, args, kwargs), output)


def in_one_line(error: Exception, width: int = 400) -> str:
    """What a forward failed with, for a message."""
    kinds = private.exceptions("DataDependentOutputException", "DynamicOutputShapeException")
    if isinstance(error, kinds):
        return f"what {op_name(vars(error)['func'])} returns depends on the input's values"
    return shorten(str(error), width, placeholder=" ...") or type(error).__name__


def run_operator(func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
    """What an operator returns; of what is stored alone it is computed with values, where it needs them."""
    if func is _BATCH_NORM and private.is_fake(args[0]):
        return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    try:
        return func(*args, **kwargs)
    except private.exceptions("DataDependentOutputException"):
        if any(private.is_fake(tensor) or tensor.is_meta for tensor in tensors):
            raise
        with private.with_values():  # of stored tensors alone the value is known
            return func(*args, **kwargs)
