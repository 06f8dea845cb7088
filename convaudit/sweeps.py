"""``sweep``: one convolution, or every distinct one, at every number of groups that its channels allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from math import gcd, inf
from typing import TYPE_CHECKING, Any, overload

from convaudit.analyzer import analyze
from convaudit.api import layer_named
from convaudit.arguments import flag, given_dims, given_inputs, whole
from convaudit.errors import ConvauditError, UsageError
from convaudit.formulas import Formula
from convaudit.frontends import TIME_BUDGET, OpenedModel, Request, TimeRequest, open_model
from convaudit.records import ConvLayer, LayerCost, Optimization
from convaudit.records.displayed import terminal_text
from convaudit.records.timing import Sweep, Swept
from convaudit.requests import positive_seconds, run_settings
from convaudit.shapes import as_text
from convaudit.timing import swept

if TYPE_CHECKING:
    from convaudit.api import Shapes, Source

_WORTH_ANOTHER = 0.1
"""Part of the budget that, if it is left, goes to layers that did not fit into theirs."""
_NEXT = 3
"""Smaller numbers of groups that are timed, besides 1, where a layer's own are in question."""
_Chosen = Sequence[int] | Callable[[LayerCost], Sequence[int]] | None
_NO_SAMPLES = Swept(seconds={}, kernels={})
_OWN = ("name", "calls", "branches", "scope", "notes", "shapes_from", "weight_name", "bias_name")
"""Fields in which layers may differ that are timed as one."""


