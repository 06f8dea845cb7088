"""Operators that run other code: loops, branches, wrapped regions, and custom operators written in Python.

``FOLLOWERS`` says of each which of its arguments are bodies, what they are called with, and how often. A body
that runs an unknown number of times is called once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from convaudit.formulas import Count
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import is_higher_order
from convaudit.frontends.torch.sizes import count_of
from convaudit.frontends.torch.walker.layers import Layers

Body = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Follower:
    """Follows the bodies of one operator.

    Attributes:
        layers: Is told which arm runs, and how often.
        call: Calls a body so that what runs in it is recorded.
    """

    layers: Layers
    call: Callable[..., Any]

    def follow(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The operator's result; ``NotImplemented`` for what is none, or whose inside cannot be seen."""
        name = getattr(func, "name", None)
        rule = FOLLOWERS.get(name()) if callable(name) else None
        return NotImplemented if rule is None else rule(self, *args, **kwargs)


def _cond(self: Follower, taken: Any, then: Body, other: Body, operands: Any = ()) -> Any:
    output = None
    for arm in self.layers.arms(taken, then, other):
        output = self.call(arm, *operands)
    return output


def _while_loop(self: Follower, cond: Body, body: Body, carried: Any, extra: Any = (), **_: Any) -> Any:
    carried = tuple(carried)
    if not _has_no_values():
        while self.call(cond, *carried, *extra):
            carried = self.call(body, *carried, *extra)
        return tuple(_copy(value) for value in carried)
    if not all(isinstance(value, Tensor) for value in carried):
        return NotImplemented  # a number may change from one iteration to the next, and shapes with it
    with self.layers.repeated(None):
        self.call(cond, *carried, *extra)
        return tuple(self.call(body, *carried, *extra))


def _scan(self: Follower, body: Body, init: Any, xs: Any, extra: Any = ()) -> Any:
    carry, rows = list(init), []
    for times, index in _iterations(xs):
        with self.layers.repeated(times):
            result = list(self.call(body, *carry, *(x[index] for x in xs), *extra))
        carry, row = result[: len(carry)], result[len(carry) :]
        rows.append(row)
    return [*carry, *_stacked(rows, xs)]


def _map(self: Follower, body: Body, xs: Any, extra: Any = ()) -> Any:
    rows = []
    for times, index in _iterations(xs):
        with self.layers.repeated(times):
            rows.append(self.call(body, *(x[index] for x in xs), *extra))
    return _stacked(rows, xs)


def _autocast(
    self: Follower, device: str, dtype: Any, enabled: bool, cache: Any, body: Body, *args: Any
) -> Any:
    with torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=cache):
        return self.call(body, *args)


def _nth(position: int) -> Callable[..., Any]:
    """The argument at ``position`` is a body, called once with those behind it."""
    return lambda self, *args, **kwargs: self.call(args[position], *args[position + 1 :], **kwargs)


FOLLOWERS: dict[str, Callable[..., Any]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
    "wrap": _nth(0),
    "wrap_with_set_grad_enabled": _nth(1),
    "wrap_with_autocast": _autocast,
    "wrap_activation_checkpoint": lambda self, body, *args, **_: self.call(body, *args),
    "tag_activation_checkpoint": lambda self, body, *args, **_: self.call(body, *args),
    "invoke_subgraph": lambda self, body, _identifier, *args: self.call(body, *args),
    "strict_mode": lambda self, body, args: self.call(body, *args),
    "hints_wrapper": lambda self, body, args, kwargs, **_: self.call(body, *args, **kwargs),
}


def python_body(func: Any, tensors: Sequence[Tensor]) -> Body | None:
    """The Python function behind an operator made by ``torch.library.custom_op``, for the tensors' device."""
    definition = None if is_higher_order(func) else private.custom_operators().get(private.schema(func).name)
    if definition is None:
        return None
    device = next((tensor.device.type for tensor in tensors), None)
    bodies = private.bodies(definition)
    body: Body | None = bodies.get(device) or bodies.get(None)
    return body


def _has_no_values() -> bool:
    return private.is_fake(torch.empty(0))


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _iterations(xs: Sequence[Tensor]) -> Iterator[tuple[Count, int]]:
    """How often to count an iteration, and its index: without values one stands for all."""
    length = xs[0].shape[0]
    if _has_no_values():
        yield count_of(length), 0
    else:
        yield from ((1, index) for index in range(length))


def _stacked(rows: Sequence[Any], xs: Sequence[Tensor]) -> Any:
    if not _has_no_values():
        return private.tree_map(lambda *same: torch.stack(same), *rows)
    length = xs[0].shape[0]
    return private.tree_map(
        lambda x: torch.empty((length, *x.shape), dtype=x.dtype, device=x.device), rows[0]
    )
