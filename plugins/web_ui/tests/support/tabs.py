"""Tabs of a browser on the page, as tests handle them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from visioncraft.testing import PATIENCE_S, Server

AXE = Path(__file__).parents[4] / ".venv" / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TOKEN = "a token with spaces"
PATIENCE_MS = 120_000
"""How long the browser's tests wait for what surely comes: Playwright's own 5 seconds are few on a busy machine."""
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


def visitor(server: Server, **options: Any) -> httpx.Client:
    """A client that has nothing of its own: no token, and no cookie yet."""
    return httpx.Client(base_url=server.url, timeout=PATIENCE_S, **options)


class Tab:
    """The page in one tab.

    Args:
        page: The tab.
        server: Serves it.
    """

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self.server = page, server
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.partition("://")[2].partition("/")[0]))

    def open(self, path: str = "") -> Tab:
        """Go to a view, or to the login that stands before it."""
        self.page.goto(f"{self.server.url}/app/{path}")
        self.page.locator("#main > div:not([hidden]), #main.login form").wait_for()
        return self

    def draw(self, prompt: str, **fields: str) -> None:
        """Type a prompt, and fields by their labels, and generate."""
        self.page.get_by_label("Prompt", exact=True).fill(prompt)
        for label, value in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).first.fill(value)
        self.page.get_by_role("button", name="Generate").click()

    def result(self) -> Any:
        """The image that was drawn, once it is there."""
        image = self.page.locator(".result img").first
        image.wait_for()
        return image

    def violations(self) -> list[str]:
        """What axe-core finds on the page as it is now."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))  # through the debugger, which no policy of the page concerns
        found = self.page.evaluate("tags => axe.run({runOnly: tags})", RULES)
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)


class Opener:
    """Opens tabs of one browser profile.

    Args:
        browser: The browser.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.tabs: list[Tab] = []
        self.expected: Callable[[str], bool] = lambda error: False

    def __call__(self, server: Server, path: str = "", **options: Any) -> Tab:
        """A tab on a server's page; options make it a browser of its own."""
        if options or not self._contexts:
            self._contexts.append(self._browser.new_context(**{"locale": "en-GB", "color_scheme": "light", **options}))
        tab = Tab(self._contexts[-1].new_page(), server)
        self.tabs.append(tab)
        return tab.open(path)

    def close(self) -> None:
        """Close all. Raises `AssertionError` where a console told of an error, or where another host was asked."""
        for context in self._contexts:
            context.close()
        errors = [error for tab in self.tabs for error in tab.errors if not self.expected(error)]
        assert errors == [], errors
        asked = {host for tab in self.tabs for host in tab.hosts if host}
        assert asked <= {f"127.0.0.1:{tab.server.port}" for tab in self.tabs}
