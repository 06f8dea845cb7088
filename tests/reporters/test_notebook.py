"""What records look like in a notebook's cell."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

import convaudit
from convaudit.analyzer import analyze
from convaudit.checks import CheckedModel, Difference, Outcome, Outcomes, difference_of
from convaudit.records import LayerCosts
from convaudit.records.timing import Sweep, SweepRow
from convaudit.reporters.html import MOST_LISTED
from convaudit.reporters.notebook import HTML, html_of
from convaudit.sweeps import SweepReport, SweepReports
from tests.networks import conv_layer, mixed_network, network, symbolic_network, timed, verified
from tests.reporters.test_charts import FULL, HOSTILE, linted

EVIL = linted(verified(analyze(network(conv_layer(HOSTILE, groups=3, notes=(HOSTILE,)), source=HOSTILE))))
REPORT = convaudit.Report.of(FULL)
FAILED = Outcome(rule="max-params", status="failed", message=f"too many in {HOSTILE}")
VOID = {"area", "br", "hr", "img", "input", "meta"}


class Checker(HTMLParser):
    """Every tag is closed in its order, and none is of a kind that text from a model could have made."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag != "script"
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if "style" in self.open else data


def text_of(html: str) -> str:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return re.sub(r"\s+", " ", checker.text)


def sweep_of(report: Any) -> Sweep:
    layer = report.layers[0]
    row = SweepRow(
        groups=1,
        params=1,
        macs=2,
        weight_bytes=4,
        seconds=None,
        spread=None,
        promised=None,
        realised=None,
        reason=HOSTILE,
    )
    return Sweep(source=report.source, layer=layer.name, cost=layer, layers=(layer.name,), rows=(row,))


RECORDS = {
    "report": (convaudit.Report.of(EVIL), "of 1 layer"),
    "layer": (EVIL.layers[0], "6 x 2 x 1 x 1 = 12"),
    "layers": (LayerCosts(EVIL.layers), "1 convolution"),
    "totals": (EVIL.totals, "groups save"),
    "open totals": (analyze(symbolic_network()).totals, "MACs"),
    "diff": (difference_of(EVIL, FULL), "groups 3"),
    "outcome": (FAILED, "max-params"),
    "outcomes": (Outcomes([FAILED], HOSTILE), "1 of the checks failed"),
    "kept": (Outcomes([], HOSTILE), "every budget is kept"),
    "model": (CheckedModel(source=HOSTILE, outcomes=(FAILED,)), "1 of 1 checks failed"),
    "broken model": (CheckedModel(source=HOSTILE, error=f"not {HOSTILE}"), "not "),
    "lint report": (EVIL.lint, "CA200"),
    "findings": (convaudit.Findings(EVIL.lint), "CA200"),
    "sweep": (SweepReport.of(sweep_of(EVIL)), "not measured"),
    "sweeps": (SweepReports([SweepReport.of(sweep_of(EVIL))]), "1 distinct layer"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_shows_itself_and_no_text_of_a_model_is_markup(name: str) -> None:
    record, expected = RECORDS[name]
    html = record._repr_html_()
    assert expected in text_of(html)
    assert "<script" not in html


def test_every_record_of_the_table_is_shown_here() -> None:
    shown = {kind for record, _ in RECORDS.values() for kind in type(record).__mro__}
    assert set(HTML) <= shown | {type(EVIL.lint), Difference}


def test_what_has_no_html_is_refused() -> None:
    with pytest.raises(TypeError, match="int has no HTML"):
        html_of(1)


def test_a_layer_shows_its_wiring_and_its_window() -> None:
    html = REPORT["grouped"]._repr_html_()
    assert html.count("<svg") == 2
    assert "groups removed" in text_of(html)


def test_a_layer_of_unknown_sizes_shows_what_is_known() -> None:
    (layer,) = analyze(network(conv_layer(calls=None, input_shape=None, output_shape=None))).layers
    assert "weight 6x6x1x1" in text_of(layer._repr_html_().replace("<td", " <td"))


def test_long_tables_are_cut_and_say_so() -> None:
    report = analyze(network(*(conv_layer(f"c{index}") for index in range(MOST_LISTED + 7))))
    html = LayerCosts(report.layers)._repr_html_()
    assert f"c{MOST_LISTED - 1}" in html
    assert f"c{MOST_LISTED}<" not in html
    assert "and 7 more rows" in html


def test_layers_keep_the_text_of_a_notebook_short() -> None:
    pytest.importorskip("IPython")
    from IPython.lib.pretty import pretty

    assert pretty(REPORT.layers) == "<convaudit.LayerCosts: 10>"
    assert REPORT.layers == FULL.layers


def test_a_difference_and_verdicts_print_their_tables() -> None:
    mixed = analyze(mixed_network())
    difference = difference_of(mixed, timed(mixed))
    assert str(difference).startswith("--- demo.onnx (onnx)\n+++ demo.onnx (onnx)")
    assert not str(difference).endswith("\n")
    assert "FAILED   max-params" in str(Outcomes([FAILED], "model.onnx"))
    assert str(Outcomes([], "model.onnx")) == "model.onnx: every budget is kept"
    assert str(SweepReports([])) == "nothing was swept"


def test_check_hands_back_verdicts_that_are_empty_where_all_is_kept() -> None:
    report = analyze(network(conv_layer()))
    kept = convaudit.check(report, convaudit.Budgets(max_macs="1T"))
    assert kept == []
    assert not kept
    assert kept.source == report.source
