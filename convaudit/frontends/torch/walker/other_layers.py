"""The multiplying operators of a forward that are not convolutions, as rows: which module ran each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from convaudit.formulas import Count, add, multiply, product, substitute
from convaudit.frontends.torch.calls import dtype_name, shape, tensors_in
from convaudit.frontends.torch.operands import Operands
from convaudit.frontends.torch.other_ops import unknown_cost
from convaudit.frontends.torch.stored import Parameter, Stored, in_short
from convaudit.frontends.torch.walker.layers import Frame, Layers, owner_path, shape_with_sizes
from convaudit.records import Branch, OtherLayer, OtherOp
from convaudit.shapes import as_text

LOOPED = "in a loop of unknown length"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedOp(OtherLayer):
    """An operator as the recorder knows it: two that are equal elsewhere are not the same one."""

    module: str  # dotted path of the submodule; "" the model itself
    number: int  # among those of its kind in the submodule, from 1 on

    @property
    def plain(self) -> OtherLayer:
        """The row alone, as it leaves the walk."""
        return OtherLayer(**{field.name: getattr(self, field.name) for field in fields(OtherLayer)})


class OtherLayers:
    """The multiplying operators seen so far, equal ones as calls of one row.

    Args:
        layers: The convolutions: they know where the forward is.
        stored: The tensors of the model.
    """

    def __init__(self, layers: Layers, stored: Stored) -> None:
        self._layers = layers
        self._stored = stored
        self._rows: dict[_PlacedOp, tuple[int, Count | None]] = {}  # operators run, and calls in one run
        self._numbers: dict[tuple[str, str], dict[str | int, int]] = {}  # module, op -> weight -> its number
        self._forms: Counter[str] = Counter()

    def add(self, op: str, macs: Count | None, operands: Operands, output: Any) -> None:
        """Record an operator that ran.

        Args:
            op: Its name, ``aten.addmm``.
            macs: Of one call; None: no rule counts it.
            operands: The tensors among its arguments.
            output: Its result.
        """
        row = self._row(op, macs, operands, output)
        number, calls = self._rows.get(row, (0, 0))
        self._rows[row] = number + 1, add(calls, self._layers.place.times)

    def by_op(self) -> tuple[OtherOp, ...]:
        """The sums of the rows, by operator and exclusive arm."""
        sums: dict[tuple[str, tuple[Branch, ...]], list[tuple[int, Count | None, str | None]]] = {}
        for row, (number, calls) in self._rows.items():
            macs = multiply(row.macs, calls)
            reason = None if macs is not None else row.notes[-1] if row.macs is None else LOOPED
            sums.setdefault((row.op, row.branches), []).append((number, macs, reason))
        return tuple(
            OtherOp(
                op=op,
                count=sum(number for number, _, _ in parts),
                macs=add(*(macs for _, macs, _ in parts)),
                reason=next((reason for _, _, reason in parts if reason is not None), None),
                branches=branches,
            )
            for (op, branches), parts in sums.items()
        )

    def named(self, taken: Iterable[str], sizes: Mapping[str, Count] | None = None) -> tuple[OtherLayer, ...]:
        """The rows in the order of their first call, with unique names and their number of calls.

        Args:
            taken: Names of the convolutions.
            sizes: Sizes of symbolic dimensions.
        """
        alone = Counter(module for module, _ in self._numbers)
        layers = set(taken)
        named: dict[str, OtherLayer] = {}
        for symbolic, (_, calls) in self._rows.items():
            row = _with_sizes(symbolic, calls, sizes or {})
            name = self._free_name(row, alone[row.module] == 1, layers, named)
            named[name] = replace(row, name=name).plain
        return tuple(named.values())

    def _free_name(
        self, row: _PlacedOp, alone: bool, layers: Container[str], taken: Mapping[str, OtherLayer]
    ) -> str:
        """The module; with the operator where it is not the module's only one, and a number where needed."""
        module, form = row.module or self._layers.root, _form(row.op)
        several = len(self._numbers[row.module, row.op]) > 1
        name = f"{module} ({form} #{row.number})" if several else f"{module} ({form})"
        if alone and not several and module not in layers:
            name = module
        if name not in taken and name not in layers:
            return name
        if name not in taken or row.input_shape != taken[name].input_shape:
            at = f"{name} (at {as_text(row.input_shape)})"
            if at not in taken and at not in layers:
                return at
        number = 2 + self._forms[name]
        while f"{name} (form {number})" in taken or f"{name} (form {number})" in layers:
            number += 1
        self._forms[name] = number - 1
        return f"{name} (form {number})"

    def _row(self, op: str, macs: Count | None, operands: Operands, output: Any) -> _PlacedOp:
        place, first = self._layers.place, operands.first
        multiplied, added = self._multiplied(operands), self._added(operands)
        weight = next(iter(multiplied), None)
        held = (*(found for _, found in multiplied), *added)
        infos = list(dict.fromkeys(info for found in held for info in found.stored))
        parameters = tuple(info for info in infos if self._stored.is_parameter(info.name))
        fixed = [info.name for info in infos if info not in parameters]
        frame, name = place.frames[-1], weight[1].name if weight else None
        path = owner_path(frame, name if weight and len(weight[1].stored) == 1 else None)
        return _PlacedOp(
            name="",
            op=op.removeprefix("aten."),
            params=add(*(product(info.shape) for info in parameters)),
            macs=macs,
            input_shape=None if first is None else shape(first),
            output_shape=next((shape(tensor) for tensor in tensors_in(output)), None),
            weight_shape=shape(weight[0]) if weight else None,
            weight_name=name,
            dtype="unknown" if first is None else dtype_name(first),
            stored=parameters,
            branches=place.branches,
            notes=(
                *([f"{in_short(fixed)}: a buffer or constant, not a parameter"] if fixed else []),
                *([unknown_cost(op) or "no rule for this operator"] if macs is None else []),
            ),
            module=path,
            number=self._number(path, op.removeprefix("aten."), frame, name),
        )

    def _multiplied(self, operands: Operands) -> list[tuple[Tensor, Parameter]]:
        """The stored tensors that are multiplied, the weight before an input that is stored too.

        A weight may be computed from several stored tensors; an input that is so computed is the result of
        other operators, whose rows have these.
        """
        parameter = self._stored.unpacked if operands.packed else self._stored.parameter
        weights = [(tensor, parameter(tensor)) for tensor in operands.weights]
        found = [(tensor, one) for tensor, one in weights if one.stored]
        if operands.first is not None and len((one := self._stored.parameter(operands.first)).stored) == 1:
            found.append((operands.first, one))
        return found

    def _added(self, operands: Operands) -> list[Parameter]:
        parameter = self._stored.unpacked if operands.packed else self._stored.parameter
        return [one for tensor in operands.added if len((one := parameter(tensor)).stored) == 1]

    def _number(self, path: str, op: str, frame: Frame, weight_name: str | None) -> int:
        """Number of an operator among its kind in a module: one for each weight, however often it is used."""
        if weight_name is None:
            frame.other_ops[op] += 1
        numbers = self._numbers.setdefault((path, op), {})
        return numbers.setdefault(weight_name or frame.other_ops[op], len(numbers) + 1)


def _form(op: str) -> str:
    """An operator's name for people; attention goes by many."""
    return "attention" if "scaled_dot_product" in op else op.rpartition(".")[2].removesuffix("_")


def _with_sizes(row: _PlacedOp, calls: Count | None, sizes: Mapping[str, Count]) -> _PlacedOp:
    calls = substitute(calls, sizes)
    notes = (*row.notes, LOOPED) if calls is None else row.notes
    return replace(
        row,
        macs=substitute(row.macs, sizes),
        calls=calls,
        notes=notes,
        input_shape=shape_with_sizes(row.input_shape or (), sizes),
        output_shape=shape_with_sizes(row.output_shape or (), sizes),
        weight_shape=None if row.weight_shape is None else shape_with_sizes(row.weight_shape, sizes),
    )
