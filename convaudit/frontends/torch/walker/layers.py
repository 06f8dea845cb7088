"""Turns the convolutions of a forward into ``ConvLayer`` records: which module ran each, and its name."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from convaudit.formulas import Count, add, multiply, substitute, subtract
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.calls import dtype_name, shape
from convaudit.frontends.torch.ops import ConvCall
from convaudit.frontends.torch.stored import Parameter, Stored
from convaudit.records import Branch, ConvLayer, Shape, TensorInfo
from convaudit.shapes import as_text, kernel_extent, split_padding

_Body = TypeVar("_Body")


@dataclass(slots=True)
class Frame:
    """A module whose forward is running."""

    path: str
    pads_same: bool = False  # ``padding="same"``
    notes: tuple[str, ...] = ()
    unnamed: int = 0  # convolutions so far whose weight is not stored
    other_ops: Counter[str] = field(default_factory=Counter)  # the same of other operators, by name

    @classmethod
    def of(cls, path: str, module: nn.Module) -> Frame:
        """What a module says of its padding."""
        mode = getattr(module, "padding_mode", "zeros")
        if mode != "zeros":
            return cls(path, notes=(f"the module pads its input first (padding_mode={mode!r})",))
        return cls(path, pads_same=getattr(module, "padding", None) == "same")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a forward is: in which modules, in which exclusive arms, and how often that is run."""

    frames: tuple[Frame, ...]  # the outermost first
    branches: tuple[Branch, ...] = ()
    times: Count | None = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLayer(ConvLayer):
    """A convolution as walker and verifier know it: two that are equal elsewhere are not the same one."""

    module: str  # dotted path of the submodule; "" the model itself
    number: int  # among those of the submodule, from 1 on
    computed: bool = False  # whether weight or bias is computed from what is stored, in whatever shape


class Layers:
    """The convolutions seen so far, equal ones as calls of one row.

    Args:
        stored: The tensors of the model.
        root: How to name what runs outside of all submodules.
    """

    def __init__(self, stored: Stored, root: str) -> None:
        self._stored = stored
        self.root = root
        self._outermost = Place((Frame(""),))
        self._thread = threading.local()
        self._rows: dict[PlacedLayer, Count | None] = {}
        self._numbers: dict[str, dict[str | int, int]] = {}  # path -> weight -> its number there
        self._choices: Counter[str] = Counter()

    @property
    def place(self) -> Place:
        """Where the running thread is; each thread of a forward has its own."""
        place: Place = getattr(self._thread, "place", self._outermost)
        return place

    @place.setter
    def place(self, place: Place) -> None:
        self._thread.place = place

    def enter(self, frame: Frame) -> None:
        """A submodule's forward starts."""
        self.place = replace(self.place, frames=(*self.place.frames, frame))

    def leave(self) -> None:
        """The submodule entered last has returned."""
        self.place = replace(self.place, frames=self.place.frames[:-1])

    def where(self) -> str:
        """The running module, for a message."""
        return self.place.frames[-1].path or self.root

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Have this thread start where another one is."""
        outer, self.place = self.place, place
        try:
            yield
        finally:
            self.place = outer

    @contextmanager
    def repeated(self, number: Count | None) -> Iterator[None]:
        """Whatever is added inside runs so often; None: nobody knows."""
        with self.at(replace(self.place, times=multiply(self.place.times, number))):
            yield

    def arms(self, taken: Any, then: _Body, other: _Body) -> Iterator[_Body]:
        """The arms of a ``cond`` that may run, both where ``taken`` has no value.

        Whatever is added while one is in the caller's hands is in that arm.
        """
        outer = self.place
        within = f"{outer.branches[-1].choice}, {outer.branches[-1].arm}, " if outer.branches else ""
        place = f"{within}{self.where()}"
        self._choices[place] += 1
        bodies = {"then_branch": then, "else_branch": other}
        if not isinstance(taken, torch.SymBool) and not private.is_fake(taken):
            del bodies["else_branch" if taken else "then_branch"]
        try:
            for arm, body in bodies.items():
                branch = Branch(choice=f"{place} (cond #{self._choices[place]})", arm=arm)
                self.place = replace(outer, branches=(*outer.branches, branch))
                yield body
        finally:
            self.place = outer

    def add(self, call: ConvCall, output: Tensor) -> PlacedLayer:
        """Record a convolution that ran. Returns its row, the same one for an equal call."""
        row = self._row(call, output)
        self._rows[row] = add(self._rows.get(row, 0), self.place.times)
        return row

    def rows(self) -> tuple[PlacedLayer, ...]:
        """The rows in the order of their first call, as they were added."""
        return tuple(self._rows)

    def named(self, sizes: Mapping[str, Count] | None = None) -> tuple[PlacedLayer, ...]:
        """The rows in the order of their first call, with unique names and their number of calls.

        Args:
            sizes: Sizes of symbolic dimensions.
        """
        layers: dict[str, PlacedLayer] = {}
        for symbolic, calls in self._rows.items():
            row = _row_with_sizes(symbolic, sizes or {})
            name = next(name for name in self._possible_names(row, layers) if name not in layers)
            layers[name] = replace(row, name=name, calls=substitute(calls, sizes or {}))
        return tuple(layers.values())

    def weights(self) -> set[str]:
        """Names of the stored tensors that serve as weight or bias."""
        plain = {name for row in self._rows for name in (row.weight_name, row.bias_name) if name}
        return plain | {info.name for row in self._rows for info in row.stored}

    def _possible_names(self, row: PlacedLayer, taken: Mapping[str, PlacedLayer]) -> Iterator[str]:
        """The plain name; for a module that runs again, the shape it runs on where that is what differs."""
        name = self._name(row)
        yield name
        if row.input_shape != taken[name].input_shape:
            yield f"{name} (at {as_text(row.input_shape)})"
        yield from (f"{name} (form {number})" for number in count(2))

    def _row(self, call: ConvCall, output: Tensor) -> PlacedLayer:
        frame = self.place.frames[-1]
        parameter = self._stored.unpacked if call.row.packed else self._stored.parameter
        own_weight = call.weight if call.stored_weight is None else call.stored_weight
        weight = parameter(own_weight)
        bias = None if call.bias is None else parameter(call.bias)
        path = owner_path(frame, weight.name if call.row.packed else self._stored.name(own_weight))
        weight_shape = tuple(int(size) for size in call.weight.shape)
        row = PlacedLayer(
            name="",
            op=call.op,
            in_channels=weight_shape[0] if call.transposed else weight_shape[1] * call.groups,
            out_channels=weight_shape[1] * call.groups if call.transposed else weight_shape[0],
            kernel_size=weight_shape[2:],
            stride=call.stride,
            padding=call.padding,
            dilation=call.dilation,
            groups=call.groups,
            output_padding=call.output_padding,
            transposed=call.transposed,
            deformable=call.row.deformable,
            input_shape=shape(call.x),
            output_shape=shape(output),
            weight_shape=weight_shape,
            dtype=dtype_name(call.x),
            weight_dtype=dtype_name(call.weight),
            output_dtype=dtype_name(output),
            bias=call.bias is not None,
            bias_dtype=None if call.bias is None else dtype_name(call.bias),
            weight_name=weight.name,
            bias_name=None if bias is None else bias.name,
            stored_params=_stored_params(weight, bias, call),
            stored=_stored(weight, bias),
            branches=self.place.branches,
            notes=(*frame.notes, *weight.notes),
            module=path,
            number=self._number(path, frame, weight.name),
            computed=weight.computed or (bias is not None and bias.computed),
        )
        return _as_same_padding(row) if frame.pads_same else row

    def _number(self, path: str, frame: Frame, weight_name: str | None) -> int:
        """Number of a convolution among its module's: one for each weight, however often it is used."""
        frame.unnamed += weight_name is None
        numbers = self._numbers.setdefault(path, {})
        return numbers.setdefault(weight_name or frame.unnamed, len(numbers) + 1)

    def _name(self, row: PlacedLayer) -> str:
        module = row.module or self.root
        if len(self._numbers[row.module]) == 1:
            return module
        form = "conv_transpose" if row.transposed else "deform_conv" if row.deformable else "conv"
        return f"{module} ({form}{len(row.kernel_size or ())}d #{row.number})"


