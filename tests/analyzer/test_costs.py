from __future__ import annotations

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convaudit.analyzer import analyze
from convaudit.analyzer.costs import dtype_bits, tensor_bytes
from convaudit.errors import ModelError
from convaudit.formulas import parse, symbol
from convaudit.records import LayerCost
from tests.networks import conv_layer, network


def cost(*args, **changes) -> LayerCost:
    return analyze(network(conv_layer(*args, **changes))).layers[0]


@pytest.mark.parametrize(
    ("channels", "groups", "weight_shape", "params"),
    [
        pytest.param((6, 6), 1, (6, 6, 1, 1), 36, id="6-6-g1"),
        pytest.param((6, 6), 2, (6, 3, 1, 1), 18, id="6-6-g2"),
        pytest.param((6, 6), 3, (6, 2, 1, 1), 12, id="6-6-g3"),
        pytest.param((6, 6), 6, (6, 1, 1, 1), 6, id="6-6-g6"),
        pytest.param((6, 3), 1, (3, 6, 1, 1), 18, id="6-3-g1"),
        pytest.param((4, 8), 2, (8, 2, 1, 1), 16, id="4-8-g2"),
    ],
)
def test_params_of_the_worked_examples(channels, groups, weight_shape, params):
    layer = cost("c", *channels, groups=groups)
    assert (layer.weight_shape, layer.params) == (weight_shape, params)


LAYERS = [
    # layer, params, macs, dense_params, dense_macs
    pytest.param(
        conv_layer("c", 3, 64, (4, 4), (32, 32), stride=(2, 2), padding=((1, 1), (1, 1)), bias=True),
        (3136, 786_432, 3136, 786_432),
        id="dense-with-bias",
    ),
    pytest.param(
        conv_layer("c", 6, 6, (3,), (10,), batch=2, groups=3, bias=True),
        (6 * 2 * 3 + 6, 2 * 8 * 36, 6 * 6 * 3 + 6, 2 * 8 * 108),
        id="grouped-1d",
    ),
    pytest.param(
        # input positions: 1*8*5*5 inputs, each meets out/groups=3 filters of 4 taps; outputs would be 10x10
        conv_layer("c", 8, 12, (2, 2), (5, 5), groups=4, stride=(2, 2), transposed=True),
        (8 * 3 * 4, 8 * 25 * 3 * 4, 8 * 12 * 4, 8 * 25 * 12 * 4),
        id="transposed-at-input-positions",
    ),
    pytest.param(conv_layer("c", 2, 6, (2, 1, 1), (3, 1, 1)), (6 * 2 * 2, 2 * 24, 24, 48), id="3d"),
    pytest.param(
        conv_layer("c", 4, 4, (3, 3), (8, 8), input_shape=(4, 8, 8), output_shape=(4, 6, 6)),
        (144, 36 * 144, 144, 36 * 144),
        id="unbatched",
    ),
    pytest.param(
        conv_layer(
            "c", 4, 8, (1, 1), layout="channels_last", input_shape=(2, 5, 7, 4), output_shape=(2, 5, 7, 8)
        ),
        (32, 70 * 32, 32, 70 * 32),
        id="channels-last",
    ),
    pytest.param(
        conv_layer("c", 8, 8, (4,), (10,), groups=8, padding=((3, 0),), op="CausalConvWithState"),
        (32, 10 * 32, 256, 10 * 256),
        id="causal-depthwise",
    ),
    pytest.param(conv_layer("c", 6, 6, (1, 1), (4, 4), batch=0), (36, 0, 36, 0), id="zero-batch"),
    pytest.param(conv_layer("c", 6, 6, weight_shape=None, groups=2), (18, 18, 36, 36), id="no-weight-shape"),
]


@pytest.mark.parametrize(("layer", "expected"), LAYERS)
def test_exact_counts(layer, expected):
    row = analyze(network(layer)).layers[0]
    assert (row.params, row.macs, row.dense_params, row.dense_macs) == expected
    assert row.flops == 2 * row.macs


def test_symbolic_sizes_give_formulas():
    row = cost(
        "c", 3, 64, (7, 7), (symbol("H"), 224), batch=symbol("N"), stride=(2, 2), padding=((3, 3),) * 2
    )
    assert row.macs == parse("N*(floor((H-1)/2)+1)*112*64*3*49")
    assert row.params == 64 * 3 * 49