class SweepReport(Sweep):
    """A convolution at every number of groups: data first, and every way to show them."""

    __slots__ = ()

    @classmethod
    def of(cls, sweep: Sweep) -> SweepReport:
        """The same findings as a SweepReport."""
        return cls(**{field.name: getattr(sweep, field.name) for field in fields(Sweep)})

    def __repr__(self) -> str:
        return f"<convaudit.SweepReport of {self.layer!r}: {len(self.rows)} numbers of groups>"

    def __str__(self) -> str:
        return terminal_text("sweep", self)

    def _repr_html_(self) -> str:
        from convaudit.reporters.notebook import sweep_html

        return sweep_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The rows as plain lists, dictionaries and numbers."""
        from convaudit.reporters.sweeps import sweep_dict

        return sweep_dict(self)

    def to_json(self) -> str:
        """The same as JSON text."""
        from convaudit.reporters import FORMATS

        return FORMATS["json"].render("sweep", self)


class SweepReports(list[SweepReport]):
    """Sweeps of all distinct layers of a model; printed, a row each."""

    def __str__(self) -> str:
        return terminal_text("sweeps", self) if self else "nothing was swept"

    def _repr_html_(self) -> str:
        from convaudit.reporters.notebook import sweeps_html

        return sweeps_html(self)


@overload
def sweep(
    source: Source,
    *,
    layer: str,
    groups: Sequence[int] | None = ...,
    input_shape: Shapes = ...,
    inputs: Any = ...,
    dims: Mapping[str, int] | None = ...,
    kwargs: Mapping[str, Any] | None = ...,
    allow_run: bool = ...,
    fake: bool = ...,
    time_budget: float | None = ...,
    memory_bytes: int | None = ...,
    provider: str | None = ...,
    threads: int | None = ...,
    optimization: Optimization | None = ...,
    progress: Callable[[int, int], None] | None = ...,
) -> SweepReport: ...


@overload
def sweep(
    source: Source,
    *,
    layer: None = ...,
    groups: Sequence[int] | None = ...,
    input_shape: Shapes = ...,
    inputs: Any = ...,
    dims: Mapping[str, int] | None = ...,
    kwargs: Mapping[str, Any] | None = ...,
    allow_run: bool = ...,
    fake: bool = ...,
    time_budget: float | None = ...,
    memory_bytes: int | None = ...,
    provider: str | None = ...,
    threads: int | None = ...,
    optimization: Optimization | None = ...,
    progress: Callable[[int, int], None] | None = ...,
) -> SweepReports: ...


def sweep(
    source: Source,
    *,
    layer: str | None = None,
    groups: Sequence[int] | None = None,
    input_shape: Shapes = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    allow_run: bool = True,
    fake: bool = True,
    time_budget: float | None = None,
    memory_bytes: int | None = None,
    provider: str | None = None,
    threads: int | None = None,
    optimization: Optimization | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepReport | SweepReports:
    """How long a convolution takes at every number of groups that its channels allow.

    It is timed alone, with random weights, at all of them in turn. What another number of groups does to the
    network's accuracy is another matter.

    Args:
        source: As in ``audit``.
        layer: Its name, as an audit has it; None: every distinct layer, equal ones once.
        groups: Divisors of its input and output channels; None: all. 1 and the layer's own are always there.
        input_shape: As in ``audit``.
        inputs: As in ``audit``.
        dims: As in ``audit``.
        kwargs: As in ``audit``.
        allow_run: As in ``audit``.
        fake: As in ``audit``.
        time_budget: Seconds that all of it may take, by default 30.
        memory_bytes: The most that the weights of one of them may take, by default 1 GiB.
        provider: As in ``audit``.
        threads: Threads of the runtime, by default 1.
        optimization: onnxruntime's graph optimisation, by default "all".
        progress: Is called with how many layers are done, and of how many.

    Returns:
        The layer's rows, one for each number of groups; or a list of such, one for each distinct layer: where
        one was not measured its rows say why.

    Raises:
        UsageError: The layer does not exist, its channels or sizes are open, or they cannot be divided so.
        ExecutionError: It does not run.
        LoadError: As ``audit`` does.
    """
    chosen = None if groups is None else _checked(groups)
    if layer is not None and not isinstance(layer, str):
        raise UsageError(f"layer must be a layer's name, got {layer!r:.100}")
    if progress is not None and not callable(progress):
        raise UsageError(f"progress must be a function of two numbers, got {progress!r:.100}")
    settings = {"seed": None, "memory_bytes": memory_bytes, "provider": provider, "threads": threads}
    budget = TIME_BUDGET if time_budget is None else positive_seconds(time_budget, "time_budget")
    how = TimeRequest(**run_settings({**settings, "optimization": optimization}), budget_seconds=budget)
    request = Request(
        input_shape=given_inputs(input_shape),
        inputs=inputs,
        dims=given_dims(dims),
        kwargs=kwargs,
        allow_run=flag(allow_run, "allow_run"),
        fake=flag(fake, "fake"),
        time=how,
    )
    model = open_model(source, request)
    layers = analyze(model.network).layers
    if not layers:
        raise UsageError(f"{model.network.source}: nothing to sweep, the model contains no convolution")
    if layer is None:
        return _all(model, layers, chosen, how, progress)
    found = layer_named(model.network.source, layers, layer)
    numbers = possible_groups(model.network.source, found, chosen)
    samples = model.sweep(found.name, numbers, how)
    return _reported(model, layers, found, numbers, samples)


def sweep_fewer(model: OpenedModel, how: TimeRequest) -> list[SweepReport]:
    """Each distinct layer that has groups, at its own number of them, at the next smaller ones, and at 1.

    Args:
        model: The opened model.
        how: The budget is for all of it.
    """
    layers = [layer for layer in analyze(model.network).layers if layer.groups > 1]
    return _all(model, layers, _fewer, how, None) if layers else []


def _fewer(layer: LayerCost) -> list[int]:
    smaller = [number for number in range(1, layer.groups) if layer.groups % number == 0]
    return smaller[-_NEXT:]


def possible_groups(source: str, layer: LayerCost, chosen: Sequence[int] | None) -> list[int]:
    """The numbers of groups to sweep: the chosen ones, 1 and the layer's own; by default all that divide.

    Raises:
        UsageError: The layer's channels or sizes are open, or a number does not divide its channels.
    """
    who = f"{source}: {layer.name}"
    _check_closed(who, layer)
    channels = gcd(_integer(layer.in_channels), _integer(layer.out_channels))
    divisors = [number for number in range(1, channels + 1) if channels % number == 0]
    for number in chosen or ():
        if number not in divisors:
            raise UsageError(
                f"{who}: groups={number} does not divide its {layer.in_channels} input and "
                f"{layer.out_channels} output channels; choose from {_listed(divisors)}"
            )
    return divisors if chosen is None else sorted({1, layer.groups, *chosen})


def _all(
    model: OpenedModel,
    layers: Sequence[LayerCost],
    chosen: _Chosen,
    how: TimeRequest,
    progress: Callable[[int, int], None] | None,
) -> SweepReports:
    """A sweep of each distinct layer, each given its part of what is left of the budget."""
    found: dict[tuple[object, ...], LayerCost] = {}
    for layer in layers:
        found.setdefault(_alike(layer), layer)
    distinct = sorted(found.values(), key=_first_due)
    end = time.perf_counter() + how.seconds
    done: dict[str, SweepReport] = {}

    def sweep_within_budget(due: Sequence[LayerCost]) -> None:
        for index, layer in enumerate(due):
            if progress is not None:
                progress(len(distinct) - len(due) + index, len(distinct))
            share = max(end - time.perf_counter(), 0.001) / (len(due) - index)
            done[layer.name] = _one_of_all(model, layers, layer, chosen, replace(how, budget_seconds=share))

    sweep_within_budget(distinct)
    left_out = [layer for layer in distinct if all(row.seconds is None for row in done[layer.name].rows)]
    if end - time.perf_counter() > _WORTH_ANOTHER * how.seconds:
        sweep_within_budget([layer for layer in left_out if len(done[layer.name].rows) > 1])
    if progress is not None:
        progress(len(distinct), len(distinct))
    return SweepReports(done[layer.name] for layer in found.values())


def _first_due(layer: LayerCost) -> tuple[bool, float]:
    """Layers with groups first, as they may have better ones; then light ones, which leave time to others."""
    return layer.groups == 1, layer.dense_macs if isinstance(layer.dense_macs, int) else inf


def _one_of_all(
    model: OpenedModel,
    layers: Sequence[LayerCost],
    layer: LayerCost,
    chosen: _Chosen,
    how: TimeRequest,
) -> SweepReport:
    source, samples = model.network.source, _NO_SAMPLES
    numbers = [layer.groups]
    try:
        asked = chosen(layer) if callable(chosen) else chosen
        fitting = None if asked is None else [number for number in asked if _divides(number, layer)]
        numbers = possible_groups(source, layer, fitting)
        if len(numbers) == 1:
            reason = (
                "its channels allow no other groups" if chosen is None else "no groups asked for divide it"
            )
            samples = replace(_NO_SAMPLES, reasons=dict.fromkeys(numbers, reason))
        else:
            samples = model.sweep(layer.name, numbers, how)
    except ConvauditError as error:
        reason = str(error).removeprefix(f"{source}: ").removeprefix(f"{layer.name}: ")
        samples = replace(_NO_SAMPLES, reasons=dict.fromkeys(numbers, reason))
    return _reported(model, layers, layer, numbers, samples)


def _reported(
    model: OpenedModel, layers: Sequence[LayerCost], layer: LayerCost, numbers: Sequence[int], samples: Swept
) -> SweepReport:
    same = [other.name for other in layers if _alike(other) == _alike(layer)]
    found: Sweep = swept(model.network.source, layer, same, numbers, samples)
    return SweepReport.of(found)


def _alike(layer: ConvLayer) -> tuple[object, ...]:
    """What two layers share whose times are the same."""
    return tuple(
        getattr(layer, name) for name in ConvLayer.__dataclass_fields__ if name not in (*_OWN, "stored")
    )


def _checked(groups: Any) -> list[int]:
    if isinstance(groups, str) or not isinstance(groups, Sequence) or not groups:
        raise UsageError(f"groups must be a list of numbers such as [1, 2, 4], got {groups!r:.100}")
    return sorted({whole(number, "groups", least=1) for number in groups})


def _check_closed(who: str, layer: LayerCost) -> None:
    sizes = [*(layer.input_shape or (None,)), *(layer.output_shape or (None,))]
    symbols = sorted({name for size in sizes if isinstance(size, Formula) for name in size.symbols})
    if symbols:
        shape = as_text(layer.input_shape)
        fix = " ".join(f"--dim {name}=VALUE" for name in symbols)
        raise UsageError(
            f"{who}: its input {shape} has open sizes, on which times depend; give {fix}, or --input"
        )
    known = (layer.in_channels, layer.out_channels, *sizes)
    if not all(isinstance(size, int) for size in known) or layer.kernel_size is None:
        raise UsageError(f"{who}: its channels or sizes are unknown; give the model's inputs with --input")


def _divides(number: int, layer: LayerCost) -> bool:
    channels = (layer.in_channels, layer.out_channels)
    return all(isinstance(size, int) and size % number == 0 for size in channels)


def _integer(count: Any) -> int:
    assert isinstance(count, int)
    return count


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
