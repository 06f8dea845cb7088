"""A real Chromium, one a session, and pages opened in it from a file, watched for whatever goes wrong."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = "no Chromium here: install chromium and playwright's Python package"
Open = Callable[..., Any]

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="session", name="chromium")
def _chromium() -> Iterator[Any]:
    if CHROMIUM is None or importlib.util.find_spec("playwright") is None:
        pytest.skip(NEEDED)
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if root else [], timeout=60_000
        )
        yield browser
        browser.close()


@pytest.fixture(name="opened")
def _opened(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a page's text; at the end of the test nothing may have gone wrong in it."""
    wrong: list[str] = []
    contexts = []
    path = tmp_path / "page.html"

    def opened(text: str, *, width: int = 1600, dark: bool = False, at: str = "", **options: Any) -> Any:
        path.write_text(text, encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((path.as_uri(), "data:"))
                else wrong.append(f"request: {request.url}")
            ),
        )
        page.add_init_script(WATCH)
        page.goto(path.as_uri() + at)
        return page

    opened.wrong = wrong  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        for page in context.pages:
            if page.evaluate("Array.isArray(window.violations)"):
                wrong += [f"policy: {violation}" for violation in page.evaluate("window.violations")]
        context.close()
    assert wrong == []
