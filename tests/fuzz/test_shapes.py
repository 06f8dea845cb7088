"""The fuzz of shapes: 200 models of one seed; and that it finds what it is there to find."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fuzz.children import Child
from tests.fuzz.patterns import PATTERNS
from tests.fuzz.shapes import Audited, Chain, Finding, _compare, build, chains, fuzz, judge, run


def test_two_hundred_models() -> None:
    outcomes, _, findings = fuzz(20261121, 200)
    assert findings == []
    assert outcomes["models"] == 200
    assert outcomes["agree"] > 130


def test_there_are_enough_patterns() -> None:
    assert len(PATTERNS) >= 45
    drawn = Counter(name for chain in chains(1, 2000) for name, _ in build(chain)[2])
    assert drawn.keys() == PATTERNS.keys()


def test_chains_are_repeatable() -> None:
    (chain,) = chains(7, 1)
    assert Chain.parse(str(chain)) == chain
    assert build(chain)[0] == build(Chain.parse(str(chain)))[0]


SHAPES = {"conv": (1, 4, 8, 8)}
SAID = [
    pytest.param(Audited(SHAPES, (1, 4, 8, 8), 256 * 2), [], id="right"),
    pytest.param(Audited({"conv": None}, None, None), [], id="unknown"),
    pytest.param(Audited({"conv": (1, 4, 8, None)}, None, None), [], id="partly-unknown"),
    pytest.param(Audited({"conv": (1, 4, 9, 8)}, None, None), ["wrong"], id="size"),
    pytest.param(Audited({"conv": (1, 4, 8)}, None, None), ["wrong"], id="rank"),
    pytest.param(Audited(SHAPES, (1, 4, 8, 8), 1), ["wrong"], id="macs"),
    pytest.param(Audited({}, None, None, refusal="no"), ["refused"], id="refused"),
]


@pytest.mark.parametrize(("said", "kinds"), SAID)
def test_comparison(said: Audited, kinds: list[str]) -> None:
    findings: list[Finding] = list(_compare(said, SHAPES, "conv", (4, 2, 1, 1), "here"))
    assert [finding.kind for finding in findings] == kinds


# chains that once were wrong, as the fuzz printed them
ONCE_WRONG = [
    pytest.param("10 8 4 1x4x1,2x14x14,2x36x32 868524 slice_constant:292653", id="slice-opset-10"),
    pytest.param("10 4 4 3x5x5,2x9x9,1x18x22 2669 if_same:163543", id="if-opset-10"),
    pytest.param("17 1 4 1x6x6,2x5x9,3x22x18 753538 conv_transpose_shape:452119", id="output-shape"),
    pytest.param("20 1 3 3x2x2,2x13x9,1x60x45 24143 resize_odd_scales:4937", id="scale-in-float32"),
    pytest.param(
        "18 3 4 3x6x2,3x11x5 340393 max_pool_indices:334234 slice_half:806858 slice_backwards:46381",
        id="backwards-through-nothing",
    ),
    pytest.param(
        "14 3 4 2x1x4,3x13x16 198256 slice_constant:114928 max_of_many:580855", id="empty-broadcast"
    ),
]


@pytest.mark.parametrize("text", ONCE_WRONG)
def test_once_wrong(text: str) -> None:
    with Child(run, seconds=20) as child:
        result = judge(Chain.parse(text), child)
    assert result.ran > 0
    assert result.findings == []
