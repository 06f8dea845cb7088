"""What the weight of one layer alone tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convaudit.engine.operands import Array
from convaudit.linting.crops import Crop, hull, met_taps, outside
from convaudit.linting.duplicates import duplicate_filters
from convaudit.linting.groups import LatentGroups, latent_groups
from convaudit.linting.scan import Scan, count_nonfinite, scan
from convaudit.records import ConvLayer
from convaudit.records.findings import Claim, Region
from convaudit.shapes import as_text
from convaudit.units import human_percentage

_GLANCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFacts:
    """What is kept of a weight when it is no longer in memory.

    Attributes:
        nonzero: Which kernels are not all zero, (groups, out/groups, in/groups); None: all of them.
        claims: Of the rules that need no graph.
        crops: By rule (CA201, CA202): what may stay of the kernel. ``crops.cropped_padding`` tells with
            which padding; several rules' crops may be intersected.
        latent: Groups that it hides.
        duplicates: Classes of output channels that are the same, each ascending.
        mixed: Whether it was seen at a glance that each filter has weights of either sign, or is all zero.
    """

    nonzero: NDArray[np.bool_] | None
    claims: tuple[Claim, ...] = ()
    crops: Mapping[str, Crop] = field(default_factory=dict)
    latent: LatentGroups | None = None
    duplicates: tuple[tuple[int, ...], ...] = ()
    mixed: bool = False

    @property
    def dense(self) -> bool:
        """Whether no kernel is all zero."""
        return self.nonzero is None


def grouped_weight(layer: ConvLayer, weight: Array) -> Array:
    """A weight as (groups, out/groups, in/groups, *kernel), from what ``ConvLayer.weight_shape`` says."""
    first, second, *kernel = weight.shape
    parts = weight.reshape(layer.groups, first // layer.groups, second, *kernel)
    return np.swapaxes(parts, 1, 2) if layer.transposed else parts


def examine(
    layer: ConvLayer,
    weight: Array,
    bias: Array | None,
    *,
    scale: Array | None = None,
    residual: bool = False,
    zero_padded: bool = True,
) -> WeightFacts:
    """Look at one layer's weight once.

    Args:
        layer: Its record.
        weight: Shaped as ``layer.weight_shape`` says; of integers, without their zero point.
        bias: (out,); None if there is none, or it is not constant.
        scale: What a filter's integers stand for multiples of, (out,), where that is not one for all.
        residual: Whether something else, or what is not stored, goes into each output.
        zero_padded: Whether what lies beyond the input's border is zero.
    """
    if not weight.size:
        return WeightFacts(nonzero=None)
    seen = scan(weight)
    nonzero = _by_group(layer, weight, seen.nonzero)
    live = np.logical_or.reduce(nonzero, axis=2)
    # whether the filter and what is stored beside it make all of its output
    own = not residual and (bias is not None or not layer.bias)
    own = own and all(row is None or row.shape == (live.size,) for row in (bias, scale))
    beside = [row for row in (bias, scale) if row is not None]
    duplicates = duplicate_filters(grouped_weight(layer, weight), beside, live) if own else ()
    latent = None if seen.nonzero.all() else latent_groups(nonzero)
    idle = list(_idle_taps(layer, seen, met_taps(layer) if zero_padded and not seen.nonfinite else None))
    claims = (
        *(_zero_filters(layer, live) if own else ()),
        *_duplicates(layer, duplicates),
        *(claim for claim, _ in idle),
        *_latent(layer, latent, live),
        *_denormal(layer, weight, seen),
        *_nonfinite(layer, weight, seen, bias),
    )
    return WeightFacts(
        nonzero=None if seen.nonzero.all() else nonzero,
        claims=claims,
        crops={claim.rule: crop for claim, crop in idle if crop is not None},
        latent=latent,
        duplicates=duplicates,
        mixed=_mixed(grouped_weight(layer, weight), live),
    )


def _mixed(kernels: Array, live: NDArray[np.bool_]) -> bool:
    """Whether the first weights of each live filter have both signs; (groups, filters, channels, *kernel)."""
    few = kernels[:, :, :_GLANCE]
    few = few.reshape(few.shape[0] * few.shape[1], -1)[:, :_GLANCE]
    with np.errstate(invalid="ignore"):  # which ml_dtypes tell of NaN
        return bool((((few > 0).any(axis=1) & (few < 0).any(axis=1)) | ~live.ravel()).all())


def _by_group(layer: ConvLayer, weight: Array, kernels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is known of each stored kernel, as (groups, out/groups, in/groups)."""
    return grouped_weight(layer, kernels.reshape(weight.shape[:2]))


def _zero_filters(layer: ConvLayer, live: NDArray[np.bool_]) -> Iterator[Claim]:
    zero = tuple(np.flatnonzero(~live).tolist())
    if zero:
        yield Claim(
            rule="CA101",
            layer=layer.name,
            channels=zero,
            message=f"{len(zero)} of {live.size} filters are all zero: each gives its bias everywhere",
            regions=(Region(layer=layer.name, outputs=zero),),
        )


def _duplicates(layer: ConvLayer, classes: Sequence[Sequence[int]]) -> Iterator[Claim]:
    if not classes:
        return
    again = tuple(sorted(channel for members in classes for channel in members[1:]))
    told = "; ".join(f"{channel_list(members[1:])} repeat {members[0]}" for members in classes[:3])
    more = f"; and {len(classes) - 3} more classes" if len(classes) > 3 else ""
    yield Claim(
        rule="CA104",
        layer=layer.name,
        channels=again,
        message=f"{len(again)} of {layer.out_channels} filters repeat others bit for bit: {told}{more}",
        regions=(Region(layer=layer.name, outputs=again),),
    )


