"""Random convolutions for hypothesis: every rank, grouping, stride, dilation, padding and memory layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class Case:
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None
    options: dict


@st.composite
def convolutions(draw, *, transposed=False, values=None, longest=50):
    """A convolution whose kernel fits; ``values(rng, shape)`` makes the operands, by default normal ones."""
    rank = draw(st.integers(1, 3))
    groups, channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    stride = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    sizes, padding, output_padding = [], [], []
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        # Long rows, so that depthwise ones are cut into whole and ragged bands.
        size = st.integers(1, longest if axis == rank - 1 else 6)
        before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        extra = draw(st.integers(0, max(s, d) - 1))
        extent = d * (k - 1) + 1
        # What the padded input or the output must keep: at least one position.
        least = -(-(before + after + 1 - extent - extra) // s) + 1 if transposed else extent - before - after
        sizes.append(max(draw(size), least))
        padding.append((before, after))
        output_padding.append(extra)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    make = values or (lambda rng, shape: rng.standard_normal(shape))
    weight_shape = (groups * channels, filters) if transposed else (groups * filters, channels)
    x = make(rng, (draw(st.integers(0, 2)), groups * channels, *sizes))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if transposed:
        options["output_padding"] = tuple(output_padding)
    return Case(
        x=draw(st.sampled_from(LAYOUTS))(x),
        weight=draw(st.sampled_from(LAYOUTS))(make(rng, (*weight_shape, *kernel))),
        bias=draw(st.sampled_from([None, make(rng, (groups * filters,))])),
        options=options,
    )


def _channels_last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def _every_second(array):
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 77, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _reversed(array):
    return np.ascontiguousarray(array[..., ::-1])[..., ::-1]


LAYOUTS = [np.ascontiguousarray, np.asfortranarray, _channels_last, _every_second, _reversed]
