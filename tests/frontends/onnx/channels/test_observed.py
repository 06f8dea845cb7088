"""What a run shows to be negligible is so at every position, and what is not is not claimed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from convaudit.engine import conv, conv_transpose
from convaudit.errors import ExecutionError
from convaudit.frontends import LintRequest
from convaudit.frontends.onnx.channels import observed
from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.observed import RunOfLayer
from convaudit.frontends.onnx.channels.run_on_data import negligible_on
from convaudit.frontends.onnx.runtime import Settings
from convaudit.records import ConvLayer
from tests.frontends.onnx.models import model, values, walked

UNIT = 2.0**-24
_LAYERS = [
    pytest.param({}, (3, 3), id="dense"),
    pytest.param({"padding": ((1, 1), (1, 1))}, (3, 3), id="padded"),
    pytest.param({"stride": (2, 2)}, (3, 3), id="strided"),
    pytest.param({"stride": (2, 2)}, (1, 1), id="strided-pointwise"),
    pytest.param({"groups": 2, "dilation": (2, 1)}, (3, 3), id="grouped"),
    pytest.param({"groups": 8}, (3, 3), id="depthwise"),
    pytest.param({"transposed": True, "stride": (2, 2), "output_padding": (1, 1)}, (3, 3), id="transposed"),
    pytest.param({"transposed": True, "groups": 2}, (3, 3), id="grouped-transposed"),
]


def seen(kernel: tuple[int, int], seed: int, bias: float = 1.0, **attributes: Any) -> RunOfLayer:
    """A layer of 8 channels with kernels of all sizes, on activations of all sizes, some of them all zero."""
    generator = np.random.default_rng(seed)
    settings = {"groups": 1, "stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), **attributes}
    layer = ConvLayer(
        name="a", op="Conv", in_channels=8, out_channels=8, kernel_size=kernel, dtype="float32", **settings
    )
    groups = layer.groups
    kernels = np.abs(generator.normal(0, 1, (groups, 8 // groups, 8 // groups, *kernel)))
    x = np.maximum(generator.normal(0, 1, (2, 8, 7, 6)), 0) * 10.0 ** generator.uniform(-9, 0, (1, 8, 1, 1))
    x[:, 3] = 0
    return RunOfLayer(
        layer=layer,
        kernels=kernels,
        bias=bias * np.abs(generator.normal(0, 1, (groups, 8 // groups))),
        x=x,
        padding=settings["padding"],
        wanted=np.ones((groups, 8 // groups), np.bool_),
    )


def sums(one: RunOfLayer, kernels: np.ndarray) -> np.ndarray:
    """Sums of the products (batch, out, *spatial), by the engine, all at once."""
    groups, filters, channels, *taps = kernels.shape
    how = {
        "stride": one.layer.stride,
        "padding": one.padding,
        "dilation": one.layer.dilation,
        "groups": groups,
    }
    if one.layer.transposed:
        weight = kernels.swapaxes(1, 2).reshape(groups * channels, filters, *taps)
        padding = one.layer.output_padding or 0
        return conv_transpose(one.x, np.ascontiguousarray(weight), output_padding=padding, **how)
    return conv(one.x, kernels.reshape(groups * filters, channels, *taps), **how)


@pytest.mark.parametrize("bias", [0.0, 1.0, 1e9])
@pytest.mark.parametrize(("attributes", "kernel"), _LAYERS)
def test_it_holds_at_every_position(
    attributes: dict[str, Any], kernel: tuple[int, int], bias: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "_POSITIONS", 100)  # in parts
    for seed in range(5):
        one = seen(kernel, seed, bias, **attributes)
        ignored, share = one.negligible()
        added = sums(one, one.kernels * ignored.reshape(*ignored.shape, 1, 1))
        whole = sums(one, one.kernels) + one.bias.reshape(1, -1, 1, 1)
        assert (added <= UNIT * whole).all()
        assert (added <= share * 1.001 * whole).all()
        assert ignored.all(axis=1)[:, 3 % ignored.shape[2]].any() or ignored.shape[2] == 1  # it is all zero


@pytest.mark.parametrize(
    ("sizes", "biases", "expected"),
    [
        pytest.param([1, 1e-9, 1, 1], 0.0, [False, True, False, False], id="one"),
        pytest.param([1, 2e-7, 1, 1], 0.0, [False] * 4, id="none"),
        pytest.param([1, 4e-8, 4e-8, 1e-9], 0.0, [False, False, True, True], id="not-all-together"),
        pytest.param([1e-9, 1e-9, 1e-9, 1e-9], 1.0, [True] * 4, id="all-beside-the-bias"),
        pytest.param([1e-9, 1e-9, 1e-9, 1e-9], 0.0, [False] * 4, id="no-bias"),
    ],
)
def test_as_many_are_found_as_fit_together(sizes: list[float], biases: float, expected: list[bool]) -> None:
    one = RunOfLayer(
        layer=ConvLayer(
            name="a", op="Conv", in_channels=4, out_channels=2, kernel_size=(1,), stride=(1,), dilation=(1,),
            padding=((0, 0),), dtype="float32",
        ),
        kernels=np.ones((1, 2, 4, 1)),
        bias=np.full((1, 2), biases),
        x=np.array(sizes).reshape(1, 4, 1) * np.ones((1, 4, 5)),
        padding=((0, 0),),
        wanted=np.ones((1, 2), np.bool_),
    )  # fmt: skip
    ignored, _ = one.negligible()
    assert sorted(ignored[0, 0].tolist()) == sorted(expected)
    assert (ignored == ignored[:, :1]).all()


def test_one_position_where_others_are_zero_refutes_it() -> None:
    x = np.ones((1, 2, 5))
    x[0, 1] = 1e-20
    layer = ConvLayer(
        name="a", op="Conv", in_channels=2, out_channels=1, kernel_size=(1,), stride=(1,), dilation=(1,),
        padding=((0, 0),), dtype="float32",
    )  # fmt: skip
    ones, wanted = np.ones((1, 1, 2, 1)), np.ones((1, 1), np.bool_)
    how = {"layer": layer, "kernels": ones, "bias": np.zeros((1, 1)), "padding": ((0, 0),), "wanted": wanted}
    assert RunOfLayer(x=x, **how).negligible()[0].tolist() == [[[False, True]]]
    x[0, 0, 3] = 0  # there the tiny one is all that the sum has
    assert not RunOfLayer(x=x, **how).negligible()[0].any()


def _network() -> Any:
    """Its second layer's channel 1 is tiny beside the others, but ReLU bounds nothing."""
    weight = np.ones((3, 4, 1, 1), np.float32)
    weight[:, 1] = 1e-20
    proto = model(
        f"g (float[1,2,6,6] x) => (float[N,C,H,W] y) <{values('first', 4, 2, 1, 1)}, float one = {{1}}> "
        "{ [first] c = Conv(x, first)\nr = Relu(c)\ns = Add(r, one)\n[second] y = Conv(s, w) }"
    )
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return proto


def test_the_model_is_run_on_the_data() -> None:
    found = walked(_network())
    data = {"x": np.ones((1, 2, 6, 6), np.float32)}
    seen_on = negligible_on(found, analyse(found), data, Settings(), LintRequest(run=True))
    assert np.argwhere(seen_on.kernels["second"]).tolist() == [[0, k, 1] for k in range(3)]
    assert 0 < seen_on.shares["second"] < UNIT


def test_data_on_which_it_does_not_run_are_said() -> None:
    proto = _network()
    proto.graph.node[2].op_type = "Mod"  # of real numbers it needs an attribute
    found = walked(proto, allow_run=False)
    with pytest.raises(ExecutionError, match="does not run on these data"):
        negligible_on(found, analyse(found), None, Settings(), LintRequest(run=True))
