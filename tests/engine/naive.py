"""The oracle: a loop over output positions that anyone can check by eye, in float64 or exact integers."""

from __future__ import annotations

import itertools

import numpy as np


def naive_conv(x, weight, *, stride, padding, dilation, groups):
    """Convolution with ``padding`` as (before, after) pairs, as the definition reads."""
    x = np.pad(x, [(0, 0), (0, 0), *padding])
    extent = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    sizes = [(i - e) // s + 1 for i, e, s in zip(x.shape[2:], extent, stride, strict=True)]
    out = np.zeros((x.shape[0], weight.shape[0], *sizes), np.result_type(x, weight))
    channels, filters = weight.shape[1], weight.shape[0] // groups
    for n, m, *at in itertools.product(*map(range, out.shape)):
        window = [slice(p * s, p * s + e, d) for p, s, e, d in zip(at, stride, extent, dilation, strict=True)]
        first = (m // filters) * channels
        out[(n, m, *at)] = (x[(n, slice(first, first + channels), *window)] * weight[m]).sum()
    return out


def naive_conv_transpose(x, weight, *, stride, padding, output_padding, dilation, groups):
    """Transposed convolution: every input position adds its own multiple of the kernel to the output."""
    extent = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    full = [
        s * (i - 1) + e + o for i, s, e, o in zip(x.shape[2:], stride, extent, output_padding, strict=True)
    ]
    channels, filters = x.shape[1] // groups, weight.shape[1]
    out = np.zeros((x.shape[0], filters * groups, *full), np.result_type(x, weight))
    for n, c, *at in itertools.product(*map(range, x.shape)):
        window = [slice(p * s, p * s + e, d) for p, s, e, d in zip(at, stride, extent, dilation, strict=True)]
        first = (c // channels) * filters
        out[(n, slice(first, first + filters), *window)] += x[(n, c, *at)] * weight[c]
    crop = tuple(slice(b, size - a) for (b, a), size in zip(padding, full, strict=True))
    return out[(..., *crop)]
