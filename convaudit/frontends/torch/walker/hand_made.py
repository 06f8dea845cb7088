"""Sees groups that a forward makes by hand: a tensor's parts, a convolution of each, joined in that order."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import bind, is_higher_order, shape, tensors_in
from convaudit.frontends.torch.walker.layers import PlacedLayer
from convaudit.records import CutOut, HandMadeGroups, parts_of_one

_CUTS = frozenset(
    ("aten.split", "aten.split_with_sizes", "aten.unsafe_split", "aten.unsafe_split_with_sizes", "aten.slice")
)
_PASSES = frozenset(("aten.clone", "aten.detach", "aten.alias", "aten._to_copy"))
_CHANNELS = 1


class _Writes:
    """How often other tensors were written into memory: what was known of what lies there holds no more."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()  # of the memory that tensors share

    def of(self, tensor: Tensor) -> int:
        return self._counts[_memory(tensor)] if self._counts else 0

    def note(self, func: Any, args: Any) -> None:
        """An operator ran that may write into its operands."""
        arguments = () if is_higher_order(func) else private.schema(func).arguments
        for argument, value in zip(arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self._counts.update(map(_memory, tensors_in(value)))


def _memory(tensor: Tensor) -> int:
    try:
        return private.storage_key(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):  # it has no memory of its own, as a sparse one
        return id(tensor)


class _Known:
    """What is known of tensors, as long as they live and nothing else is written into them."""

    def __init__(self, writes: _Writes) -> None:
        self._writes = writes
        self._values = WeakIdKeyDictionary()

    def get(self, tensor: Tensor) -> Any:
        value, writes = self._values.get(tensor, (None, 0))
        return value if value is None or writes == self._writes.of(tensor) else None

    def __setitem__(self, tensor: Tensor, value: Any) -> None:
        self._values[tensor] = value, self._writes.of(tensor)


class HandMade:
    """Follows parts of tensors, and convolutions of them, through a forward."""

    def __init__(self) -> None:
        self._writes = _Writes()
        self._parts = _Known(self._writes)  # tensor -> CutOut
        self._convolved = _Known(self._writes)  # tensor -> (CutOut, row)
        self._sources = _Known(self._writes)  # tensor -> its number
        self._found: dict[tuple[PlacedLayer, ...], None] = {}
        self._count = 0
        self._lock = threading.RLock()

    def convolution(self, x: Tensor, output: Any, row: PlacedLayer) -> None:
        """A convolution of ``x`` ran."""
        part = self._parts.get(x) if self._count else None
        if part is not None and isinstance(output, Tensor):
            self._convolved[output] = (part, row)

    def operator(self, op: str, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Another operator ran."""
        if op in _CUTS:
            with self._lock:
                self._cut(bind(func, args, kwargs), output)
        elif not self._count:
            return
        elif op == "aten.cat":
            self._join(bind(func, args, kwargs))
        elif op in _PASSES or "batch_norm" in op or torch.Tag.pointwise in func.tags:
            if not self._pass_on(args, output):
                self._writes.note(func, args)
        else:
            self._writes.note(func, args)

    def _cut(self, a: Mapping[str, Any], output: Any) -> None:
        whole: Tensor = a["self"]
        made = list(tensors_in(output))
        if len(made) == 1 and shape(made[0]) == shape(whole):  # x[:, 2:4] takes all of the first axis before
            self._sources[made[0]] = self._number(whole)
            return
        if whole.dim() < 3 or a["dim"] % whole.dim() != _CHANNELS or not isinstance(whole.shape[1], int):
            return
        start = 0
        if "step" in a:
            if a["step"] != 1 or not isinstance(a["start"] or 0, int):
                return
            start = a["start"] or 0
            start = max(0, start + whole.shape[1]) if start < 0 else start
        for part in made:
            size = part.shape[1]
            if not isinstance(size, int):
                return
            if size < whole.shape[1]:
                self._parts[part] = CutOut(self._number(whole), start, start + size)
            start += size

    def _number(self, whole: Tensor) -> int:
        """The same for all views of all of a tensor."""
        number: int | None = self._sources.get(whole)
        if number is None:
            self._count += 1
            number = self._sources[whole] = self._count
        return number

    def _pass_on(self, args: Any, output: Any) -> bool:
        """What an operator makes of one part alone is that part still; whether this does so."""
        given = [tensor for tensor in args if isinstance(tensor, Tensor)]
        made = next(tensors_in(output), None)
        if made is None or not given or any(one.dim() != 1 for one in given[1:]):
            return False
        if given[0].dim() < 3 or shape(made) != shape(given[0]):
            return False
        for known in (self._parts, self._convolved):
            found = known.get(given[0])
            if found is not None:
                known[made] = found
        return True

    def _join(self, a: Mapping[str, Any]) -> None:
        tensors = a["tensors"]
        if a["dim"] % max(1, tensors[0].dim()) != _CHANNELS:
            return
        found: list[tuple[CutOut, PlacedLayer] | None] = [self._convolved.get(tensor) for tensor in tensors]
        self._found.update(dict.fromkeys(parts_of_one(found)))

    def named(self, rows: Iterable[PlacedLayer], layers: Iterable[PlacedLayer]) -> tuple[HandMadeGroups, ...]:
        """What was found, by the names that the rows have in the end."""
        if not self._found:
            return ()
        names = {row: layer.name for row, layer in zip(rows, layers, strict=True)}
        return tuple(
            HandMadeGroups(layers=tuple(names[row] for row in found), groups=len(found) * found[0].groups)
            for found in self._found
        )
