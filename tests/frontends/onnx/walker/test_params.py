"""The model's parameters: stored weights and biases once each, and nothing else that is stored."""

from __future__ import annotations

import pytest

from tests.frontends.onnx.models import walk


def zeros(*shape: int) -> str:
    count = 1
    for size in shape:
        count *= size
    return "{" + ",".join(["0"] * count) + "}"


W = f"float[4,2,3] w = {zeros(4, 2, 3)}"

# nodes behind a convolution of 24 parameters, what they store, and how many parameters that adds
CASES = [
    pytest.param("y = Relu(t)", "", 0, id="nothing"),
    pytest.param(
        "y = BatchNormalization(t, a, b, m, v)",
        ", ".join(f"float[4] {name} = {zeros(4)}" for name in "abmv"),
        8,
        id="batch-norm-without-statistics",
    ),
    pytest.param(
        "i = Identity(m) y = BatchNormalization(t, a, b, i, i)",
        ", ".join(f"float[4] {name} = {zeros(4)}" for name in "abm"),
        8,
        id="shared-statistics",
    ),
    pytest.param("y = Add(t, b)", f"float[4,1] b = {zeros(4)}", 4, id="bias-by-add"),
    pytest.param("y = Add(t, three)", "float three = {3}", 0, id="scalar"),
    pytest.param("y = Clip(t, low, high)", "float low = {0}, float high = {6}", 0, id="clip"),
    pytest.param('y = Resize(t, "", s)', "float[3] s = {1,1,2}", 0, id="resize"),
    pytest.param("y = Reshape(t, s)", "int64[3] s = {1,4,7}", 0, id="shape"),
    pytest.param("y = Gather<axis=1>(t, i)", "int64[2] i = {0,1}", 0, id="index"),
    pytest.param("y = PRelu(t, s)", f"float[4,1] s = {zeros(4)}", 4, id="prelu"),
    pytest.param("y = Pow(t, e)", "float[1] e = {2}", 0, id="exponent"),
    pytest.param("y = MatMul(t, m)", f"float[7,5] m = {zeros(7, 5)}", 35, id="matmul"),
    pytest.param("u = MatMul(t, m) y = MatMul(u, m)", f"float[7,7] m = {zeros(7, 7)}", 49, id="twice"),
    pytest.param(
        "d = DequantizeLinear(m, s, z) y = MatMul(t, d)",
        f"int8[7,5] m = {zeros(7, 5)}, float[1] s = {{1}}, int8[1] z = {{0}}",
        35,
        id="quantised",
    ),
    pytest.param(
        "q = QuantizeLinear(t, s, z) y = DequantizeLinear(q, s, z)",
        "float[1] s = {1}, int8[1] z = {0}",
        0,
        id="quantised-activation",
    ),
    pytest.param(
        "y = com.microsoft.MatMulNBits<K=7, N=5, bits=4, block_size=16>(t, m, s)",
        f"uint8[5,1,8] m = {zeros(40)}, float[5] s = {zeros(5)}",
        35,
        id="packed",
    ),
    pytest.param(
        'y = com.microsoft.MatMulNBits<K=7, N=5, bits=4, block_size=16>(t, m, s, "", "", b)',
        f"uint8[5,1,8] m = {zeros(40)}, float[5] s = {zeros(5)}, float[5] b = {zeros(5)}",
        35 + 5,
        id="packed-with-bias",
    ),
    pytest.param(
        "y = com.microsoft.DynamicQuantizeMatMul(t, m, s)",
        f"int8[7,5] m = {zeros(7, 5)}, float[5] s = {zeros(5)}",
        35,
        id="quantised-with-a-scale-per-column",
    ),
    pytest.param("y = Identity(t)", "float[9] spare = " + zeros(9), 0, id="unused"),
    pytest.param(
        'y, h, c = LSTM<hidden_size=2>(t, k, r, b, "", s, s)',
        f"float[1,8,7] k = {zeros(56)}, float[1,8,2] r = {zeros(16)}, float[1,16] b = {zeros(16)}, "
        f"float[1,4,2] s = {zeros(8)}",
        56 + 16 + 16,
        id="lstm-without-initial-state",
    ),
]


@pytest.mark.parametrize(("nodes", "stored", "added"), CASES)
def test_parameters(nodes: str, stored: str, added: int) -> None:
    initializers = f"<{W}{', ' + stored if stored else ''}>"
    network = walk(f"g (float[1,2,9] x) => (float[n,c,l] y) {initializers} {{ t = Conv(x, w) {nodes} }}")
    assert network.model_params == 24 + added
