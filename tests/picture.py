"""A screenshot of the page, as README shows it: ``python -m tests.picture MODEL LAYER OUTPUT.png``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import convaudit
from convaudit.reporters.page import render_audit
from tests.reporters.page.conftest import CHROMIUM

WINDOW = {"width": 1420, "height": 790}


def picture(model: str, layer: str, output: str) -> None:
    """Open the page of a model in Chromium, choose a layer by its name, and save what is seen."""
    from playwright.sync_api import sync_playwright

    report = convaudit.audit(model)
    index = [one.name for one in report.layers].index(layer)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(render_audit(report), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW, color_scheme="light")  # type: ignore[arg-type]
        page.goto(path.as_uri())
        page.evaluate(f"document.querySelector('#layer-{index} th a').click()")
        page.screenshot(path=output)
        browser.close()


if __name__ == "__main__":
    picture(*sys.argv[1:])
