"""The words for where an error sits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convaudit.judge.diagnosis import Footprint, describe
from convaudit.judge.execution import Execution
from convaudit.judge.partition import ranges
from tests.judge.kernels import Array

SHAPE = (2, 12, 8, 8)


def execution(groups: int = 1, *, transposed: bool = False) -> Execution:
    return Execution(
        x=np.empty((2, 12, 8, 8)),
        weight=np.empty((12, 12 // groups, 3, 3)),
        output=np.empty(SHAPE),
        stride=(1, 1),
        padding=((1, 1), (2, 0)),
        dilation=(1, 1),
        groups=groups,
        transposed=transposed,
    )


def elements(*index: object) -> Array:
    mask = np.zeros(SHAPE, bool)
    mask[index] = True
    return mask


def footprint(wrong: Array, ran: Execution, step: tuple[int, ...]) -> Footprint:
    """Of a mask that arrives in parts of such sizes."""
    whole = Footprint(ran, SHAPE)
    for place in itertools.product(*(ranges(size, each) for size, each in zip(SHAPE, step, strict=True))):
        part = wrong[place]
        whole.add(part.reshape(*part.shape[:2], -1), place)
    return whole


EVERY = slice(None)
WORDS = [
    pytest.param(elements(EVERY), 1, "everywhere", id="everywhere"),
    pytest.param(elements(EVERY, 3), 1, "output channel 3", id="channel"),
    pytest.param(elements(EVERY, [3, 7]), 1, "output channels 3, 7", id="channels"),
    pytest.param(
        elements(EVERY, slice(9)),
        1,
        "9 of 12 output channels (0, 1, 2, 3, 4, 5, 6, 7, ...)",
        id="many-channels",
    ),
    pytest.param(elements(EVERY, slice(4, 8)), 3, "group 1", id="group"),
    pytest.param(elements(EVERY, slice(8)), 3, "groups 0, 1", id="groups"),
    pytest.param(elements(EVERY, slice(1, 8)), 3, "output channels 1, 2, 3, 4, 5, 6, 7", id="broken-group"),
    pytest.param(
        elements(EVERY, slice(4)), 12, "output channels 0, 1, 2, 3", id="depthwise-groups-are-channels"
    ),
    pytest.param(elements(1), 1, "batch item 1", id="image"),
    pytest.param(elements(EVERY, EVERY, 0), 1, "borders", id="first-row"),
    pytest.param(elements(EVERY, EVERY, 7), 1, "borders", id="last-row"),
    pytest.param(elements(EVERY, EVERY, EVERY, 0), 1, "borders", id="first-column"),
    pytest.param(elements(EVERY, EVERY, EVERY, 7), 1, "positions 0-7 x 7", id="column-that-sees-no-padding"),
    pytest.param(elements(EVERY, EVERY, 3, 4), 1, "positions 3 x 4", id="position"),
    pytest.param(elements(EVERY, EVERY, slice(1, 8)), 1, "everywhere", id="more-than-half"),
    pytest.param(elements(0, 5, 2, 6), 1, "output channel 5; batch item 0; positions 2 x 6", id="element"),
]


@pytest.mark.parametrize(("wrong", "groups", "words"), WORDS)
def test_words(wrong: Array, groups: int, words: str) -> None:
    ran = execution(groups)
    assert describe(wrong.any(axis=(0, 2, 3)), footprint(wrong, ran, (2, 12, 8, 8)), ran) == words
    assert describe(wrong.any(axis=(0, 2, 3)), footprint(wrong, ran, (1, 5, 3, 4)), ran) == words


def test_a_transposed_convolution_has_no_borders_but_positions() -> None:
    wrong = elements(EVERY, EVERY, 0)
    ran = execution(transposed=True)
    words = describe(wrong.any(axis=(0, 2, 3)), footprint(wrong, ran, (2, 3, 8, 3)), ran)
    assert words == "positions 0 x 0-7"
