"""Sizes for the dimensions that a model leaves open: an example at which people can read its formulas.

Nobody's sizes are known here. These are plausible ones, and always named beside what is shown at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from shlex import quote

from convaudit.formulas import Count, Formula
from convaudit.formulas.examples import (
    example_size,
    factor_of,
    role_of,
    role_of_axis,
    sizes_text,
    strides_of,
)
from convaudit.formulas.values import value_at
from convaudit.records import AuditReport, LayerCost, Shape
from convaudit.shapes import as_text
from convaudit.units import human

_TRIES = 6  # each with twice the sizes


@dataclass(frozen=True, slots=True)
class Example:
    """Sizes to show counts at.

    Attributes:
        sizes: A size for each dimension that the report leaves open; none where it leaves none.
        shown: The dimensions that its counts depend on: those of inputs that nothing counts are not.
        factor: The one dimension that all MACs are multiples of, so that they are shown as multiples of it;
            None: they are not, and values at the sizes are shown.
    """

    sizes: dict[str, int]
    shown: tuple[str, ...] = ()
    factor: str | None = None

    def __bool__(self) -> bool:
        return bool(self.shown)

    def __str__(self) -> str:
        """``batch=1, H=224, W=224``."""
        return sizes_text(self.sizes, self.shown)

    def value(self, count: Count | None) -> int | None:
        """What a count is at these sizes; None where it is unknown."""
        return value_at(count, self.sizes)

    def text(self, count: Count | None, unit: str = "") -> str:
        """A count as people read it: ``4.09 G``, ``118 M*batch``; what is neither is its value there."""
        if isinstance(count, Formula) and not (self.factor and factor_of(count)):
            return human(value_at(count, self.sizes), unit) + (f" at {self}" if self.factor else "")
        return human(count, unit)

    def shape(self, shape: Shape | None) -> Shape | None:
        """A tensor's sizes there."""
        return None if shape is None else tuple(map(self.value, shape))


def example_of(*reports: AuditReport) -> Example:
    """Sizes at which a report's counts can be shown, or those of several that are compared.

    They follow the names of the dimensions and where these stand in the inputs, are multiples of what the
    model divides them by, and large enough for every layer to have an output. Where formulas hold for some
    sizes alone, these are such.

    >>> from convaudit.analyzer import analyze
    >>> from convaudit.formulas import parse
    >>> from convaudit.records import ConvLayer, Network
    >>> layer = ConvLayer(
    ...     name="c", op="Conv", in_channels=3, out_channels=8, kernel_size=(1, 1), stride=(3, 3),
    ...     padding=((0, 0), (0, 0)), dilation=(1, 1), weight_name="w",
    ...     output_shape=(parse("N"), 8, parse("floor(H/3)"), 4),
    ... )
    >>> str(example_of(analyze(Network(source="m", format="onnx", inputs=(), layers=(layer,)))))
    'H=225, N=1'
    """
    if all(map(_is_fixed, reports)):
        return Example({})
    counts = list(dict.fromkeys(_open(reports)))
    counted = {name for count in counts for name in count.symbols}
    names = list(dict.fromkeys([*_of_inputs(reports), *sorted(counted)]))
    shown = tuple(name for name in names if name in counted)
    factor = _common_factor(reports) if len(shown) == 1 else None
    roles, strides = _roles(names, reports), strides_of(counts)
    sizes = {name: example_size(roles[name], strides.get(name, 1)) for name in names}
    sizes |= {name: 1 for name in names if name not in counted and role_of(name) is None}
    held = {name: size for report in reports for name, size in reversed(report.holds_at)}
    if factor is not None:
        return Example({**sizes, factor: held.get(factor, 1)}, shown, factor)
    outputs = {size for report in reports for layer in report.layers for size in _open_sizes(layer)}
    for _ in range(_TRIES):
        if all(value_at(size, sizes) > 0 for size in outputs):
            break
        sizes = {name: size * (1 if roles[name] == "batch" else 2) for name, size in sizes.items()}
    sizes |= {name: size for name, size in held.items() if name in sizes}
    return Example(sizes, shown)


def _is_fixed(report: AuditReport) -> bool:
    """Whether the totals show at a glance that no layer has a formula: most models have none."""
    totals = report.totals
    sums = (totals.macs_at_least, totals.peak_activation_bytes, totals.params, totals.model_macs)
    return not report.symbols and all(isinstance(count, int) for count in sums)


def _of_inputs(reports: Iterable[AuditReport]) -> Iterator[str]:
    """Their dimensions in the inputs' order."""
    for report in reports:
        for tensor in report.inputs:
            for size in tensor.shape or ():
                yield from sorted(size.symbols) if isinstance(size, Formula) else ()


def _open(reports: Iterable[AuditReport]) -> Iterator[Formula]:
    """Every formula of the reports that something may be shown of."""
    for report in reports:
        totals = report.totals
        candidates: list[Count | None] = [totals.macs_at_least, totals.model_macs, totals.params]
        for layer in report.layers:
            candidates += [layer.macs, layer.calls, layer.params, layer.activation_bytes]
            candidates += [*(layer.input_shape or ()), *(layer.output_shape or ())]
        for other in report.other_layers:
            candidates += [other.macs, other.calls, *(other.input_shape or ()), *(other.output_shape or ())]
        candidates += [other.macs for other in report.other_ops]
        yield from (count for count in candidates if isinstance(count, Formula))


def _open_sizes(layer: LayerCost) -> Iterator[Formula]:
    return (size for size in layer.output_shape or () if isinstance(size, Formula))


def _common_factor(reports: Iterable[AuditReport]) -> str | None:
    """The dimension that all MACs are multiples of, if it is one and has a short name."""
    macs = [layer.macs for report in reports for layer in report.layers]
    macs += [other.macs for report in reports for other in report.other_ops]
    factors = {factor_of(count) if isinstance(count, Formula) else None for count in macs if count}
    names = {factor and factor[1] for factor in factors}
    return names.pop() if len(names) == 1 else None


def _roles(names: Iterable[str], reports: Iterable[AuditReport]) -> dict[str, str]:
    """What each dimension is: as its name tells, else as its place in an input does."""
    places: dict[str, str] = {}
    for report in reports:
        for tensor in report.inputs:
            shape = tensor.shape or ()
            for axis, size in enumerate(shape):
                for name in size.symbols if isinstance(size, Formula) else ():
                    places.setdefault(name, role_of_axis(axis, len(shape)))
    return {name: role_of(name) or places.get(name, "other") for name in names}


def input_advice(report: AuditReport) -> str:
    """The options that fix all open inputs at the example: ``-i x=1x3x224x224``; empty where none is open."""
    example = example_of(report)
    options = []
    for tensor in report.inputs:
        shape = example.shape(tensor.shape)
        if shape is None or not any(isinstance(size, Formula) for size in tensor.shape or ()):
            continue
        if all(isinstance(size, int) and size > 0 for size in shape):
            options.append(f"-i {quote(tensor.name)}={as_text(shape)}")
    return " ".join(options)
