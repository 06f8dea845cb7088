"""Sweeps of made-up samples: which numbers of groups are timed, and what is refused before anything is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import convaudit
from convaudit.errors import ExecutionError, UsageError
from convaudit.frontends import TimeRequest
from convaudit.frontends.onnx.frontend import OpenedOnnx
from convaudit.lints import linted
from convaudit.records import RuntimeInfo
from convaudit.records.findings import LintReport
from convaudit.records.timing import Swept
from convaudit.reporters.sweeps import summary_lines
from tests.frontends.onnx.models import model, values

RUNTIME = RuntimeInfo(
    name="onnxruntime",
    version="1.0",
    provider="CPUExecutionProvider",
    threads=1,
    optimization="all",
    device="cpu",
    seed=0,
    input_shapes={},
)
MILLISECONDS = {1: 8.0, 2: 4.0, 4: 2.0, 8: 2.8, 16: 1.0}
"""By groups: 8 is slower than 4, as 16-wide kernels have it."""
WEIGHTS = ", ".join(
    [values("w", 16, 2, 3, 3), values("p", 16, 16, 1, 1), values("q", 16, 16, 1, 1), values("d", 16, 1, 3, 3)]
)
TEXT = (
    f"g (float[n,16,8,8] x) => (float[n,16,8,8] y) <{WEIGHTS}>"
    + """
{
    [first] a = Conv <group=8, pads=[1,1,1,1]> (x, w)
    [again] b = Conv <group=8, pads=[1,1,1,1]> (a, w)
    [mix] c = Conv (b, p)
    [odd] e = Conv <group=16, pads=[1,1,1,1]> (c, d)
    [last] y = Conv (e, q)
}
"""
)


def samples(groups: Sequence[int], milliseconds: dict[int, float] = MILLISECONDS) -> Swept:
    """Rounds that differ by a thousandth."""
    steps = [(1 + step / 1e4) / 1e3 for step in range(20)]
    rounds = {number: tuple(milliseconds[number] * step for step in steps) for number in groups}
    return Swept(
        seconds=rounds,
        kernels=dict.fromkeys(groups, "Conv"),
        itself=rounds.get(8, ()),
        runtime=RUNTIME,
        cpu="Abacus 1",
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int], TimeRequest]]:
    """What a front end is asked to time; it answers with made-up samples."""
    calls: list[tuple[str, list[int], TimeRequest]] = []

    def answer(self: OpenedOnnx, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        calls.append((layer, list(groups), how))
        return samples(groups)

    monkeypatch.setattr(OpenedOnnx, "sweep", answer)
    return calls


def test_all_divisors_are_timed_and_the_slower_one_is_marked(asked: list) -> None:
    report = convaudit.sweep(model(TEXT), layer="first", dims={"n": 1})
    assert asked[0][:2] == ("first", [1, 2, 4, 8, 16])
    assert [row.groups for row in report.rows] == [1, 2, 4, 8, 16]
    assert [row.current for row in report.rows] == [False, False, False, True, False]
    assert [row.dominated_by for row in report.rows] == [None, None, None, 4, None]
    assert report.layers == ("first", "again")
    assert [row.macs for row in report.rows] == [147456 // number for number in (1, 2, 4, 8, 16)]
    text = str(report)
    assert "g=8: half the multiply-adds of g=4, 40 % slower (39 to 41), as the model has it" in text
    assert "timed with onnxruntime 1.0, CPU, 1 thread, Abacus 1, spread 1% at most" in text
    assert "accuracy is another matter" in text


def test_chosen_groups_are_beside_1_and_the_layers_own(asked: list) -> None:
    convaudit.sweep(model(TEXT), layer="first", groups=[2, 2, 16], dims={"n": 1})
    assert asked[0][1] == [1, 2, 8, 16]


def test_all_layers_are_swept_once_each_within_the_budget(asked: list) -> None:
    seen: list[tuple[int, int]] = []
    reports = convaudit.sweep(
        model(TEXT), dims={"n": 1}, time_budget=30, progress=lambda done, of: seen.append((done, of))
    )
    assert [report.layer for report in reports] == ["first", "mix", "odd"]
    assert [report.layers for report in reports] == [("first", "again"), ("mix", "last"), ("odd",)]
    assert [call[0] for call in asked] == ["first", "odd", "mix"]  # those with groups may have better ones
    first, second, third = (call[2].budget_seconds for call in asked)
    assert first <= 10 < second <= 15 < third <= 30
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_summary_claims_nothing_of_what_was_not_timed(asked: list) -> None:
    reports = convaudit.sweep(model(TEXT), dims={"n": 1})
    assert (
        summary_lines(reports)[1]
        == "3 distinct layers were timed, 2 with groups: fewer groups are faster for 1"
    )
    dense = [report for report in reports if report.layer == "mix"]
    assert summary_lines(dense)[0] == "1 distinct layer was timed, 0 with groups"


def test_a_layer_that_is_not_measured_says_why_and_the_others_go_on(
    asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = OpenedOnnx.sweep

    def sometimes(self: OpenedOnnx, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        if layer == "mix":
            raise ExecutionError("ModelProto: mix: no kernel has it")
        return answer(self, layer, groups, how)

    monkeypatch.setattr(OpenedOnnx, "sweep", sometimes)
    reports = convaudit.sweep(model(TEXT), dims={"n": 1})
    assert [row.reason for row in reports[1].rows] == ["no kernel has it"] * 5
    assert [row.reason for row in reports[0].rows] == [None] * 5


REFUSED = [
    pytest.param({"layer": "frist"}, "no layer is called 'frist'; did you mean 'first'", id="name"),
    pytest.param({"layer": 3}, "layer must be a layer's name, got 3", id="number"),
    pytest.param({"layer": "first", "groups": [3]}, "groups=3 does not divide .*; choose from 1, 2", id="3"),
    pytest.param({"layer": "first", "groups": [0]}, "groups must be .*0", id="zero"),
    pytest.param({"layer": "first", "groups": [-2]}, "groups must be .*-2", id="negative"),
    pytest.param({"layer": "first", "groups": []}, "groups must be a list of numbers", id="none"),
    pytest.param({"layer": "first", "groups": "12"}, "groups must be a list of numbers", id="text"),
    pytest.param({"layer": "first", "dims": {}}, "nx16x8x8 has open sizes.*--dim n=VALUE", id="open"),
    pytest.param({"layer": "first", "time_budget": 0}, "time_budget must be a number", id="budget"),
    pytest.param({"layer": "first", "provider": "abacus"}, "'abacus' is not available", id="provider"),
]


@pytest.mark.parametrize(("keywords", "message"), REFUSED)
def test_what_is_refused(asked: list, keywords: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convaudit.sweep(model(TEXT), **{"dims": {"n": 1}, **keywords})
    assert asked == []


def test_a_notebook_shows_a_table(asked: list) -> None:
    source = model(TEXT)
    source.graph.node[0].name = "a<b"
    html = convaudit.sweep(source, layer="a<b", dims={"n": 1})._repr_html_()
    assert "<table>" in html
    assert "a&lt;b" in html
    assert "a<b" not in html


def test_a_dictionary_has_what_json_has(asked: list) -> None:
    found = convaudit.sweep(model(TEXT), layer="first", dims={"n": 1}).to_dict()
    assert (found["schema_version"], found["layer"], found["groups"]) == (1, "first", 8)
    assert found["rows"][3]["dominated_by"] == 4
    assert found["runtime"]["version"] == "1.0"
    assert json.loads(convaudit.sweep(model(TEXT), layer="first", dims={"n": 1}).to_json()) == found


def test_chosen_groups_that_do_not_divide_a_layer_are_left_out_of_all(asked: list) -> None:
    convaudit.sweep(model(TEXT), groups=[2, 3], dims={"n": 1})
    assert [(name, numbers) for name, numbers, _ in asked] == [
        ("first", [1, 2, 8]),
        ("odd", [1, 2, 16]),
        ("mix", [1, 2]),
    ]


def test_layers_left_out_are_swept_again_where_time_is_left(
    asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, calls = OpenedOnnx.sweep, []

    def late(self: OpenedOnnx, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        calls.append(layer)
        if calls.count("odd") == 1 and layer == "odd":
            return Swept(seconds={}, kernels={}, reasons=dict.fromkeys(groups, "left out"))
        return answer(self, layer, groups, how)

    monkeypatch.setattr(OpenedOnnx, "sweep", late)
    reports = convaudit.sweep(model(TEXT), dims={"n": 1})
    assert calls == ["first", "odd", "mix", "odd"]
    assert [row.reason for report in reports for row in report.rows] == [None] * 15


def test_nothing_to_sweep(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to sweep, the model contains no convolution"):
        convaudit.sweep(model("g (float[1] x) => (float[1] y) { y = Neg (x) }"))


def _linted(time: float | None, **select: list[str]) -> LintReport:
    return linted(model(TEXT), source_keywords={"dims": {"n": 1}}, time=time, **select)


def test_groups_that_kernels_punish_are_found_where_it_is_timed(asked: list) -> None:
    report = _linted(10.0, select=["CA401"])
    assert [(name, groups) for name, groups, _ in asked] == [
        ("first", [1, 2, 4, 8]),
        ("odd", [1, 2, 4, 8, 16]),
    ]
    assert all(how.budget_seconds <= 10 for _, _, how in asked)
    assert [(one.layer, one.certainty, one.fixable) for one in report.findings] == [
        ("first", "observed", False),
        ("again", "observed", False),
    ]
    assert report.findings[0].message == (
        "groups=8 takes 2.80 ms (spread 0.1%), groups=4 takes 2.00 ms (spread 0.1%), one call alone, "
        "with onnxruntime 1.0, CPUExecutionProvider, 1 thread, Abacus 1; "
        "the layer differed from itself by 0.0%"
    )
    assert report.totals.removable_macs == 0


def test_nothing_is_timed_unasked(asked: list) -> None:
    assert not any(one.rule == "CA401" for one in _linted(None).findings)
    _linted(10.0, ignore=["CA401"])
    assert not asked


def test_what_was_not_timed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: OpenedOnnx, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        raise ExecutionError("it takes too long")

    monkeypatch.setattr(OpenedOnnx, "sweep", answer)
    report = _linted(10.0, select=["CA401"])
    assert not report.findings
    assert "groups not timed: first, again, odd: it takes too long" in report.notes
