"""Explanations as text, Markdown, JSON and HTML: bounded, harmless, and drawn as the layer is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from convaudit.analyzer.costs import layer_cost
from convaudit.explaining import explanation
from convaudit.explanations import LayerExplanation
from convaudit.formulas import symbol
from convaudit.records.explanation import ChannelBlock, Explanation
from convaudit.reporters import FORMATS, View
from convaudit.reporters.sketches import in_ascii, window_sketch, wiring_sketch
from tests.networks import conv_layer
from tests.reporters.test_pictures import LAYERS, explained, latent, square


def wired(**layer: Any) -> list[str]:
    told = explained(**layer)
    assert told.wiring is not None
    return wiring_sketch(told.wiring)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_sketch_fits_a_terminal_whatever_the_layer(layer: dict[str, Any]):
    told = explained(**layer)
    assert told.wiring is not None
    lines = [*wiring_sketch(told.wiring), *window_sketch(told.windows)]
    assert len(lines) < 50
    assert max(map(len, lines)) <= 76
    plain = in_ascii("\n".join(lines))
    assert plain.isascii()
    assert list(map(len, plain.splitlines())) == list(map(len, lines))


FANS = [
    pytest.param(square(2), ["0 ─┬────────┬─ 0", "1 ─┘        └─ 1"], id="dense"),
    pytest.param(square(2, groups=2), ["0 ──────────── 0", "1 ──────────── 1"], id="depthwise"),
    pytest.param({**square(1), "out_channels": 2}, ["0 ──────────┬─ 0", "            └─ 1"], id="multiplier"),
    pytest.param(
        {**square(3), "out_channels": 1},
        ["0 ─┐", "1 ─┼────────── 0", "2 ─┘"],
        id="sum",
    ),
    pytest.param(
        square(4, groups=2),
        ["0 ─┬────────┬─ 0", "1 ─┘        └─ 1", "", "2 ─┬────────┬─ 2", "3 ─┘        └─ 3"],
        id="grouped",
    ),
    pytest.param(
        square(9),
        ["0 ─┐        ┌─ 0", "1 ─┼────────┼─ 1", "⋮  │        │  ⋮", "8 ─┘        └─ 8"],
        id="many-channels",
    ),
]


@pytest.mark.parametrize(("layer", "lines"), FANS)
def test_channels_are_joined_within_their_block(layer: dict[str, Any], lines: list[str]):
    assert [line[:16].rstrip() for line in wired(**layer)][1 : len(lines) + 1] == lines


def test_the_weight_is_block_diagonal():
    assert [line[22:] for line in wired(**square(4, groups=4))][1:6] == [
        "┌────────────────┐",
        "│████············│",
        "│████············│",
        "│····████········│",
        "│····████········│",
    ]


def test_hidden_groups_stand_for_those_that_the_layer_declares():
    told = latent(explained(**square(8)), 4, permuted=True)
    assert told.wiring is not None
    text = "\n".join(wiring_sketch(told.wiring))
    assert "0 ─┬────────┬─ 0" in text
    assert "4 ─┘        └─ 4" in text
    assert "4 blocks of 2 x 2, once reordered" in text
    assert "all zero" in text


WINDOWS = [
    pytest.param(
        {"kernel": (3,), "size": (9,), "dilation": (2,), "padding": ((1, 1),), "stride": (2,)},
        [
            "input 9   ░ · · · · · · · · · ░",
            "output 0  █   █   █",
            "output 1      █   █   █",
            "output 2          █   █   █",
        ],
        id="dilated",
    ),
    pytest.param(
        {"kernel": (3,), "size": (2,), "stride": (2,), "transposed": True},
        ["output 5  · · · · ·", "input 0   █ █ █", "input 1       █ █ █"],
        id="transposed",
    ),
    pytest.param(
        {"kernel": (2, 2), "size": (2, 4), "stride": (1, 2)},
        ["input 2 x 4", "  1   1   2   2", "  1   1   2   2"],
        id="grid",
    ),
    pytest.param(
        {"kernel": (3, 2), "size": (3, 2), "padding": ((0, 0), (1, 0))},
        ["input 3 x 2", "  1 │ 12   2", "  1 │ 12   2", "  1 │ 12   2"],
        id="padded-at-the-start",
    ),
]


@pytest.mark.parametrize(("layer", "lines"), WINDOWS)
def test_taps_stand_where_they_lie(layer: dict[str, Any], lines: list[str]):
    assert window_sketch(explained(**layer).windows)[: len(lines)] == lines


def test_what_would_not_fit_is_not_drawn():
    assert window_sketch(explained(**square(2, (31, 31), 40)).windows) == []
    assert window_sketch(explained(**square(2, (1, 1))).windows) == []


HOSTILE = "</td><script>x</script>|`\x1b[2J\u202e\n::error::" + "y" * 200


def hostile() -> Explanation:
    layer = conv_layer(HOSTILE, **square(4, (3,), symbol(HOSTILE)), notes=(HOSTILE,), weight_name=None)
    told = explanation(layer_cost(layer))
    return replace(told, source=HOSTILE)


@pytest.mark.parametrize("name", ["table", "markdown", "json", "html"])
def test_hostile_text_stays_text(name: str):
    text = FORMATS[name].render("explain", [hostile()], View(width=80))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"^\s*::error::", text, re.M)
    if name == "html":
        assert "<script>x" not in text
    if name == "json":
        assert json.loads(text)["layer"] == HOSTILE
    if name == "markdown":
        unescaped = re.sub(r"\\.", "", text)
        assert "<script" not in re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", unescaped, flags=re.S)


def test_a_notebook_shows_pictures_and_no_markup_of_the_model():
    html = LayerExplanation.of(hostile())._repr_html_()
    assert html.count("<svg ") == 2
    assert "<script" not in html
    assert "style=" not in html


def test_hidden_blocks_are_in_the_json():
    told = latent(explained(**square(4)), 2, permuted=True)
    wiring = json.loads(FORMATS["json"].render("explain", [told]))["wiring"]
    assert wiring["hidden_groups"] == [
        {"inputs": [0, 2], "outputs": [0, 2]},
        {"inputs": [1, 3], "outputs": [1, 3]},
    ]


ROWS = [
    pytest.param(square(4, groups=2), "20,736, 2 times as many", id="macs"),
    pytest.param({**square(4), "calls": 3}, "3 in one run: 62,208 in all", id="calls"),
    pytest.param({**square(4), "calls": None}, "it runs in a loop of unknown length", id="loop"),
    pytest.param(square(4, (4, 4), 8, transposed=True), "at each input position", id="transposed"),
]


@pytest.mark.parametrize(("layer", "words"), ROWS)
def test_rows(layer: dict[str, Any], words: str):
    assert words in FORMATS["table"].render("explain", [explained(**layer)])


def test_a_block_of_a_hostile_number_of_channels_has_sizes():
    block = ChannelBlock(inputs=(0, 5), outputs=range(10**30, 10**30 + 2))
    assert block.sizes == (2, 2)


@pytest.mark.parametrize(
    ("size", "goes_on"),
    [
        pytest.param(5, False, id="all-of-it"),
        pytest.param(40, True, id="long"),
        pytest.param(symbol("T"), True, id="open"),
    ],
)
def test_a_tensor_that_goes_on_beyond_the_sketch_has_dots(size: Any, goes_on: bool):
    strip = window_sketch(explained(**square(2, (3,), size)).windows)
    grid = window_sketch(explained(**square(2, (3, 3), size)).windows)
    assert [line.endswith(" …") for line in (strip[0], grid[1])] == [goes_on] * 2
    assert ("  ⋮" in grid) == goes_on
