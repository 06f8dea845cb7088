"""The page in a real Chromium: drawn, sorted, filtered, a layer chosen, nothing loaded, nothing refused."""

from __future__ import annotations

from typing import Any

import pytest

from convaudit.explaining import explanation
from convaudit.reporters import View
from convaudit.reporters.explained import explanation_html
from convaudit.reporters.selection import select
from tests.networks import timed, verified
from tests.reporters.page.conftest import Open
from tests.reporters.page.test_markup import EVERY, HOSTILE, MIXED, audited, pages

pytestmark = pytest.mark.xdist_group("chromium")
NARROW, WIDE = 400, 1600


def names(page: Any) -> list[str]:
    """The layers that are listed, from the top."""
    found: list[str] = page.locator("table.layers tbody tr:visible th").all_inner_texts()
    return found


def by_macs(*, largest: bool) -> list[str]:
    known = [row.name for row in select(MIXED, View(sort="macs", all_ops=True))]
    return known if largest else known[::-1]


@pytest.mark.parametrize(("width", "dark"), [(NARROW, True), (WIDE, False)], ids=["narrow", "wide"])
def test_a_page_is_drawn_and_fits(opened: Open, width: int, dark: bool) -> None:
    page = opened(audited("measured"), width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    charts = page.locator("figure.chart svg")
    assert charts.count() >= 5
    for chart in charts.all():
        box = chart.bounding_box()
        assert box["width"] > width / 4
        assert box["height"] > 60
        assert chart.locator("path[aria-label], line[aria-label], text").count() > 3
        assert chart.get_attribute("role") == "img"
        assert chart.get_attribute("aria-label")
    assert len(names(page)) == EVERY
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in background[4:-1].split(","))
    assert (max(red, green, blue) < 64) == dark
    assert page.locator("#panel").is_visible() == (width == WIDE)


def test_columns_sort_and_rows_are_filtered_by_words_and_kinds(opened: Open) -> None:
    page = opened(audited("measured"))
    head = page.get_by_role("columnheader", name="MACs", exact=True)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page)[:3] == by_macs(largest=True)[:3]
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page)[0] == by_macs(largest=False)[0]
    assert page.locator("thead [aria-sort]").count() == 1
    page.get_by_role("columnheader", name="layer").get_by_role("button").click()
    assert names(page) == sorted(names(page))
    page.locator("thead th button").first.click()
    page.get_by_label("Filter the layers").fill("BLOCK depth")
    assert names(page) == ["block/depthwise"]
    assert page.get_by_role("status").inner_text().startswith(f"1 of {EVERY} ")
    page.get_by_label("Filter the layers").press("Escape")
    assert len(names(page)) == EVERY
    page.get_by_role("button", name="grouped").click()
    page.get_by_role("button", name="transposed").click()
    assert names(page) == ["grouped", "up"]
    page.get_by_role("button", name="grouped").click()
    assert names(page) == ["up"]


def test_a_layer_is_chosen_by_a_click(opened: Open) -> None:
    page = opened(audited("measured"))
    page.locator("#layer-3 td").nth(2).click()
    assert page.locator("#panel h2").inner_text() == "grouped"
    assert page.url.endswith("#layer-3")
    assert page.locator("tr.chosen").get_attribute("id") == "layer-3"
    mark = page.locator('figure.chart a[href="#layer-0"] > *').first
    mark.hover()
    assert "stem" in page.locator(".tip").inner_text()
    mark.click()
    assert page.locator("#panel h2").inner_text() == "stem"
    page.go_back()
    assert page.locator("#panel h2").inner_text() == "grouped"
    page.get_by_role("button", name="Next").click()
    assert page.locator("#panel h2").inner_text() == "asymmetric"
    page.locator("thead th button").first.click()
    page.locator("thead th button").first.click()
    page.locator("#layer-0 td").nth(1).click()
    assert page.locator(".previous").is_disabled()
    page.get_by_role("columnheader", name="layer").get_by_role("button").click()
    assert page.locator(".previous").is_enabled()


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_layer_is_chosen_by_the_keyboard(opened: Open, width: int) -> None:
    page = opened(audited("measured"), width=width)
    page.locator("#layer-0 th a").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "block/project"
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").inner_text() == "block/project"
    if width == NARROW:
        assert page.evaluate("document.activeElement.tagName") == "H2"
        page.keyboard.press("Escape")
        assert not page.locator("#panel").is_visible()
        assert "#" not in page.url
        assert page.evaluate("document.activeElement.textContent") == "block/project"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == MIXED.other_layers[-1].name


