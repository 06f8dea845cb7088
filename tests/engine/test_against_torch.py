"""The engine against torch in float64: above all grouped ConvTranspose, which onnx's evaluator gets wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # its customary name

from convaudit.engine import conv, conv_transpose

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "output_padding"),
    [
        pytest.param(1, 1, 0, 1, 0, id="pointwise"),
        pytest.param(3, 1, 1, 1, 0, id="same-size"),
        pytest.param(3, 2, 1, 1, 1, id="stride"),
        pytest.param(2, 3, 0, 2, 2, id="dilation"),
        pytest.param(5, 1, 2, 1, 0, id="large-kernel"),
    ],
)
def test_both_directions_equal_torch(rank, groups, kernel, stride, padding, dilation, output_padding):
    x = RNG.standard_normal((2, 6, *([23, 8, 6][:rank])))
    bias = RNG.standard_normal(12)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = RNG.standard_normal((12, 6 // groups, *[kernel] * rank))
    forward = getattr(F, f"conv{rank}d")(*map(torch.from_numpy, (x, weight, bias)), **options)
    np.testing.assert_allclose(conv(x, weight, bias, **options), forward, rtol=0, atol=1e-12)
    weight = RNG.standard_normal((6, 12 // groups, *[kernel] * rank))
    options["output_padding"] = output_padding
    back = getattr(F, f"conv_transpose{rank}d")(*map(torch.from_numpy, (x, weight, bias)), **options)
    np.testing.assert_allclose(conv_transpose(x, weight, bias, **options), back, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_float64_result_rounded_once(dtype):
    """Operands with few significant bits: float32 sums are exact, and only the last rounding is left."""
    x = torch.from_numpy(RNG.integers(-16, 17, (1, 8, 20, 20)) / 16)
    weight = torch.from_numpy(RNG.integers(-16, 17, (8, 4, 3, 3)) / 16)
    expected = F.conv2d(x, weight, padding=1, groups=2).to(dtype).double()
    name = "float16" if dtype == torch.float16 else "bfloat16"
    low = [operand.numpy().astype(np.dtype(name)) for operand in (x, weight)]
    y = conv(*low, padding=1, groups=2)
    assert y.dtype.name == name
    np.testing.assert_array_equal(y.astype(np.float64), expected)
