"""Sizes with names through a forward: torch's symbolic integers, and what the forward asks of them."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from convaudit.formulas import Count, symbol
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import op_name
from convaudit.frontends.torch.sizes import read
from convaudit.frontends.torch.walker.recorder import run_operator
from convaudit.frontends.torch.walker.settled import ELEMENTWISE, asks_nothing

_LIBRARIES = (f"{Path(torch.__file__).parent}{os.sep}", f"{Path(__file__).parents[3]}{os.sep}")
"""Folders of torch, and of this package."""
MOST_ANSWERS = 60
"""Questions that a forward may ask of its sizes; each takes time, and narrows the formulas."""


class TooManyError(RuntimeError):
    """A forward asks so much of its sizes that no formula would say anything."""


UNREAD = "? "
"""What the name of something begins with that is not a formula of the user's names."""


class _Values(dict[str, Count]):
    """Sizes by torch's names; any other is no size of the user's, even if he has one of that name."""

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else symbol(f"{UNREAD}{key}")


class OpenSizes:
    """The named sizes of one forward.

    torch decides each question of a size by ``hints`` and notes the answer, a guard. Where an operator's
    result has a shape that no answer changes, such as a convolution's, what it asks is not noted.

    Args:
        hints: Sizes to decide by, by name.
    """

    def __init__(self, hints: Mapping[str, int]) -> None:
        self.hints = dict(hints)
        self._answers = 0
        self.environment = private.size_environment(self._noted)
        named = {
            name: private.symbolic_size(self.environment, name, hint) for name, hint in self.hints.items()
        }
        self._symbolic = {name: size for name, (_, size) in named.items()}
        self.names = {own: name for name, (own, _) in named.items()}
        """The user's names by torch's."""

    def of(self, shape: Sequence[Count]) -> list[Any]:
        """torch's sizes of a shape with the user's names."""
        return [self._size(size) for size in shape]

    def _size(self, size: Count) -> Any:
        if isinstance(size, int):
            return size
        total: Any = 0
        for monomial, coefficient in size.terms:
            term: Any = coefficient
            for name in monomial:
                term = term * self._symbolic[str(name)]
            total = total + term
        return total

    def values(self) -> dict[str, Count]:
        """torch's names of sizes as formulas in the user's names, or as numbers where a guard fixed them."""
        shown = _Values({own: symbol(name) for own, name in self.names.items()})
        symbols = {str(one): one for one in self.environment.var_to_sources}
        known = {own: read(self.environment.replace(symbols[own])) for own in self.names}
        return _Values(
            {
                own: value if isinstance(value, int) else value.substitute(shown)
                for own, value in known.items()
            }
        )

    def hold_at(self, sizes: Mapping[str, int]) -> bool:
        """Whether the forward's questions have the same answers at other sizes, by the user's names."""
        symbols = {str(one): one for one in self.environment.var_to_sources}
        known = {symbols[own]: sizes[name] for own, name in self.names.items()}
        return all(
            type(guard.expr.subs(known)).__name__ == "BooleanTrue" for guard in self.environment.guards
        )

    def _noted(self) -> str:
        """The line of the model's own code that asks, once more."""
        self._answers += 1
        if self._answers > MOST_ANSWERS:
            raise TooManyError(f"it asks more than {MOST_ANSWERS} questions of its sizes")
        return _place()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Have torch keep the sizes' names in the body."""
        logger = logging.getLogger(private.SIZES_LOGGER)
        disabled, logger.disabled = logger.disabled, True  # an error is told by the exception
        try:
            with private.python_dispatcher(), private.general_sizes():
                yield
        finally:
            logger.disabled = disabled

    def run(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """An operator's result: at once where only its shape matters and is known."""
        if not any(map(_is_open, tensors)):
            return run_operator(func, args, kwargs, tensors)
        name = op_name(func)
        if name == "aten.convolution":
            if not isinstance(args[8], int):
                raise RuntimeError("a convolution's number of groups depends on a size")
            return _convolution(self.environment, *args, **kwargs)
        if name in _SQUEEZES:
            _decide_squeezed(tensors[0], *args[1:])
        if not asks_nothing(func, args, kwargs, tensors):
            return run_operator(func, args, kwargs, tensors)
        with self.environment.suppress_guards():
            if name in ELEMENTWISE and args[0].is_floating_point():
                return torch.empty_like(args[0])
            if name.removesuffix("_") in ELEMENTWISE and name.endswith("_") and len(tensors) == 1:
                return args[0]
            return run_operator(func, args, kwargs, tensors)


_SQUEEZES = frozenset(("aten.squeeze", "aten.squeeze_"))
"""Here a size of 1 is not like others: torch is made to decide, and to note what it decided."""


def _decide_squeezed(tensor: Tensor, axes: Any = None) -> None:
    for axis in range(tensor.dim()) if axes is None else [axes] if isinstance(axes, int) else axes:
        if tensor.dim():
            bool(tensor.shape[axis] == 1)


def _is_open(tensor: Tensor) -> bool:
    return any(isinstance(size, torch.SymInt) for size in tensor.shape)


def _convolution(
    environment: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """The output of a convolution, whose shape follows from the arithmetic alone."""
    rank = weight.dim() - 2
    spatial = x.shape[-rank:]

    def each(values: Sequence[int]) -> Sequence[int]:
        return list(values) * rank if len(values) == 1 else values

    sizes = []
    axes = zip(spatial, weight.shape[2:], each(stride), each(padding), each(dilation), strict=True)
    for axis, (size, kernel, step, pad, apart) in enumerate(axes):
        extent = apart * (kernel - 1) + 1
        if transposed:
            sizes.append((size - 1) * step - 2 * pad + extent + each(output_padding)[axis])
        else:
            sizes.append((size + 2 * pad - extent) // step + 1)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    expected = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.dim() != rank + 2 or x.shape[1] != expected:
        raise RuntimeError(
            f"the convolution's weight {list(weight.shape)} with groups={groups} does not fit an input of "
            f"{list(x.shape)}"
        )
    with environment.suppress_guards():
        return x.new_empty([x.shape[0], channels, *sizes])


def _place() -> str:
    """The line of the model's own code that runs, without the folder."""
    frame = inspect.currentframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARIES) and not file.startswith("<"):
            return f"{PurePath(file).name}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
