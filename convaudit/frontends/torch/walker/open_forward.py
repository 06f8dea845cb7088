"""Walks a module by one forward in which sizes have names: its counts are formulas in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from torch import nn

from convaudit.errors import ConvauditError, ExecutionError
from convaudit.formulas import Count, Formula, add, multiply, product, substitute
from convaudit.formulas.examples import example_size, role_of, role_of_axis
from convaudit.frontends.torch.inputs import Inputs
from convaudit.frontends.torch.walker.conditions import Conditions, conditions
from convaudit.frontends.torch.walker.forward import (
    class_name,
    fake_forward,
    left_as_before,
    network_of,
    walk_numbers,
)
from convaudit.frontends.torch.walker.open_sizes import UNREAD, OpenSizes, TooManyError
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.records import ConvLayer, Network, OtherLayer, OtherOp, TensorInfo

_UNREAD_MACS = "no exact formula of the input's sizes"
_TRIES = ((448, 224), (224, 0), (64, 0), (16_000, 8_000))
"""Sizes to decide by, and how far they are apart: as different as possible first, then as small or large."""


def walk_open(module: nn.Module, arguments: Inputs, source: str | None) -> Network:
    """The convolutions of one forward of ``module`` as formulas in the names of its inputs' sizes.

    The formulas hold for all sizes that answer the forward's questions as those did by which it ran; what
    that demands is said in the network's warnings. They are held against a forward at other sizes.

    Args:
        module: What to walk.
        arguments: Its inputs, with names in their shapes.
        source: What the network is called.

    Raises:
        ExecutionError: The forward cannot be followed with such sizes.
    """
    first: Exception | None = None
    for hints in _hints(arguments):
        try:
            network, held, sizes = _walk(module, arguments, source, hints)
        except ConvauditError:
            raise
        except Exception as error:
            first = first or error
            if isinstance(error, TooManyError):
                break
            continue
        demanded = held.least
        held = _from_one_on(module, arguments, network, held, hints)
        _check(module, arguments, network, held, hints)
        holds_at = _example(arguments, held, sizes, demanded.keys() - held.least.keys())
        return replace(network, holds_at=holds_at, warnings=(*held.as_text(), *network.warnings))
    assert first is not None
    raise ExecutionError(
        f"{class_name(module)}: its forward cannot be followed with names for sizes: {in_one_line(first)}; "
        f"give numbers for {', '.join(arguments.names)}, or for some of them"
    ) from first


def _example(
    arguments: Inputs, held: Conditions, sizes: OpenSizes, free: Collection[str]
) -> tuple[tuple[str, int], ...]:
    """Sizes at which the formulas hold, usual ones if they do there; none where they hold at all sizes.

    Args:
        arguments: The forward's inputs.
        held: For which sizes they hold.
        sizes: What the forward asked of its sizes.
        free: Names of sizes that the forward took to be more than 1, and that may be 1 all the same.
    """
    if not held.least and not held.others:
        return ()
    places = {
        name: role_of_axis(axis, len(shape))
        for shape in arguments.named_shapes()
        for axis, size in enumerate(shape)
        for name in (size.symbols if isinstance(size, Formula) else ())
    }
    usual = {name: example_size(role_of(name) or places[name]) for name in arguments.names}
    least = {name: max(size, held.least.get(name, 1)) for name, size in usual.items()}
    for tried in (usual, least, {name: 2 * size for name, size in least.items()}):
        asked = {name: max(size, 2) if name in free else size for name, size in tried.items()}
        fixed = {name: substitute(value, tried) for name, (value, _) in held.fixed.items()}
        asked |= {name: size for name, size in fixed.items() if isinstance(size, int)}
        if sizes.hold_at(asked):
            return tuple(tried.items())
    return tuple(sizes.hints.items())


def _from_one_on(
    module: nn.Module, arguments: Inputs, network: Network, held: Conditions, hints: Mapping[str, int]
) -> Conditions:
    """The conditions without those on sizes of 1, for which the forward gives the same formulas."""
    least = dict(held.least)
    for name in [name for name, bound in held.least.items() if bound == 2 and len(hints) > 1]:
        with suppress(Exception):
            at_one, demands, _ = _walk(module, arguments.fixed({name: 1}), None, hints)
            narrower = (
                not set(demands.others) <= set(held.others)
                or not demands.fixed.keys() <= held.fixed.keys()
                or any(bound > least.get(key, 1) for key, bound in demands.least.items())
            )
            if not narrower and _counts(network, {name: 1}) == _counts(at_one, {}):
                del least[name]
    return replace(held, least=least)


def _check(
    module: nn.Module, arguments: Inputs, network: Network, held: Conditions, hints: Mapping[str, int]
) -> None:
    """Hold the formulas against a forward at other sizes: larger ones, and 1 along the first axis.

    Raises:
        ExecutionError: It shows other counts.
    """
    sizes = {name: 2 * hint for name, hint in hints.items() if name not in held.fixed}
    sizes |= {name: max(1, held.least.get(name, 1)) for name in sizes.keys() & _along_first_axis(arguments)}
    for name, (value, _) in held.fixed.items():
        known = substitute(value, sizes)
        sizes[name] = known if isinstance(known, int) else hints[name]
    if held.others:
        return  # which sizes fulfil them is not known
    try:
        at_sizes = walk_numbers(module, arguments.fixed(sizes), None)
    except Exception:  # it does not run there, as a forward may not
        return
    said, seen = _counts(network, sizes), _counts(at_sizes, {})
    if said.keys() != seen.keys() or any(said[key] not in (None, seen[key]) for key in said):
        where = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise ExecutionError(
            f"{class_name(module)}: at {where} its forward counts otherwise than its formulas say, which are "
            "of no use then; give numbers for the sizes"
        )


def _counts(network: Network, sizes: Mapping[str, int]) -> dict[str, Count | None]:
    """What each weight and each kind of other operator costs at some sizes, however calls are told apart."""
    counts: dict[str, Count | None] = {}
    for row in network.layers:
        key = row.weight_name or row.name
        for shape in (row.input_shape, row.output_shape):
            elements = multiply(row.calls, product(shape))
            counts[key] = add(counts.get(key, 0), multiply(substitute(elements, sizes), 1))
    for other in network.other_ops:
        counts[other.op] = add(counts.get(other.op, 0), substitute(other.macs, sizes))
    return counts


def _along_first_axis(arguments: Inputs) -> set[str]:
    """Names of sizes of the inputs' first axes."""
    first = (shape[0] for shape in arguments.named_shapes() if shape)
    return {name for size in first if isinstance(size, Formula) for name in size.symbols}