def _idle_taps(
    layer: ConvLayer, seen: Scan, met: NDArray[np.bool_] | None
) -> Iterator[tuple[Claim, Crop | None]]:
    """Taps that only meet padding, and borders that are zero among the others, with what may stay."""
    kernel = layer.kernel_size
    if not kernel or layer.deformable or len(seen.taps) != np.prod(kernel) or not seen.taps.any():
        return
    used, within = seen.taps.reshape(kernel), tuple((0, size) for size in kernel)
    met = np.ones(kernel, bool) if met is None or not met.any() else met
    if not met.all():
        box = hull(met)
        taps = tuple(np.flatnonzero(~met).tolist())
        yield _padding_taps(layer, taps, met.size), (None if box == within else box)
        within = box
    used = used & met
    if used.any() and (left := hull(used)) != within:
        taps = tuple(tap for tap in outside(kernel, left) if met.flat[tap])
        yield _zero_border(layer, taps, left), left


def _padding_taps(layer: ConvLayer, taps: tuple[int, ...], count: int) -> Claim:
    shape = layer.input_shape or ()
    sizes = as_text(shape[1:-1] if layer.layout == "channels_last" else shape[2:])
    where = "fall outside of the output" if layer.transposed else "only ever meet padding"
    return Claim(
        rule="CA202",
        layer=layer.name,
        channels=None,
        message=f"{len(taps)} of {count} taps {where}: its input is {sizes}",
        regions=(Region(layer=layer.name, taps=taps),),
    )


def _zero_border(layer: ConvLayer, taps: tuple[int, ...], left: Crop) -> Claim:
    sizes = as_text([end - first for first, end in left])
    kernel = as_text(layer.kernel_size)
    return Claim(
        rule="CA201",
        layer=layer.name,
        channels=None,
        message=f"the kernel is {kernel}, but zero in all filters outside of {sizes}",
        regions=(Region(layer=layer.name, taps=taps),),
    )


def _latent(layer: ConvLayer, latent: LatentGroups | None, live: NDArray[np.bool_]) -> Iterator[Claim]:
    if latent is None:
        return
    regions, blocks = [], []
    width = live.shape[1]
    per_group = len(latent.inputs) // layer.groups
    for outputs, inputs in latent.blocks():
        group = int(outputs[0]) // width
        others = np.setdiff1d(np.arange(group * per_group, (group + 1) * per_group), inputs)
        regions.append(
            Region(
                layer=layer.name,
                outputs=tuple(np.sort(outputs).tolist()),
                inputs=tuple(others.tolist()),
            )
        )
        blocks.append((regions[-1].outputs or (), tuple(np.sort(inputs).tolist())))
    how = "as its channels stand" if latent.in_order else "once its channels are reordered"
    instead = "a dense layer" if layer.groups == 1 else f"groups={layer.groups}"
    yield Claim(
        rule="CA204",
        layer=layer.name,
        channels=None,
        message=f"{instead} hides groups={latent.groups}: all kernels between them are zero, {how}",
        regions=tuple(regions),
        blocks=tuple(blocks),
    )


def unused_inputs(layer: ConvLayer, facts: WeightFacts) -> Iterator[Claim]:
    """CA105 where one weight tells it: input channels for which every filter that reads them is zero."""
    if facts.nonzero is None or not facts.nonzero.any():
        return
    unused = tuple(np.flatnonzero(~facts.nonzero.any(axis=1)).tolist())
    if unused:
        yield Claim(
            rule="CA105",
            layer=layer.name,
            channels=None,
            message=f"all weights for {len(unused)} of {layer.in_channels} input channels are zero: "
            f"{channel_list(unused)}",
            regions=(Region(layer=layer.name, inputs=unused),),
        )


def _denormal(layer: ConvLayer, weight: Array, seen: Scan) -> Iterator[Claim]:
    if seen.denormals:
        share = human_percentage(seen.denormals / weight.size)
        yield Claim(
            rule="CA301",
            layer=layer.name,
            channels=None,
            message=f"{seen.denormals} of {weight.size} weights ({share}) are denormal {weight.dtype.name}",
        )


def _nonfinite(layer: ConvLayer, weight: Array, seen: Scan, bias: Array | None) -> Iterator[Claim]:
    biases = count_nonfinite(bias)
    if not seen.nonfinite and not biases:
        return
    wild = _by_group(layer, weight, seen.infinite).any(axis=2).ravel()
    if bias is not None and biases and bias.shape == wild.shape:
        wild = wild | ~np.isfinite(bias)
    parts = [f"{seen.nonfinite} of {weight.size} weights"] if seen.nonfinite else []
    parts += [f"{biases} of {bias.size} biases"] if bias is not None and biases else []
    yield Claim(
        rule="CA302",
        layer=layer.name,
        channels=tuple(np.flatnonzero(wild).tolist()),
        message=f"{' and '.join(parts)} are infinite or not a number",
    )


def channel_list(channels: Sequence[int]) -> str:
    """``3, 5 and 9``; of many the first few, and how many more.

    >>> channel_list([3, 5, 9]), channel_list(range(100))
    ('3, 5 and 9', '0, 1, 2, 3 and 96 more')
    """
    names = [str(channel) for channel in channels[:5]]
    if len(channels) > 5:
        names[4] = f"{len(channels) - 4} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
