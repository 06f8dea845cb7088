"""Positions that a convolution computes and nobody reads: backward through all graphs, axis by axis.

An output of the model is read everywhere. A convolution or a pooling of kernel k, stride s, dilation d and
padding p reads the positions ``o*s + t*d - p`` of its input, of the outputs o that are read themselves and
t < k; of several readers each may read others, and what is not told reads everything. What is left out is
exact: no number on which an output depends is among it. It is claimed where positions between those that are
read are skipped, as a stride does; what only a border loses is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import prod

import numpy as np

from convaudit.errors import ModelError
from convaudit.frontends.onnx.channels.facts import Mask, ValueKey
from convaudit.frontends.onnx.channels.positions import EVERYTHING, Positions, read_by_both, reads
from convaudit.frontends.onnx.channels.sites import GraphTensors, Site, sites
from convaudit.frontends.onnx.graphs import bodies
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer
from convaudit.records.findings import Claim
from convaudit.shapes import as_text

_MOST_PRODUCTS = 2**22  # of positions and taps along one axis that are looked at
_UNCLEAR = (Unknown, ModelError, ValueError, IndexError, TypeError, OverflowError)


def skipped_claims(walked: Walked) -> tuple[Claim, ...]:
    """Claims of convolutions of whose outputs a stride skips some, in the order of the layers."""
    tensors = GraphTensors(walked)
    read = _positions(tensors)
    claims = {}
    for address, layer in tensors.layers.items():
        output = tensors.graphs.node(address).output[0]
        claim = _claim(layer, read.get((address[:-1], output), EVERYTHING))
        if claim is not None:
            claims[layer.name] = claim
    return tuple(claims[layer.name] for layer in walked.network.layers if layer.name in claims)


def _positions(tensors: GraphTensors) -> Mapping[ValueKey, Positions]:
    """What is read of each tensor that is read at all."""
    found: dict[ValueKey, Positions] = {}

    def read(key: ValueKey | None, positions: Positions) -> None:
        if key is not None:
            found[key] = read_by_both(found[key], positions) if key in found else positions

    for output in tensors.graphs.at(()).graph.output:
        read(tensors.key((), output.name), EVERYTHING)
    for site in reversed(list(sites(tensors))):
        for attribute, body in bodies(site.node):
            for output in body.output:
                read(tensors.key((*site.address, attribute), output.name), EVERYTHING)
        for key, positions in _of_operands(site, found):
            read(key, positions)
    return found


def _of_operands(
    site: Site, found: Mapping[ValueKey, Positions]
) -> Iterator[tuple[ValueKey | None, Positions]]:
    wanted = [None if key is None else found.get(key) for key in site.outputs]
    if all(one is None for one in wanted) and not bodies(site.node):
        return
    try:
        given = list(reads(site, wanted))
    except _UNCLEAR:
        given = [EVERYTHING] * len(site.inputs)
    for key, positions in zip(site.inputs, given, strict=False):
        if positions is not None:
            yield key, positions


def _claim(layer: ConvLayer, read: Positions) -> Claim | None:
    shape = layer.output_shape
    if not read or shape is None or len(shape) != len(read) or layer.shapes_from:
        return None
    first = 1 if layer.layout == "channels_last" else 2
    masks = read[first : first + len(layer.kernel_size or ())]
    sizes = shape[first : first + len(masks)]
    whole = [size for size in sizes if isinstance(size, int)]
    if len(whole) != len(masks) or not any(mask is not None and _has_gaps(mask) for mask in masks):
        return None
    kept = prod(size if mask is None else int(mask.sum()) for size, mask in zip(whole, masks, strict=True))
    total = prod(whole)
    share = _share_of_taps(layer, masks) if layer.transposed else Fraction(total - kept, total)
    if not share:
        return None
    places = "; ".join(
        f"of {size} along axis {first + axis} {_lattice(mask)}"
        for axis, (size, mask) in enumerate(zip(whole, masks, strict=True))
        if mask is not None
    )
    return Claim(
        rule="CA203",
        layer=layer.name,
        channels=None,
        message=f"nothing reads {total - kept} of its {total} output positions ({as_text(whole)}): {places}",
        skipped=share,
        reason=_advice(layer, masks),
    )


def _share_of_taps(layer: ConvLayer, masks: Positions) -> Fraction | None:
    """The share of a transposed convolution's products that only skipped positions sum; None: not known.

    Each input position i is multiplied by each tap t, and the product added to the output position
    ``i*s + t*d - p``; how many add to a position differs from one to the next.
    """
    sizes = (layer.input_shape or ())[-len(masks) :] if layer.layout == "channels_first" else ()
    taps_of, strides, dilations, padding = layer.kernel_size, layer.stride, layer.dilation, layer.padding
    if len(sizes) != len(masks) or not taps_of or not strides or not dilations or not padding:
        return None
    every = inside = read = 1
    for size, mask, end, taps, stride, dilation, pads in zip(
        sizes,
        masks,
        (layer.output_shape or ())[-len(masks) :],
        taps_of,
        strides,
        dilations,
        padding,
        strict=True,
    ):
        if not isinstance(size, int) or not isinstance(end, int) or size * taps > _MOST_PRODUCTS:
            return None
        places = np.add.outer(np.arange(size) * stride, np.arange(taps) * dilation - pads[0])
        hits = places[(places >= 0) & (places < end)]
        every *= places.size
        inside *= hits.size
        read *= hits.size if mask is None else int(mask[hits].sum())
    return Fraction(inside - read, every) if every else None


def _has_gaps(mask: Mask) -> bool:
    places = np.flatnonzero(mask)
    return bool(places.size) and int(places[-1] - places[0]) + 1 > places.size


def _step(mask: Mask | None) -> int | None:
    """The distance of the positions that are read, if it is the same everywhere."""
    if mask is None:
        return 1
    steps = np.unique(np.diff(np.flatnonzero(mask)))
    return int(steps[0]) if steps.size == 1 else None


def _lattice(mask: Mask) -> str:
    """Which positions are read, in words."""
    places, step = np.flatnonzero(mask), _step(mask)
    if places.size < 2 or step is None or step == 1:
        return f"{places.size} are read"
    return f"every {step}. from {places[0]} to {places[-1]} is read"


def _advice(layer: ConvLayer, masks: Positions) -> str:
    """What a person can do."""
    steps = [_step(mask) for mask in masks]
    known = [step for step in steps if step is not None]
    if layer.transposed or len(known) != len(steps):
        return "no stride of its own would compute these alone"
    strides = [own * step for own, step in zip(layer.stride or (), known, strict=True)]
    return (
        f"no stride is moved: with stride {as_text(strides)} this layer would compute only what is read, "
        f"and what reads it would step by {as_text(known)} less"
    )