def _hints(arguments: Inputs) -> Iterator[dict[str, int]]:
    """Sizes to try in turn; along the first axis small ones."""
    names, shapes = arguments.names, arguments.named_shapes()
    first = _along_first_axis(arguments)
    factors = dict.fromkeys(names, 1)
    for shape in shapes:
        for size in shape:
            for monomial, factor in size.terms if isinstance(size, Formula) else ():
                factors.update({str(name): max(factors[str(name)], factor) for name in monomial})
    for base, apart in _TRIES:
        others = [name for name in names if name not in first]
        sizes = {name: base + apart * place for place, name in enumerate(others)}
        sizes |= {name: 2 + place * (apart > 0) for place, name in enumerate(sorted(first))}
        yield {name: max(2, -(-sizes[name] // factors[name])) for name in names}


def _walk(
    module: nn.Module, arguments: Inputs, source: str | None, hints: Mapping[str, int]
) -> tuple[Network, Conditions, OpenSizes]:
    from convaudit.frontends.torch.fake import SharedFakeMode

    sizes = OpenSizes({name: hints[name] for name in arguments.names})
    mode = SharedFakeMode(sizes.environment)
    with left_as_before(module, mode) as left:
        recorder = fake_forward(module, arguments, mode, sizes)
        values = sizes.values()
        held = conditions(sizes, values)
        network = network_of(module, arguments, recorder, source, [], values)
        del recorder
    network = _with_names(network, values, {name: values[own] for own, name in sizes.names.items()})
    return replace(network, warnings=(*network.warnings, *left)), held, sizes


def _with_names(network: Network, values: Mapping[str, Count], by_user: Mapping[str, Count]) -> Network:
    """The network in the user's names; what is not an exact formula of them is unknown."""

    def layer(row: ConvLayer) -> ConvLayer:
        shapes: dict[str, Any] = {}
        unread: list[str] = []
        for field in ("input_shape", "output_shape"):
            shape = getattr(row, field)
            shapes[field] = tuple(map(_known, shape))
            unread += [str(size) for size, known in zip(shape, shapes[field], strict=True) if known is None]
        notes = row.notes
        if unread:
            what = unread[0].replace(UNREAD, "")
            notes = (*notes, f"no exact formula: {what:.200}; give numbers for the input's sizes")
        return replace(row, **shapes, calls=_known(row.calls), notes=notes)

    def other(op: OtherOp) -> OtherOp:
        macs = _known(substitute(op.macs, values))
        lost = macs is None and op.macs is not None
        return replace(op, macs=macs, reason=_UNREAD_MACS if lost else op.reason)

    def other_layer(row: OtherLayer) -> OtherLayer:
        macs, calls = _known(row.macs), _known(row.calls)
        notes = (*row.notes, _UNREAD_MACS) if (macs, calls) != (row.macs, row.calls) else row.notes
        shapes = (row.input_shape, row.output_shape, row.weight_shape)
        first, output, weight = (shape and tuple(map(_known, shape)) for shape in shapes)
        return replace(
            row,
            macs=macs,
            calls=calls,
            notes=notes,
            input_shape=first,
            output_shape=output,
            weight_shape=weight,
        )

    def info(tensor: TensorInfo) -> TensorInfo:
        return replace(tensor, shape=tuple(substitute(size, by_user) for size in tensor.shape or ()))

    return replace(
        network,
        inputs=tuple(map(info, network.inputs)),
        layers=tuple(map(layer, network.layers)),
        other_layers=tuple(map(other_layer, network.other_layers)),
        other_ops=tuple(map(other, network.other_ops)),
    )


def _known(count: Count | None) -> Count | None:
    """A count, or None where torch's own expressions are left in it."""
    has_others = isinstance(count, Formula) and any(name.startswith(UNREAD) for name in count.symbols)
    return None if has_others else count
