"""A headless Chromium for tests of pages: Debian's, driven by Playwright; it records what a page says and asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: python -m pip install 'bench[test]'")

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, and there is none on the path"),
]
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that is closed at the end."""
    # one of the proxies that some machines name would count as a request outside
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), env=kept)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Seen:
    """A page, and everything that it said or asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Requests for anything but the file itself and what it carries."""
        own = self.page.url.partition("#")[0]
        return [url for url in self.requests if url != own and not url.startswith(("data:", "blob:"))]

    def open_all(self) -> None:
        """Unfold everything; what is inside of what was folded too."""
        while self.page.locator("details:not([open])").count():
            self.page.evaluate(
                "document.querySelectorAll('details:not([open])').forEach((one) => { one.open = true; })"
            )
        # what is unfolded is equipped when its `toggle` has been told
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


@contextmanager
def seen(
    browser: Any, path: Path, *, width: int = 1280, dark: bool = False, script: bool = True, copies: bool = True
) -> Iterator[Seen]:
    """A page in a window of its own; at the end it must have said nothing, and asked for nothing outside of itself."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        accept_downloads=True,
        permissions=["clipboard-read", "clipboard-write"] if copies else [],
    )
    page = context.new_page()
    page.set_default_timeout(5_000)
    one = Seen(page=page)
    page.on("console", lambda message: one.messages.append(message.text))
    page.on("pageerror", lambda error: one.messages.append(str(error)))
    page.on("dialog", lambda dialog: (one.messages.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: one.requests.append(request.url))
    try:
        page.goto(path.as_uri())
        yield one
        assert one.messages == []
        assert one.outside() == []
    finally:
        context.close()
