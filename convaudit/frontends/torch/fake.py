"""A fake mode that several threads may be in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from weakref import ref

from torch import Tensor

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import is_higher_order, tensors_in


class SharedFakeMode(private.FakeTensorMode):
    """Tensors without values, in every thread of one forward; torch's own mode keeps one state for all.

    A thread that was running before may be given fake tensors in a queue: torch then enters the mode for each
    operator, and ``stray`` makes the context in which the operator belongs to the forward, if it needs one.

    Args:
        environment: Follows sizes that have names; None: all sizes are numbers.

    Attributes:
        before: Is told of each operator that is about to run, and its arguments.
        closed: Whether the forward is over: a thread that goes on gets real tensors again.
    """

    supports_higher_order_operators = True

    def __init__(self, environment: Any = None) -> None:
        self._thread = threading.local()
        self.stray: Callable[[], AbstractContextManager[Any] | None] | None = None
        self.before: Callable[[Any, Any, Any], None] | None = None
        self.closed = False
        self._made: list[ref[Tensor]] = []
        super().__init__(allow_non_fake_inputs=True, shape_env=environment)

    @property
    def enter_stack(self) -> list[Any]:
        """What to leave again, in this thread."""
        stack: list[Any] = self._thread.__dict__.setdefault("enter_stack", [])
        return stack

    @enter_stack.setter
    def enter_stack(self, stack: list[Any]) -> None:
        self._thread.enter_stack = stack

    @property
    def in_kernel_invocation(self) -> bool:
        """Whether this thread is inside a kernel, which sees meta tensors."""
        return getattr(self._thread, "in_kernel_invocation", False)

    @in_kernel_invocation.setter
    def in_kernel_invocation(self, value: bool) -> None:
        self._thread.in_kernel_invocation = value

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.closed:
            return func(*args, **(kwargs or {}))
        stray = None if self.stray is None else self.stray()
        if stray is not None:
            with stray:
                return func(*args, **(kwargs or {}))
        if self.before is not None:
            self.before(func, args, kwargs or {})
        if is_higher_order(func):
            return func.python_key_table[private.FakeTensorMode](self, *args, **(kwargs or {}))
        output = super().__torch_dispatch__(func, types, args, kwargs or {})
        self._made.extend(ref(tensor) for tensor in tensors_in(output) if private.is_fake(tensor))
        return output

    def likeness(self, tensor: Tensor) -> Tensor:
        """A tensor like ``tensor``, without its values."""
        fake: Tensor = self.from_tensor(tensor)
        self._made.append(ref(fake))
        return fake

    def living(self) -> list[Tensor]:
        """The tensors that were made here and that somebody still has."""
        return list({id(tensor): tensor for made in self._made if (tensor := made()) is not None}.values())
