"""Fused activations against torch, and the numbers that carry a bound through them."""

from __future__ import annotations

import numpy as np
import pytest

from convaudit.judge.activations import function_of
from convaudit.judge.execution import Activation

Z = np.concatenate([np.linspace(-12, 12, 4001), np.linspace(-2e-3, 2e-3, 401)])

FUNCTIONS = [
    pytest.param("Relu", (), lambda f, z: f.relu(z), id="relu"),
    pytest.param("LeakyRelu", (), lambda f, z: f.leaky_relu(z), id="leaky-relu"),
    pytest.param("LeakyRelu", (1.5,), lambda f, z: f.leaky_relu(z, 1.5), id="steep-leaky-relu"),
    pytest.param("Clip", (-1.0, 6.0), lambda f, z: f.hardtanh(z, -1, 6), id="clip"),
    pytest.param("Sigmoid", (), lambda f, z: f.sigmoid(z), id="sigmoid"),
    pytest.param("HardSigmoid", (1 / 6, 0.5), lambda f, z: f.hardsigmoid(z), id="hard-sigmoid"),
    pytest.param("Tanh", (), lambda f, z: f.tanh(z), id="tanh"),
    pytest.param("Silu", (), lambda f, z: f.silu(z), id="silu"),
    pytest.param("Swish", (), lambda f, z: f.silu(z), id="swish"),
]


@pytest.mark.parametrize(("name", "params", "oracle"), FUNCTIONS)
def test_value_slope_and_lipschitz_constant(name: str, params: tuple[float, ...], oracle: object) -> None:
    import torch

    function = function_of(Activation(name=name, params=params))
    assert function is not None
    z = torch.from_numpy(Z).requires_grad_()
    expected = oracle(torch.nn.functional, z)  # type: ignore[operator]
    expected.sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(function.value(Z), expected.detach().numpy(), rtol=1e-12, atol=1e-15)
    slope = function.derivative(Z)
    kinks = np.abs(np.diff(z.grad.numpy(), prepend=z.grad[:1].numpy())) > 0.05  # where either side will do
    np.testing.assert_allclose(slope[~kinks], z.grad.numpy()[~kinks], rtol=1e-7, atol=1e-12)
    assert np.abs(slope).max() <= function.lipschitz
    assert np.all(np.asarray(function.evaluation(Z)) >= 0)


def test_no_activation_is_no_function() -> None:
    assert function_of(None) is None