UNKNOWN = [
    pytest.param({"output_shape": None}, ("macs", "dense_macs", "activation_bytes"), id="no-output-shape"),
    pytest.param({"output_shape": (1, 6, None, 1)}, ("macs", "activation_bytes"), id="unknown-size"),
    pytest.param({"weight_shape": None, "out_channels": None}, ("params", "macs"), id="no-channels"),
    pytest.param({"weight_dtype": "unknown"}, ("weight_bytes",), id="no-weight-dtype"),
    pytest.param({"dtype": "unknown"}, ("activation_bytes",), id="no-dtype"),
]


@pytest.mark.parametrize(("changes", "missing"), UNKNOWN)
def test_what_is_unknown_is_none_and_never_zero(changes, missing):
    layer = conv_layer("c", 6, 6)
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__} | changes
    row = analyze(network(type(layer)(**fields))).layers[0]
    counts = {name: getattr(row, name) for name in ("params", "macs", "weight_bytes", "activation_bytes")}
    assert {name for name, value in counts.items() if value is None} == set(missing) - {"dense_macs"} | (
        {"weight_bytes"} if "params" in missing else set()
    )
    assert all(getattr(row, name) is None for name in missing)


def test_bytes_follow_the_stored_types():
    row = cost(
        "c",
        5,
        3,
        (1, 1),
        (2, 2),
        dtype="uint8",
        output_dtype="float16",
        weight_dtype="int4",
        bias=True,
        bias_dtype="int32",
    )
    assert row.weight_bytes == 8 + 3 * 4  # 15 int4 elements are packed into 8 bytes
    assert row.activation_bytes == 5 * 4 * 1 + 3 * 4 * 2


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("float32", 32),
        ("bfloat16", 16),
        ("float8_e4m3fn", 8),
        ("uint4", 4),
        ("float4_e2m1fn", 4),
        ("complex64", 64),
        ("bool", 8),
        ("unknown", None),
        ("object", None),
    ],
)
def test_dtype_bits(dtype, bits):
    assert dtype_bits(dtype) == bits


def test_symbolic_bytes_round_up_to_whole_bytes():
    assert str(tensor_bytes(symbol("N") * 3, "int4")) == "ceil(3*N/2)"


def test_stored_params_count_in_bytes_and_totals():
    # weight_norm stores a direction as large as the weight and one magnitude per output channel
    report = analyze(
        network(conv_layer("c", 6, 6, (3, 3), (8, 8), groups=2, bias=True, stored_params=162 + 12))
    )
    assert report.layers[0].params == 162 + 6
    assert report.layers[0].weight_bytes == 4 * (162 + 12)
    assert report.totals.params == 162 + 12
    assert report.totals.dense_params == 162 * 2 + 12


def test_deformable_layers_say_what_is_not_counted():
    row = cost("c", 4, 4, (3, 3), (8, 8), deformable=True, op="DeformConv")
    assert row.macs == 36 * 144
    assert "sampling" in row.notes[-1]


def test_more_axes_than_any_runtime_has_are_refused():
    layer = conv_layer("c", 4, 4, (1,) * 63, (2,) * 63)
    with pytest.raises(ModelError, match="c: input_shape has 65 axes; no runtime goes beyond 64"):
        analyze(network(layer))
    sizes = (2**62,) * 62
    report = analyze(network(conv_layer("c", 2**62, 2**62, sizes, sizes, batch=2**62, transposed=True)))
    assert len(str(report.totals.dense_macs)) < 4300  # what Python prints without being asked twice


@given(
    groups=st.integers(1, 6),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    kernel=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    transposed=st.booleans(),
)
def test_dense_counterpart_is_groups_times_the_weight(groups, inputs, outputs, kernel, transposed):
    row = cost(
        "c",
        groups * inputs,
        groups * outputs,
        kernel,
        (4,) * len(kernel),
        groups=groups,
        transposed=transposed,
    )
    assert row.dense_params == row.params * groups == groups * inputs * groups * outputs * prod(kernel)
    assert row.dense_macs == row.macs * groups
    assert row.params_saved == row.dense_params - row.params >= 0


@given(size=st.integers(3, 7), kernel=st.integers(1, 3), groups=st.integers(1, 3), stride=st.integers(1, 3))
def test_macs_equal_a_count_of_every_multiplication(size, kernel, groups, stride):
    row = cost("c", groups * 2, groups, (kernel,), (size,), groups=groups, stride=(stride,))
    multiplications = 0
    for start in range(0, size - kernel + 1, stride):
        assert start + kernel <= size
        for _out_channel in range(groups):
            for _in_channel_of_its_group in range(2):
                multiplications += kernel
    assert row.macs == multiplications