_PARAMETRIZATION = re.compile(r"(^|\.)parametrizations\.\w+(?=\.\w+$)")
"""What torch.nn.utils.parametrize puts between a module and what its weight is computed from."""


def owner_path(frame: Frame, weight_name: str | None) -> str:
    """The running module, or the submodule of it that owns the weight and was not seen to run.

    TorchScript runs its submodules unseen, and a parent may apply a child's weight by itself.
    """
    owner = _PARAMETRIZATION.sub("", weight_name or "").rpartition(".")[0]
    inside = owner.startswith(f"{frame.path}.") if frame.path else owner
    return owner if inside else frame.path


def _stored(weight: Parameter, bias: Parameter | None) -> tuple[TensorInfo, ...]:
    """The stored tensors that weight and bias are computed from, where these are not stored as they are."""
    parameters = [weight] if bias is None else [weight, bias]
    computed = any(parameter.computed for parameter in parameters)
    return tuple(info for parameter in parameters for info in parameter.stored) if computed else ()


def _stored_params(weight: Parameter, bias: Parameter | None, call: ConvCall) -> int | None:
    """Stored elements of weight and bias, where that is another number than the effective one."""
    if weight.name is None or (bias is not None and bias.name is None):
        return None
    stored = weight.elements + (0 if bias is None else bias.elements)
    effective = call.weight.numel() + (0 if call.bias is None else call.bias.numel())
    return None if stored == effective else stored


def _as_same_padding(row: PlacedLayer) -> PlacedLayer:
    """The convolution as its module states it: before an even kernel torch pads the end of the input itself.

    ``padding="same"`` takes ``dilation*(kernel - 1)`` positions, of an odd number the last at the end.
    """
    extents = [kernel_extent(k, d) for k, d in zip(row.kernel_size or (), row.dilation or (), strict=True)]
    pairs = tuple(split_padding(extent - 1, upper=True) for extent in extents)
    if row.padding != tuple((before, before) for before, _ in pairs):
        return row  # a module of that name for another padding
    extra = (0, 0, *(after - before for before, after in pairs))
    return replace(row, padding=pairs, input_shape=tuple(map(subtract, row.input_shape or (), extra)))


def _row_with_sizes(row: PlacedLayer, sizes: Mapping[str, Count]) -> PlacedLayer:
    input_shape = shape_with_sizes(row.input_shape or (), sizes)
    return replace(row, input_shape=input_shape, output_shape=shape_with_sizes(row.output_shape or (), sizes))


def shape_with_sizes(sizes: Shape, values: Mapping[str, Count]) -> Shape:
    """A shape with symbolic dimensions replaced by their values."""
    return tuple(substitute(size, values) for size in sizes)
