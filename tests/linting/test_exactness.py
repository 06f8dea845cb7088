"""What a claim names can go: on random weights with planted zeros, held against the engine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convaudit.engine import conv, conv_transpose
from convaudit.linting.weights import examine, grouped_weight, unused_inputs
from tests.linting.layers import layer_of


def random_layer(rng):
    """A layer of any kind that the engine runs, its weight with zeros of every kind."""
    rank, transposed = int(rng.integers(1, 4)), bool(rng.integers(2))
    groups = int(rng.choice([1, 1, 2, 3]))
    outs, ins = groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 5))
    kernel = rng.integers(1, 4 if rank > 1 else 8, rank).tolist()
    shape = (ins, outs // groups, *kernel) if transposed else (outs, ins // groups, *kernel)
    weight = rng.integers(1, 5, shape).astype(np.float32)
    kernels = grouped_weight(layer_of(weight, transposed=transposed, groups=groups), weight)
    plant_zeros(rng, kernels)
    stride, dilation = (rng.integers(1, most, rank).tolist() for most in (4, 3))
    spans = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    padding = [tuple(rng.integers(0, span, 2).tolist()) for span in spans]
    sizes = [
        max(int(rng.integers(1, 5)), 1 if transposed else span - sum(pair))
        for span, pair in zip(spans, padding, strict=True)
    ]
    if transposed:  # something must be left of the output
        padding = [
            pair if (size - 1) * step + span - sum(pair) > 0 else (0, 0)
            for pair, size, step, span in zip(padding, sizes, stride, spans, strict=True)
        ]
    layer = layer_of(
        weight,
        transposed=transposed,
        groups=groups,
        stride=tuple(stride),
        dilation=tuple(dilation),
        padding=tuple(padding),
    )
    return layer, weight, rng.integers(-4, 5, (1, ins, *sizes)).astype(np.float32)


def plant_zeros(rng, kernels):
    outs, ins, *kernel = kernels.shape[1:]
    if rng.integers(3) == 0:  # blocks
        kernels *= (
            rng.integers(0, 2, (1, outs)).reshape(1, -1, 1) == rng.integers(0, 2, (1, 1, ins))
        ).reshape(1, outs, ins, *(1 for _ in kernel))
    if rng.integers(3) == 0:
        kernels[:, int(rng.integers(outs))] = 0
    if rng.integers(3) == 0:
        kernels[:, :, int(rng.integers(ins))] = 0
    if rng.integers(2):
        axis = 3 + int(rng.integers(len(kernel)))
        np.swapaxes(kernels, 0, axis)[0 if rng.integers(2) else -1] = 0
    if outs > 1 and rng.integers(3) == 0:
        kernels[:, -1] = kernels[:, 0]


def run(layer, weight, x):
    function = conv_transpose if layer.transposed else conv
    keywords = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    return function(x, weight, groups=layer.groups, **keywords)


def chosen(layer, region, kernels):
    """The elements that a region names, as a mask over (groups, out/groups, in/groups, taps)."""
    groups, outs, ins = kernels.shape[:3]
    sizes = {"outputs": groups * outs, "inputs": groups * ins, "taps": math.prod(layer.kernel_size)}
    masks = {}
    for name, size in sizes.items():
        masks[name] = np.ones(size, bool)
        if (indices := getattr(region, name)) is not None:
            assert list(indices) == sorted(set(indices))
            masks[name][:] = False
            masks[name][list(indices)] = True
    outputs, inputs = masks["outputs"].reshape(groups, outs, 1, 1), masks["inputs"].reshape(groups, 1, ins, 1)
    return outputs & inputs & masks["taps"]


@pytest.mark.parametrize("seed", range(150))
def test_what_is_claimed_can_go(seed):
    rng = np.random.default_rng(seed)
    layer, weight, x = random_layer(rng)
    before = run(layer, weight, x)
    layer = layer_of(
        weight,
        **{name: getattr(layer, name) for name in ("transposed", "groups", "stride", "dilation", "padding")},
        input_shape=x.shape,
        output_shape=before.shape,
    )
    facts = examine(layer, weight, None)
    for claim in (*facts.claims, *unused_inputs(layer, facts)):
        for region in claim.regions:
            changed = weight.copy()
            kernels = grouped_weight(layer, changed)
            assert np.shares_memory(kernels, changed)
            mask = chosen(layer, region, kernels).reshape(kernels.shape)
            assert mask.any()
            if claim.rule == "CA202":
                kernels[mask] = 100
                assert (run(layer, changed, x) == before).all()
            elif claim.rule == "CA104":
                for members in facts.duplicates:
                    assert (before[:, list(members)] == before[:, [members[0]]]).all()
            else:
                assert (kernels[mask] == 0).all()


def test_every_rule_is_met_by_these_layers():
    met = set()
    for seed in range(150):
        layer, weight, x = random_layer(np.random.default_rng(seed))
        names = ("transposed", "groups", "stride", "dilation", "padding")
        kept = {name: getattr(layer, name) for name in names}
        layer = layer_of(weight, **kept, input_shape=x.shape, output_shape=run(layer, weight, x).shape)
        facts = examine(layer, weight, None)
        met |= {claim.rule for claim in (*facts.claims, *unused_inputs(layer, facts))}
    assert met == {"CA101", "CA104", "CA105", "CA201", "CA202", "CA204"}
