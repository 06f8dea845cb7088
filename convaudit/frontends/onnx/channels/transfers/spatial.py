"""Ops over space that leave channels apart: poolings, resizing, sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convaudit.frontends.onnx.channels.compressed import any_along, uniform_along
from convaudit.frontends.onnx.channels.facts import KnownElements
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, all_of, first
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.frontends.onnx.window import Window, read_window

_SPATIAL = 2  # the first spatial axis


def _space(site: Site) -> range:
    return range(_SPATIAL, len(site.ranked()))


def _pooling(keeps: Callable[[Site], bool]) -> Transfer:
    """A pooling; ``keeps`` tells whether it gives a constant input's own number everywhere, else only 0."""

    def forward(site: Site) -> Results:
        known = site.known()
        if known is None:
            return [None]
        uniform = uniform_along(known, _space(site))
        return [uniform if keeps(site) else _zeros(uniform)]

    def backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
        if len(wanted) > 1 and wanted[1] is not None:
            raise Unknown  # positions of maxima, counted over all channels
        return [any_along(first(wanted), _space(site))]

    return Transfer(forward, backward)


def _zeros(known: KnownElements) -> KnownElements:
    return KnownElements(known.mask & (known.values == 0), known.values)


def _window(site: Site) -> Window:
    return read_window(site.attributes, site.attributes.sizes("kernel_shape", len(_space(site)), 1, 1))


def _is_padded(window: Window) -> bool:
    pads = window.padding or ()
    return window.is_same or (window.auto_pad != "VALID" and any(map(any, pads)))


def _averages_inside(site: Site) -> bool:
    """Whether a mean is only over what is inside the input, or nothing is outside."""
    if site.attributes.integer("count_include_pad", 0):
        return not _is_padded(_window(site)) and not site.attributes.integer("ceil_mode", 0)
    return True


def _meets_input(site: Site) -> bool:
    """Whether each window of a maximum meets an element of the input, so that padding never counts."""
    window = _window(site)
    if not _is_padded(window):
        return True
    if site.attributes.integer("ceil_mode", 0) or any(step != 1 for step in window.dilation):
        return False
    pads = () if window.is_same else window.padding or ()
    return all(max(pair) < size for pair, size in zip(pads, window.kernel_size, strict=False))


def scaled_axes(site: Site) -> list[int]:
    """Axes that a Resize may change: those on which it is not proven to do nothing."""
    shape, result = site.ranked(), site.output_shape()
    axes = site.attributes.integers("axes")
    named = range(len(shape)) if axes is None else [axis % len(shape) for axis in axes]
    if site.attributes.string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return list(range(len(shape)))
    if site.op == "Upsample" and "scales" in site.attributes:
        scales: Sequence[float] = site.attributes.floats("scales")
        return [axis for axis, scale in zip(named, scales, strict=True) if scale != 1]
    index = 2 if site.op == "Resize" and site.opset >= 11 else 1
    if site.has(index) and site.shape(index) != (0,):
        try:
            scales = site.constant(index).tolist()
        except Unknown:
            return list(named)
        return [axis for axis, scale in zip(named, scales, strict=True) if scale != 1]
    if site.attributes.string("keep_aspect_ratio_policy", "stretch") != "stretch":
        return list(named)
    return [axis for axis in named if shape[axis] is None or shape[axis] != result[axis]]


def _resize(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    uniform = uniform_along(known, scaled_axes(site))
    mode = site.attributes.string("mode", "nearest")
    crops = site.attributes.string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    if crops and site.attributes.real("extrapolation_value", 0) != 0:
        return [None]
    exact = mode == "nearest" or (mode == "linear" and known.values.dtype.kind not in "iu")
    return [uniform if exact and not crops else _zeros(uniform)]


def _unresize(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask = any_along(first(wanted), scaled_axes(site))
    return [mask, *(all_of(site, index) for index in range(1, len(site.inputs)))]


def _sample(site: Site) -> Results:
    known = site.known()
    if known is None:
        return [None]
    return [_zeros(uniform_along(known, _space(site)))]


def _unsample(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    return [
        any_along(first(wanted), _space(site)),
        *(all_of(site, index) for index in range(1, len(site.inputs))),
    ]


def _always(site: Site) -> bool:
    return True


def _never(site: Site) -> bool:
    return False


_RESIZE = Transfer(_resize, _unresize)

SPATIAL_OPS = {
    "MaxPool": _pooling(_meets_input),
    "AveragePool": _pooling(_averages_inside),
    "LpPool": _pooling(_never),
    "GlobalMaxPool": _pooling(_always),
    "GlobalAveragePool": _pooling(_always),
    "GlobalLpPool": _pooling(_never),
    "Resize": _RESIZE,
    "Upsample": _RESIZE,
    "GridSample": Transfer(_sample, _unsample),
}
