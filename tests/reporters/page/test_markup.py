"""What a page holds before any browser looks at it: text that is text, one policy, ids that are unique."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from convaudit.analyzer import analyze
from convaudit.checks import difference_of
from convaudit.cli.group import cli
from convaudit.errors import DependencyError
from convaudit.formulas import symbol
from convaudit.records import AuditReport, OtherOp
from convaudit.reporters import FORMATS, View
from convaudit.reporters.page import render_audit, render_diff, render_models
from tests.cli.conftest import save_model
from tests.networks import conv_layer, mixed_network, network, symbolic_network, timed, verified

MIXED = analyze(mixed_network())
EVERY = len(MIXED.layers) + len(MIXED.other_layers)
HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(2)</script>", "</title><h1>x</h1>", "</style>x",
    "</template><b>x</b>", "\"><img src=x onerror=alert(3)>", "' onmouseover='alert(4)", "line\u2028two",
    "\u202egnp.exe", "\x1b[2J", "\x00", "\ud800", "javascript:alert(5)", "{{ 7*7 }}", "{% raw %}", "<!--",
    "-->", "]]>", "&lt;b&gt;", "<svg onload=alert(6)>", "#layer-0", "::error::x", "##[group]x",
]  # fmt: skip


def hostile_report() -> AuditReport:
    layers = [
        conv_layer(name, batch=symbol("N"), op=name, notes=(f"note {name}",), weight_name=name)
        for name in HOSTILE
    ]
    others = tuple(OtherOp(op=name, count=1, macs=None, reason=name) for name in HOSTILE)
    report = analyze(network(*layers, source=HOSTILE[0], other_ops=others, warnings=tuple(HOSTILE)))
    return replace(report, format=HOSTILE[2], uncounted_ops=tuple((name, 1) for name in HOSTILE))


ONCE = ("script", "style", "meta", "link", "h1", "head", "body")


class Tags(HTMLParser):
    """Every tag with its attributes, and all text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.within = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.within = tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within not in ("style", "script"):
            self.text.append(data)


REPORTS: dict[str, Callable[[], AuditReport]] = {
    "mixed": lambda: MIXED,
    "hostile": hostile_report,
    "measured": lambda: verified(timed(MIXED)),
    "symbolic": lambda: analyze(symbolic_network()),
}


@cache
def audited(name: str) -> str:
    """The page of a report."""
    return render_audit(REPORTS[name]())


@cache
def pages(name: str) -> tuple[str, ...]:
    """Every page that a report can be in."""
    report = REPORTS[name]()
    return audited(name), render_models([report, MIXED]), render_diff(difference_of(report, MIXED))


def test_names_of_a_hostile_file_are_text() -> None:
    honest = [Counter(tag for tag, _ in Tags(page).found) for page in pages("mixed")]
    for page, expected in zip(pages("hostile"), honest, strict=True):
        tags = Tags(page)
        counts = Counter(tag for tag, _ in tags.found)
        assert {tag: counts[tag] for tag in ONCE} == {tag: expected[tag] for tag in ONCE}
        assert not counts["img"]
        assert not counts["b"]
        assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
        targets = [attributes["href"] for tag, attributes in tags.found if "href" in attributes]
        assert [target for target in targets if not re.fullmatch(r"#[\w-]*|data:,", target or "")] == []
        text = "".join(tags.text)
        assert "</script><script>alert(2)</script>" in text
        assert "\\u202egnp.exe" in text
        assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)


@pytest.mark.parametrize("name", ["measured", "symbolic"])
def test_a_page_has_no_style_attribute_that_its_policy_forbids(name: str) -> None:
    for page in pages(name):
        tags = Tags(page)
        assert not [attributes for _, attributes in tags.found if "style" in attributes]
        ids = Counter(attributes["id"] for _, attributes in tags.found if "id" in attributes)
        assert [name for name, number in ids.items() if number > 1] == []


def test_every_layer_has_a_row_and_a_panel() -> None:
    tags = Tags(audited("mixed"))
    ids = {attributes.get("id") for _, attributes in tags.found}
    names = [f"layer-{index}" for index in range(len(MIXED.layers))]
    names += [f"other-{index}" for index in range(len(MIXED.other_layers))]
    assert {*names, *(f"panel-{name}" for name in names)} <= ids


def test_shares_add_up_only_where_a_run_has_all_rows() -> None:
    assert "data-share" in audited("symbolic")
    assert "data-share" not in audited("mixed")  # has exclusive branches, and unknown MACs


def test_where_there_is_nothing_to_draw_a_chart_says_so() -> None:
    page = render_audit(analyze(network(conv_layer(calls=None))))
    assert page.count("Nothing to draw.") == 3
    assert "1 layer is not drawn: their MACs are unknown" in page
    assert "Infinity" not in page


def test_a_name_is_one_line_under_the_mouse() -> None:
    page = render_audit(analyze(network(conv_layer("a<b; share: 99%"))))
    assert 'aria-label="layer: a&lt;b, share: 99%; kind: pointwise;' in page


def test_a_view_is_heeded() -> None:
    page = render_audit(MIXED, View(only=("depthwise",), columns=("name", "macs")))
    tags = Tags(page)
    assert [attributes["id"] for tag, attributes in tags.found if tag == "tr" and "id" in attributes] == [
        "layer-1"
    ]
    assert f"1 of {EVERY} ops were asked for; the totals are those of all." in "".join(tags.text)


def test_of_too_many_layers_the_costliest_are_listed() -> None:
    from convaudit.reporters.page.rows import layer_table

    table = layer_table(MIXED, View(), most=2)
    largest = sorted(range(10), key=lambda index: -(MIXED.layers[index].macs or 0))[:2]  # type: ignore[operator, type-var]
    assert [row.id for row in table.rows] == [f"layer-{index}" for index in sorted(largest)]
    assert table.left_out.startswith(f"The 2 ops of the most MACs are listed, {EVERY - 2} others are not")


def test_ranks_are_the_order_of_sort() -> None:
    from convaudit.reporters.page.rows import layer_table
    from convaudit.reporters.selection import select

    table = layer_table(MIXED, View(columns=("name", "macs", "groups")))
    for place, key in ((2, "macs"), (3, "groups")):
        by_rank = sorted(table.rows, key=lambda row: [int(rank) for rank in row.ranks.split(",")][place])
        assert [row.member.name for row in by_rank] == [
            layer.name for layer in select(MIXED, View(sort=key, all_ops=True))
        ], key


def test_without_the_extra_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from convaudit.reporters.page import rendering

    rendering._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(DependencyError, match=r"an HTML page needs jinja2: pip install 'convaudit\[html\]'"):
        FORMATS["html"].render("audit", MIXED)


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_what_draws_charts_there_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("convaudit.reporters.charts.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=r"^[^\n]+: pip install 'convaudit\[html\]'$"):
        FORMATS["html"].render("audit", MIXED)


def test_findings_are_in_a_page_and_refused_where_nobody_would_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model.onnx")
    refused = CliRunner().invoke(cli, ["model.onnx", "--lint"])
    assert refused.exit_code == 2
    assert "--lint is for --format html, not for table" in refused.stderr
    assert CliRunner().invoke(cli, ["model.onnx", "--lint", "-o", "page.html"]).exit_code == 0
    assert "Parameters that do nothing" in Path("page.html").read_text(encoding="utf-8")
