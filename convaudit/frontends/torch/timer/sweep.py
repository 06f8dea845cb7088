"""Times one convolution alone at several numbers of groups, in turn, with random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter

import torch
from torch import Tensor

from convaudit.errors import UsageError
from convaudit.frontends import TimeRequest
from convaudit.frontends.torch.timer.alone import MEMORY_BYTES, kernels_of
from convaudit.frontends.torch.timer.observed import ALONE, LoneCall
from convaudit.frontends.torch.timer.operands import convolving, own_copy_of, random_input, too_large
from convaudit.frontends.torch.timer.profiled import prepare_profiler
from convaudit.frontends.torch.timer.rounds import interleaved
from convaudit.frontends.torch.timer.stopwatch import TIMED_DEVICES, Run, stopwatch
from convaudit.frontends.torch.verifier.evidence import torch_runtime
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.records import ConvLayer, Network
from convaudit.records.timing import Swept
from convaudit.timing.machine import cpu_name


def sweep_torch(
    network: Network,
    name: str,
    groups: Sequence[int],
    how: TimeRequest,
    stored: Mapping[str, Tensor],
) -> Swept:
    """Time the layer at each number of groups, on the threads that torch is set to. The model is not run.

    Args:
        network: The layer's.
        name: Of the layer.
        groups: Divisors of its channels.
        how: For how long, with which seed, how large a weight may be.
        stored: The model's tensors by name: its weight tells on which device it runs, and in which order
            its operands lie in memory. Without it that is the CPU, and torch's default.

    Raises:
        UsageError: The network has no such layer, or it is where nothing here tells the time.
    """
    prepare_profiler()
    start = perf_counter()
    layer = next((layer for layer in network.layers if layer.name == name), None)
    if layer is None:
        raise UsageError(f"{network.source}: no layer is called {name!r}")
    own = stored.get(layer.weight_name or "")
    own = None if own is None or own.is_meta else own
    device = torch.device("cpu") if own is None else own.device
    if device.type not in TIMED_DEVICES:
        raise UsageError(
            f"{network.source}: times are told of CPUs and CUDA devices, {name!r} is on {device}"
        )
    reason = _not_swept(layer)
    reasons, runs = dict.fromkeys(groups, reason) if reason else {}, {}
    with torch.no_grad():
        for number in groups if reason is None else ():
            made = _run(layer, number, how, own)
            if isinstance(made, str):
                reasons[number] = made
            else:
                runs[number] = made
        copies = [_copy(layer, how, own)] if layer.groups in runs else []
        kernels = kernels_of(list(runs.values()), device)
        left = how.seconds - (perf_counter() - start)
        samples = interleaved([*runs.values(), *copies], stopwatch(device), left) if runs else []
    return Swept(
        seconds=dict.fromkeys(groups, ()) | dict(zip(runs, samples, strict=False)),
        kernels=dict.fromkeys(groups) | dict(zip(runs, kernels, strict=True)),
        reasons=reasons,
        itself=samples[-1] if copies else (),
        runtime=torch_runtime(str(device), how.seed or 0),
        cpu=cpu_name() if device.type == "cpu" else torch.cuda.get_device_name(device),
    )


def _not_swept(layer: ConvLayer) -> str | None:
    """Why a layer cannot be called alone; None if it can."""
    if layer.op not in ALONE:
        return f"{layer.op} is only timed in the model"
    if not all(isinstance(size, int) for size in layer.input_shape or (None,)):
        return "its input's shape is symbolic: fix it"
    if layer.weight_dtype != layer.dtype:
        return f"a weight of {layer.weight_dtype} with an input of {layer.dtype} is only timed in the model"
    return None


def _run(layer: ConvLayer, groups: int, how: TimeRequest, own: Tensor | None) -> Run | str:
    """What runs the layer at a number of groups, or why nothing does."""
    shape = _weight_shape(layer, groups)
    weight_bytes = shape.numel() * getattr(torch, layer.dtype).itemsize
    reason = too_large(groups, weight_bytes, how.memory_bytes or MEMORY_BYTES)
    if reason is not None:
        return reason
    try:
        call = _at_groups(layer, groups, how.seed or 0, own)
        run = convolving(call, random_input(call, how.seed or 0))
        run()
    except (RuntimeError, MemoryError) as error:
        return f"torch failed: {in_one_line(error, 120)}"
    return run


def _copy(layer: ConvLayer, how: TimeRequest, own: Tensor | None) -> Run:
    call = own_copy_of(_at_groups(layer, layer.groups, how.seed or 0, own))
    return convolving(call, random_input(call, how.seed or 0))


def _weight_shape(layer: ConvLayer, groups: int) -> torch.Size:
    first, second, *kernel = (int(str(size)) for size in layer.weight_shape or ())
    return torch.Size((first, second * layer.groups // groups, *kernel))


def _at_groups(layer: ConvLayer, groups: int, seed: int, own: Tensor | None) -> LoneCall:
    """The layer with other groups; what is padded on one end only is padded beforehand, as torch does it."""
    padding = layer.padding or ()
    even = all(before == after for before, after in padding)
    sizes = [int(str(size)) for size in layer.input_shape or ()]
    if not even:
        added = [0, 0, *(int(str(before + after)) for before, after in padding)]
        sizes = [size + more for size, more in zip(sizes, added, strict=True)]
    dtype = getattr(torch, layer.dtype)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(_weight_shape(layer, groups), generator=generator).to(dtype)
    device = torch.device("cpu") if own is None else own.device
    last = own is not None and own.dim() == 4 and not own.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    return LoneCall(
        x=torch.empty(sizes, dtype=dtype, device="meta", memory_format=order),
        device=device,
        weight=weight.to(device, memory_format=order),
        bias=torch.zeros(int(str(layer.out_channels)), dtype=dtype, device=device) if layer.bias else None,
        stride=layer.stride or (),
        padding=tuple(int(str(before)) if even else 0 for before, _ in padding),
        dilation=layer.dilation or (),
        groups=groups,
        transposed=layer.transposed,
        output_padding=layer.output_padding or (0,) * len(padding),
    )
