"""Times a torch model's convolutions: within runs of the model, and alone beside their groups=1 twins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from convaudit.errors import UsageError
from convaudit.feeds import given_feeds
from convaudit.frontends import TimeRequest
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.timer.alone import MEMORY_BYTES, Bench, time_alone
from convaudit.frontends.torch.timer.forward import own_forward
from convaudit.frontends.torch.timer.in_model import InModel, time_in_model
from convaudit.frontends.torch.timer.observed import Observed, observe
from convaudit.frontends.torch.timer.profiled import prepare_profiler
from convaudit.frontends.torch.timer.roofs import measured_roofs
from convaudit.frontends.torch.timer.stopwatch import TIMED_DEVICES, stopwatch
from convaudit.frontends.torch.verifier.compiled import compiled_parts
from convaudit.frontends.torch.verifier.evidence import runtime_info
from convaudit.records import ConvLayer, Network
from convaudit.records.timing import LayerSamples, Timed
from convaudit.timing.machine import cpu_name

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

_IN_MODEL = 0.3
"""Share of the time for runs of the whole model."""


def time_torch(
    model: TorchModel,
    network: Network,
    how: TimeRequest,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    data: Mapping[str, Any] | None = None,
) -> Timed:
    """Measure every convolution of one forward in eval mode, on the threads that torch is set to.

    The model runs as a copy with tensors of its own: the user's stays as it was.

    Args:
        model: The model that was walked.
        network: What walking it found.
        how: For how long, with which seed, how large a twin may be.
        input_shape: As ``network`` was walked with.
        inputs: The same.
        data: Arrays by input name, in place of those.

    Raises:
        UsageError: The model has no values to run on, or its inputs cannot be used.
        ExecutionError: The forward fails.
    """
    prepare_profiler()
    threads = torch.get_num_threads()
    deadline = perf_counter() + how.seconds
    if isinstance(model, nn.Module) and any(tensor.is_meta for tensor in model.parameters()):
        raise UsageError(f"{network.source}: it is on the meta device and has no values to be timed on")
    seed = how.seed or 0
    arrays = list(given_feeds(network.inputs, data).values()) if data else None
    called_with = {"input_shape": input_shape, "inputs": inputs}
    observed = observe(model, network, called_with, arrays, seed)
    device = _device(network, observed)
    often = {place for place in observed.order if place is not None and _as_often(network, observed, place)}
    order = [place if place in often else None for place in observed.order]
    with own_forward(model, network, called_with, arrays, seed) as prepared:
        share = (deadline - perf_counter()) * (_IN_MODEL if how.alone else 1)
        in_model = time_in_model(prepared, order, device, share)
        changed = torch.get_num_threads() if torch.get_num_threads() != threads else None
    progress = how.progress or (lambda layers: None)
    watch, alone, roofs = stopwatch(device), {}, None
    if how.alone:
        with torch.no_grad():
            roofs = measured_roofs(_real_types(network), device, watch)
            bench = Bench(stopwatch=watch, seed=seed, memory_bytes=how.memory_bytes or MEMORY_BYTES)
            expected = _expected(in_model, observed)
            alone = time_alone(observed.lone_calls, expected, bench, deadline, progress)
    progress(len(network.layers) - len(alone))
    drawn = arrays is None and inputs is None
    return Timed(
        layers=tuple(
            _samples(layer, place, in_model, observed, alone) for place, layer in enumerate(network.layers)
        ),
        runs=in_model.runs,
        plain=in_model.plain,
        parts=in_model.parts,
        roofs=roofs,
        runtime=runtime_info(model, network, seed if drawn else None),
        cpu=cpu_name() if device.type == "cpu" else torch.cuda.get_device_name(device),
        warnings=(*private.losses(), *_as_written(model), *_on_other_threads(changed)),
    )


def _device(network: Network, observed: Observed) -> torch.device:
    """Where it computes.

    Raises:
        UsageError: On several devices, or where nothing here tells the time.
    """
    names = sorted(map(str, observed.devices))
    if len(names) > 1:
        raise UsageError(f"{network.source}: times are told of one device, it computes on {', '.join(names)}")
    device = next(iter(observed.devices), torch.device("cpu"))
    if device.type not in TIMED_DEVICES:
        raise UsageError(
            f"{network.source}: times are told of CPUs and CUDA devices, it computes on {device}"
        )
    return device


def _as_often(network: Network, observed: Observed, place: int) -> bool:
    """Whether the run called a layer as often as the audit says: else the time of one call is not known."""
    calls = network.layers[place].calls
    return not isinstance(calls, int) or observed.order.count(place) == calls


def _real_types(network: Network) -> list[str]:
    names = dict.fromkeys(layer.dtype for layer in network.layers)
    return [name for name in names if getattr(getattr(torch, name, None), "is_floating_point", False)]


def _expected(in_model: InModel, observed: Observed) -> dict[int, float]:
    """Seconds of one call of each layer in the model."""
    return {
        place: median(seconds) / observed.order.count(place) for place, seconds in in_model.layers.items()
    }


def _samples(
    layer: ConvLayer, place: int, in_model: InModel, observed: Observed, alone: Mapping[int, LayerSamples]
) -> LayerSamples:
    if place not in observed.order:
        return LayerSamples(reason="the forward on these values did not run it")
    unseen = in_model.reason
    if unseen is None and place not in in_model.layers:
        ran = f"called it {observed.order.count(place)} times, the audit counts {layer.calls}"
        unseen = f"not timed in the model: the forward on these values {ran}"
    own = alone.get(place, LayerSamples(reason=observed.reasons.get(place)))
    kernel, elsewhere = in_model.kernels.get(place), None
    if kernel is not None and own.kernel not in (None, kernel):
        elsewhere = f"alone it ran as {own.kernel}"
    reasons = dict.fromkeys(reason for reason in (unseen, own.reason, elsewhere) if reason)
    return replace(
        own,
        in_model=in_model.layers.get(place, ()),
        reorders=None,  # what a kernel does to its operands' layout is within it, and not seen
        kernel=kernel or own.kernel,
        reason="; ".join(reasons) or None,
    )


def _on_other_threads(count: int | None) -> tuple[str, ...]:
    if count is None:
        return ()
    return (
        f"in the model, times are of {count} threads, set by its forward; only layers alone ran on others",
    )


def _as_written(model: TorchModel) -> tuple[str, ...]:
    if isinstance(model, nn.Module) and compiled_parts(model):
        return ("times are of the module as it is written: what torch.compile makes of it is not timed",)
    return ()
