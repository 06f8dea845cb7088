"""What an explanation says is what the audit says, whatever the layer."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import convaudit
from convaudit.analyzer import analyze
from convaudit.analyzer.costs import layer_cost
from convaudit.explaining import explanation
from convaudit.formulas import symbol
from convaudit.records import AuditReport, ConvLayer, LayerCost, Network
from convaudit.records.explanation import Explanation
from tests.cli.conftest import LIGHT_MODELS
from tests.networks import conv_layer
from tests.programs import ROOT


def explained(layer: ConvLayer) -> Explanation:
    return explanation(layer_cost(layer))


def audited(*layers: ConvLayer) -> AuditReport:
    return analyze(Network(source="net.onnx", format="onnx", inputs=(), layers=layers))


def drawn(seed: int) -> ConvLayer:
    """A layer of 1 to 3 spatial axes whose sizes, groups and kind are drawn; some sizes may be open."""
    draw = random.Random(seed)
    rank = draw.choice((1, 2, 2, 3))
    groups = draw.choice((1, 1, 2, 3, 8))
    transposed = draw.random() < 0.3

    def axes(most: int, least: int = 0) -> tuple[int, ...]:
        return tuple(draw.randint(least, most) for _ in range(rank))

    kernel, dilation = axes(4, 1), axes(3, 1)
    padding = tuple((draw.randint(0, extent), draw.randint(0, extent)) for extent in axes(2))
    sizes: list[Any] = [draw.randint(14, 30) for _ in range(rank)]
    if draw.random() < 0.3:
        sizes[0] = symbol("H")
    layer = conv_layer(
        in_channels=groups * draw.randint(1, 4),
        out_channels=groups * draw.randint(1, 4),
        kernel=kernel,
        size=tuple(sizes),
        batch=draw.choice((1, 4, symbol("batch"))),
        stride=axes(3, 1),
        padding=padding,
        dilation=dilation,
        groups=groups,
        transposed=transposed,
        bias=draw.random() < 0.5,
    )
    if draw.random() < 0.3:
        moved = {
            name: (shape[0], *shape[2:], shape[1])
            for name in ("input_shape", "output_shape")
            if (shape := getattr(layer, name)) is not None
        }
        layer = replace(layer, layout="channels_last", **moved)
    return layer


def check(layer: LayerCost, report: AuditReport | None = None) -> Explanation:
    """The invariants of every explanation."""
    told = explanation(layer, report)
    for name in ("params", "dense_params", "macs", "dense_macs"):
        arithmetic = getattr(told, name)
        assert arithmetic.total == getattr(layer, name)
        assert arithmetic.result == arithmetic.total
        assert (arithmetic.reason is None) == (arithmetic.total is not None)
    if layer.output_shape is not None and layer.kernel_size is not None:
        assert tuple(one.size for one in told.dimensions) == layer.output_shape
    for one in told.dimensions:
        assert one.reason is not None or (one.derived == one.size and one.size is not None)
    if told.wiring is not None:
        blocks = list(told.wiring.blocks())
        assert [channel for block in blocks for channel in block.inputs] == list(range(layer.in_channels))
        assert [channel for block in blocks for channel in block.outputs] == list(range(layer.out_channels))
        weight = sum(len(block.inputs) * len(block.outputs) for block in blocks)
        taps = [factor.value for factor in told.weight[2:]]
        product = 1
        for size in taps:
            product *= size
        assert weight * product + (layer.out_channels if layer.bias else 0) == layer.params
    return told


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_every_number_is_the_audits(first):
    for seed in range(first, first + 100):
        told = check(layer_cost(drawn(seed)))
        assert [one for one in told.dimensions if one.reason is not None] == [], seed


MODELS = [*sorted(LIGHT_MODELS.glob("*.onnx")), ROOT / "convaudit" / "cli" / "digits.onnx"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_layer_of_a_real_network_is_derived(path: Path):
    report = convaudit.audit(path)
    reasons = [one.reason for layer in report.layers for one in check(layer, report).dimensions]
    assert len(reasons) > 0
    assert set(reasons) == {None}


TEXTS = [
    pytest.param(
        {"kernel": (3, 3), "size": (224, 224), "stride": (2, 2), "padding": ((1, 1), (1, 1))},
        "floor((224 + 1 + 1 - 1*(3 - 1) - 1)/2) + 1 = 112",
        id="strided",
    ),
    pytest.param(
        {"kernel": (3,), "size": (9,), "dilation": (2,), "padding": ((4, 0),)},
        "floor((9 + 4 + 0 - 2*(3 - 1) - 1)/1) + 1 = 9",
        id="causal",
    ),
    pytest.param(
        {"kernel": (4,), "size": (7,), "stride": (2,), "padding": ((1, 1),), "transposed": True},
        "2*(7 - 1) + 1*(4 - 1) + 1 + 0 - 1 - 1 = 14",
        id="transposed",
    ),
    pytest.param(
        {"kernel": (3,), "size": (symbol("T"),), "stride": (2,), "padding": ((1, 1),)},
        "floor((T + 1 + 1 - 1*(3 - 1) - 1)/2) + 1 = ceil(T/2)",
        id="open",
    ),
    pytest.param(
        {"kernel": (3,), "size": (symbol("T") * 2 + 1,), "padding": ((-1, 1),)},
        "floor(((2*T + 1) + (-1) + 1 - 1*(3 - 1) - 1)/1) + 1 = 2*T - 1",
        id="cropped",
    ),
]


@pytest.mark.parametrize(("changes", "text"), TEXTS)
def test_a_dimension_has_its_numbers_filled_in(changes: dict[str, Any], text: str):
    assert explained(conv_layer(**changes)).dimensions[-1].text == text


def test_counts_have_their_numbers_filled_in():
    layer = conv_layer(
        in_channels=32,
        out_channels=64,
        kernel=(3, 3),
        size=(8, 8),
        padding=((1, 1), (1, 1)),
        groups=4,
        bias=True,
    )
    told = explained(layer)
    assert told.params.text == "64 x 8 x 3 x 3 + 64 = 4,672"
    assert told.dense_params.text == "64 x 32 x 3 x 3 + 64 = 18,496"
    assert told.macs.text == "1 x 8 x 8 x 64 x 8 x 3 x 3 = 294,912"
    assert [factor.name for factor in told.weight] == [
        "output channels",
        "input channels of a group",
        "kernel height",
        "kernel width",
    ]
    assert told.factor == 4


def test_a_transposed_layer_is_counted_at_its_input_positions():
    layer = conv_layer(in_channels=4, out_channels=2, kernel=(2,), size=(5,), stride=(2,), transposed=True)
    told = explained(layer)
    assert [factor.name for factor in told.weight[:2]] == ["input channels", "output channels"]
    assert told.macs.text == "1 x 5 x 4 x 2 x 2 = 80"


UNKNOWN = [
    pytest.param({"padding": None, "stride": (2,)}, "ceil(10/2) = 5", None, id="same"),
    pytest.param(
        {"input_shape": None, "shapes_from": ("run",)},
        "5",
        "a run of the model shows it; the structure leaves it open",
        id="run",
    ),
    pytest.param({"output_shape": None}, "?", "the size of its input is unknown", id="unknown"),
    pytest.param(
        {"output_shape": (1, 6, 7), "shapes_from": ("declared",)},
        "7",
        "the rule gives 5; the file declares it; the structure leaves it open",
        id="contradicted",
    ),
]


@pytest.mark.parametrize(("changes", "text", "reason"), UNKNOWN)
def test_what_does_not_follow_says_so(changes: dict[str, Any], text: str, reason: str | None):
    layer = conv_layer(kernel=(2,), size=(10,), stride=(2,))
    one = explained(replace(layer, **changes)).dimensions[-1]
    assert (one.text, one.reason) == (text, reason)


def test_taps_of_a_window():
    layer = conv_layer(kernel=(3,), size=(9,), stride=(2,), dilation=(2,), padding=((1, 1),))
    (window,) = explained(layer).windows
    assert window.extent == 5
    assert [list(window.taps(position)) for position in (0, 1)] == [[-1, 1, 3], [1, 3, 5]]


WIRINGS = [
    pytest.param({}, "dense", None, id="dense"),
    pytest.param({"groups": 2}, "grouped", None, id="grouped"),
    pytest.param({"groups": 6}, "depthwise", 1, id="depthwise"),
    pytest.param({"groups": 6, "out_channels": 12}, "depthwise", 2, id="multiplier"),
]


@pytest.mark.parametrize(("changes", "style", "multiplier"), WIRINGS)
def test_wiring(changes: dict[str, Any], style: str, multiplier: int | None):
    wiring = explained(conv_layer(**changes)).wiring
    assert wiring is not None
    assert (wiring.style, wiring.multiplier) == (style, multiplier)


def test_a_shared_weight_names_who_shares_it():
    report = audited(conv_layer("a", weight_name="w"), conv_layer("b", weight_name="w"), conv_layer("c"))
    wiring = explanation(report.layers[0], report).wiring
    assert wiring is not None
    assert wiring.shared == ("b",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"in_channels": None}, "the number of its input channels is open", id="none"),
        pytest.param({"out_channels": symbol("C")}, "the number of its output channels is open", id="open"),
        pytest.param({"groups": 4}, "filled up", id="filled-up"),
    ],
)
def test_unknown_wiring_has_a_reason(changes: dict[str, Any], reason: str):
    told = explained(replace(conv_layer(), **changes))
    assert told.wiring is None
    assert told.wiring_reason is not None
    assert reason in told.wiring_reason


def test_a_hostile_number_of_groups_costs_nothing():
    channels = 10**15
    told = explained(conv_layer(in_channels=channels, out_channels=channels, groups=channels))
    assert told.wiring is not None
    assert told.wiring.block(10**14).inputs == range(10**14, 10**14 + 1)
