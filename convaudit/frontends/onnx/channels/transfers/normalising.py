"""Normalisations that treat each channel for itself, and Dropout."""

from __future__ import annotations

import numpy as np

from convaudit.frontends.onnx.channels.compressed import any_along, check_size
from convaudit.frontends.onnx.channels.facts import KnownElements, along, anywhere_along
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, all_of, first
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown

_CHANNELS = 1
_INFERENCE_ONLY = 7  # since this opset nothing trains without saying so


def _check_inference(site: Site) -> None:
    """Raise Unknown of a node that trains."""
    if site.opset < _INFERENCE_ONLY:
        trains = not site.attributes.integer("is_test", 0)
    elif site.op == "BatchNormalization":
        trains = bool(site.attributes.integer("training_mode", 0)) or any(map(site.gives, range(1, 5)))
    else:
        trains = site.has(2) and bool(site.constant(2).any())
    if trains or site.attributes.integer("spatial", 1) != 1:
        raise Unknown


def _parameters(site: Site, indices: range, channels: int) -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for index in indices:
        known = site.known(index)
        if known is None:
            raise Unknown
        found.append(along(known, 0, channels))
    return found


def _channel_count(site: Site) -> int:
    shape = site.ranked()
    size = site.ranked(1)[0] if len(shape) < 2 or not isinstance(shape[1], int) else shape[1]
    if not isinstance(size, int):
        raise Unknown
    check_size(size)
    return size


def _batch_normalised(site: Site) -> Results:
    _check_inference(site)
    rank, channels = len(site.ranked()), _channel_count(site)
    shape = [1] * rank
    shape[_CHANNELS] = channels
    parameters = _parameters(site, range(1, 5), channels)
    there = np.logical_and.reduce([mask for mask, _ in parameters]).reshape(shape)
    scale, bias, mean, variance = (values.reshape(shape).astype(np.float64) for _, values in parameters)
    constant = there & (scale == 0)
    known = site.known()
    x, dtype = np.zeros((1,) * rank), site.known(2).values.dtype  # type: ignore[union-attr]
    if known is not None:
        constant, x = constant | (there & known.mask), known.values
        dtype = x.dtype
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + site.attributes.real("epsilon", 1e-5))
        values = np.where(scale == 0, bias, (x.astype(np.float64) - mean) * factor + bias)
    return [KnownElements(constant, values.astype(dtype))]


def _unnormalised(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    _check_inference(site)
    mask, channels = first(wanted), _channel_count(site)
    return [mask, *[anywhere_along(mask, _CHANNELS, channels)] * (len(site.inputs) - 1)]


def _instance_normalised(site: Site) -> Results:
    known, rank, channels = site.known(), len(site.ranked()), _channel_count(site)
    if known is None:
        return [None]
    shape = [1] * rank
    shape[_CHANNELS] = channels
    # of another constant the mean is rounded, and the deviation from it then scaled up
    constant, values = along(known, _CHANNELS, channels)
    ((there, bias),) = _parameters(site, range(2, 3), channels)
    return [KnownElements((constant & (values == 0) & there).reshape(shape), bias.reshape(shape))]


def _uninstanced(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask, channels = first(wanted), _channel_count(site)
    own = anywhere_along(mask, _CHANNELS, channels)
    return [any_along(mask, range(2, mask.ndim)), own, own]


def _dropped(site: Site) -> Results:
    _check_inference(site)
    return [site.known()]


def _undropped(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    _check_inference(site)
    return [first(wanted), *(all_of(site, index) for index in range(1, len(site.inputs)))]


NORMALISING_OPS = {
    "BatchNormalization": Transfer(_batch_normalised, _unnormalised, absorbs=True),
    "InstanceNormalization": Transfer(_instance_normalised, _uninstanced),
    "Dropout": Transfer(_dropped, _undropped),
}
