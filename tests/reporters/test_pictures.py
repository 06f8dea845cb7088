"""Pictures of layers: well-formed, of bounded size, and harmless whatever the layer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from convaudit.analyzer.costs import layer_cost
from convaudit.explaining import explanation
from convaudit.formulas import symbol
from convaudit.records.explanation import ChannelBlock, Explanation
from convaudit.reporters.pictures import grid_svg, wiring_svg
from tests.networks import conv_layer

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {f"{SVG}{name}" for name in ("svg", "title", "desc", "g", "path", "text")}
HOSTILE = 10**15


def explained(**layer: Any) -> Explanation:
    return explanation(layer_cost(conv_layer(**layer)))


def square(channels: int, kernel: tuple[int, ...] = (3, 3), size: Any = 14, **more: Any) -> dict[str, Any]:
    fields = {"in_channels": channels, "out_channels": channels, "kernel": kernel}
    return {**fields, "size": (size,) * len(kernel), **more}


LAYERS = [
    pytest.param(square(3), id="dense"),
    pytest.param(square(64, (1, 1)), id="pointwise"),
    pytest.param(square(8, groups=2), id="two-groups"),
    pytest.param(square(128, groups=32, stride=(2, 2), padding=((1, 1), (1, 1))), id="resnext"),
    pytest.param(square(6, groups=6), id="depthwise"),
    pytest.param(square(2048, groups=2048), id="many"),
    pytest.param({**square(4, groups=4), "out_channels": 8}, id="multiplier"),
    pytest.param({**square(3), "out_channels": 2048}, id="stem"),
    pytest.param(square(8, (4, 4), groups=2, stride=(2, 2), transposed=True), id="transposed"),
    pytest.param(square(4, dilation=(2, 3)), id="dilated"),
    pytest.param(square(4, (3,), symbol("T"), stride=(2,), padding=((2, 0),)), id="1d-open"),
    pytest.param(square(4, (4,), 8, stride=(2,), transposed=True), id="1d-transposed"),
    pytest.param(square(8, (3, 3, 3), 16, padding=((1, 1),) * 3), id="3d"),
    pytest.param(square(8, (2,) * 12, 16), id="12d"),
    pytest.param(square(24, (31, 31), 28, padding=((15, 15), (15, 15))), id="large-kernel"),
    pytest.param(square(4, (10, 10), 60, dilation=(3, 3)), id="many-taps"),
    pytest.param(square(HOSTILE, (10**9, 1), 10**12, groups=HOSTILE, stride=(1, 10**9)), id="hostile"),
    pytest.param(square(10**900, (1, 1), 10**600), id="very-hostile"),
    pytest.param(square(1, (1,), 1), id="one"),
    pytest.param(square(4, (3,), 9, padding=((-1, -2),)), id="cropped"),
    pytest.param({**square(4), "size": (3, 3)}, id="one-place"),
]


@pytest.mark.parametrize("draw", [wiring_svg, grid_svg])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_picture_is_small_and_harmless(draw: Any, layer: dict[str, Any]):
    text = draw(explained(**layer))
    tree = ElementTree.fromstring(text)
    assert len(text) < 6000
    assert {element.tag for element in tree.iter()} <= ELEMENTS
    attributes = {name for element in tree.iter() for name in element.attrib}
    assert not attributes & {"id", "style", "href", "onload"}
    assert not re.search(r"url\(|nan|inf|e\+", re.sub(r"<(title|desc|text).*?</\1>", "", text))
    width, height = (float(tree.get(name, "")) for name in ("width", "height"))
    assert 0 < width <= 700
    assert 0 < height <= 600


def test_the_matrix_is_below_for_narrow_pages():
    told = explained(**square(8, groups=2))
    width, height = (
        float(ElementTree.fromstring(wiring_svg(told, stacked=True)).get(n, "")) for n in ("width", "height")
    )
    assert width <= 360
    assert height > 400


def test_a_hostile_name_is_text():
    name = "</title><script>alert(1)</script>\x1b[2J\u202e" + "x" * 10_000
    told = explained(name=name, **square(4, (3,), symbol("<script>&\x00")))
    for text in (wiring_svg(told), grid_svg(told)):
        tree = ElementTree.fromstring(text)
        assert {element.tag for element in tree.iter()} <= ELEMENTS
        assert "<script" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) < 6000


def test_what_is_unknown_is_not_drawn():
    unknown = explanation(layer_cost(replace(conv_layer(), in_channels=None, kernel_size=None)))
    assert (wiring_svg(unknown), grid_svg(unknown)) == ("", "")


def latent(told: Explanation, groups: int, *, permuted: bool) -> Explanation:
    assert told.wiring is not None
    channels = told.wiring.in_channels
    each = channels // groups
    blocks = [
        tuple(range(first, channels, groups)) if permuted else tuple(range(first * each, (first + 1) * each))
        for first in range(groups)
    ]
    hidden = tuple(ChannelBlock(inputs=block, outputs=block) for block in blocks)
    return replace(told, wiring=replace(told.wiring, latent=hidden))


@pytest.mark.parametrize(
    ("channels", "permuted", "words"),
    [
        pytest.param(8, False, "all zero", id="in-order"),
        pytest.param(8, True, "0, 4", id="permuted"),
        pytest.param(256, True, "its channels reordered", id="many"),
    ],
)
def test_hidden_groups_are_drawn(channels: int, permuted: bool, words: str):
    text = wiring_svg(latent(explained(**square(channels)), 4, permuted=permuted))
    assert words in text
    assert "4 hidden groups" in text
    assert len(text) < 6000


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_group_has_its_colour_on_both_sides_and_in_the_matrix(groups: int):
    text = wiring_svg(explained(**square(8, groups=groups)))
    used = set(re.findall(r"--convaudit-g(\d)", text))
    assert used == set(map(str, range(groups)))