def test_a_link_opens_at_its_layer(opened: Open) -> None:
    page = opened(audited("measured"), width=NARROW, at="#layer-7")
    assert page.locator("#panel h2").inner_text() == "up"
    assert page.locator("#panel .narrow svg").is_visible()
    assert not page.locator("#panel .broad svg").is_visible()
    page.evaluate("location.hash = '#%E0%A4'")
    page.wait_for_selector("#panel", state="hidden")
    page.go_back()
    page.wait_for_selector("#panel", state="visible")


def test_the_theme_has_a_switch(opened: Open) -> None:
    page = opened(audited("measured"), dark=True)
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    button = page.get_by_role("button", name="Dark")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert (button.get_attribute("aria-pressed"), page.evaluate(colour)) == ("false", "rgb(255, 255, 255)")
    page.reload()
    assert page.evaluate(colour) != before


def test_what_is_read_needs_no_script_and_prints(opened: Open) -> None:
    page = opened(audited("measured"), java_script_enabled=False)
    page.emulate_media(media="print")
    assert page.locator("figure.chart svg").first.is_visible()
    assert page.locator("#layer-9").is_visible()
    assert not page.locator(".tools").is_visible()


def test_names_of_a_hostile_file_run_nothing(opened: Open) -> None:
    page = opened(audited("hostile"), width=NARROW)
    page.evaluate("for (const row of document.querySelectorAll('tbody tr')) row.querySelector('a').click()")
    page.keyboard.press("Escape")
    page.locator("#chart-macs a[href] > path").first.hover()
    assert page.locator("tr[id] th a").first.inner_text() == HOSTILE[0]
    assert page.evaluate("document.scripts.length") == 1
    assert page.locator("img, iframe, b").count() == 0


def test_other_documents_open_too(opened: Open) -> None:
    _, models, difference = pages("mixed")
    for text in (models, difference):
        page = opened(text, width=NARROW)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": WIDE, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if text is models:
            page.locator("#model-2-layer-3 th a").click()
            assert page.locator("#panel h2").inner_text() == "grouped"
    assert "equal" in page.locator("main").inner_text()


def test_the_watch_can_fail(opened: Open) -> None:
    page = opened(
        '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'"><script>1</script>'
        '<img src="http://127.0.0.1:9/x.png">'
    )
    page.wait_for_timeout(100)
    assert any("policy" in one or "Content Security" in one for one in opened.wrong)  # type: ignore[attr-defined]
    assert any(one.startswith("request: http://127.0.0.1:9") for one in opened.wrong)  # type: ignore[attr-defined]
    page.evaluate("window.violations = []")
    opened.wrong.clear()  # type: ignore[attr-defined]


JUPYTER = (
    "<style>:not(.md).jp-RenderedHTMLCommon td, :not(.md).jp-RenderedHTMLCommon th"
    "{text-align:right;white-space:normal;padding:9px}</style><body><div class=jp-RenderedHTMLCommon>"
)


def test_a_notebooks_style_leaves_text_at_the_left(opened: Open) -> None:
    layer = verified(timed(MIXED)).layers[0]
    page = opened(JUPYTER + layer._repr_html_() + explanation_html(explanation(layer)))
    assert page.locator("td").count() > 10
    sides = "(cells) => [...new Set(cells.map((cell) => getComputedStyle(cell).textAlign))].sort()"
    assert page.locator("td.left, th.left").evaluate_all(sides) == ["left"]
    assert page.locator("td:not(.left)").evaluate_all(sides) == ["right"]
